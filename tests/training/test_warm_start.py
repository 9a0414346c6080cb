"""A run that begins with the weights of another: rows of the classifier by class name, the rest as it was."""

from pathlib import Path

import pytest
import torch
from conftest import tiny
from typer.testing import CliRunner

import semiseg
from semiseg import Config
from semiseg.cli import app
from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError
from semiseg.runs.checkpoint import load_model
from semiseg.training.building import build_method
from semiseg.training.warm_start import fill


@pytest.fixture
def one(folder: Path, tmp_path: Path) -> Path:
    (folder / "dataset.yaml").write_text("classes: [sky, leaf, stem]\n")
    semiseg.train(tiny(folder, tmp_path / "one", training__validate_every=2), progress=False)
    return tmp_path / "one"


def begun(config: Config, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, torch.Tensor], str]:
    """Weights of the student before the first step, and what was said."""
    method = build_method(config, open_run_data(config.data), torch.device("cpu"), pretrained=True)
    return method.student.state_dict(), capsys.readouterr().err


def test_same_classes_begin_with_all_weights(
    one: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begins, said = begun(tiny(folder, tmp_path / "two", network__warm_start=one), capsys)
    best = load_model(one).network.state_dict()
    assert all(torch.equal(begins[key], best[key]) for key in best)
    assert f"begins with the weights of {one}" in said and said.count("\n") == 1 and "new" not in said


@pytest.mark.parametrize("architecture", ["deeplabv3plus", "deeplabv2"])
def test_classes_that_are_added_moved_and_dropped(
    architecture: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "dataset.yaml").write_text("classes: [sky, leaf, stem]\n")
    semiseg.train(tiny(folder, tmp_path / "one", network__architecture=architecture), progress=False)
    (folder / "dataset.yaml").write_text("classes: [stem, fruit, leaf, bud]\n")
    changed = {"network__architecture": architecture}
    config = tiny(folder, tmp_path / "two", network__warm_start=tmp_path / "one", **changed)
    torch.manual_seed(3)
    begins, said = begun(config, capsys)
    torch.manual_seed(3)
    fresh, _ = begun(tiny(folder, tmp_path / "two", **changed), capsys)
    old = load_model(tmp_path / "one").network.state_dict()
    rows = [key for key in old if key.startswith("classifier.")]
    assert rows
    for key in rows:
        assert torch.equal(begins[key][0], old[key][2]) and torch.equal(begins[key][2], old[key][1])
        assert torch.equal(begins[key][[1, 3]], fresh[key][[1, 3]])
    assert all(torch.equal(begins[key], old[key]) for key in old if key not in rows)
    assert "known classes: stem, leaf; new, from random weights: fruit, bud; no longer there: sky" in said


def test_another_network_is_one_line(one: Path, folder: Path, tmp_path: Path) -> None:
    network = load_model(one).network
    config = tiny(folder, tmp_path / "two", network__warm_start=one, network__decoder_channels=24)
    with pytest.raises(SemisegError, match="are of another network; leave out the network"):
        build_method(config, open_run_data(config.data), torch.device("cpu"), pretrained=True)
    with pytest.raises(SemisegError, match="no checkpoint"):
        fill(network, tmp_path / "nothing", ["a"])


def test_the_command_takes_the_structure_from_there_and_resumes(one: Path, folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "two"
    words = [
        "train", str(folder), "--from", str(one), f"run_dir={run}", "training.iterations=4", "training.device=cpu",
        "data.crop=32", "data.workers=0", "training.batch_size=2", "training.validate_every=2",
        "training.checkpoint_every=2", "training.tensorboard=false", "--quiet",
    ]  # fmt: skip
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr
    assert "known classes: sky, leaf, stem" in done.stderr
    config = Config.load(run / "config.yaml")
    assert (config.network.backbone, config.network.decoder_channels) == ("small", 16)
    assert config.network.warm_start == str(one)
    (run / "checkpoints" / "last.pt").unlink()  # previous.pt is at step 2
    again = CliRunner().invoke(app, [*words, "--resume"])
    assert again.exit_code == 0, again.stderr
    assert "begins with" not in again.stderr


def test_validation_images_that_were_trained_on_are_told(
    one: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = one / "labelled.txt"
    names = open_run_data(tiny(folder, tmp_path / "two").data).val.names
    listed.write_text(listed.read_text() + "\n".join(names) + "\n")
    _, said = begun(tiny(folder, tmp_path / "two", network__warm_start=one), capsys)
    assert f"; {len(names)} validation images were trained on there" in said
