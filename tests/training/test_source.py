"""What ``semiseg train`` starts from, and the run folder that it gets."""

from pathlib import Path

import pytest
import yaml
from commands import call
from conftest import tiny, write_picture

import semiseg
from semiseg import Config
from semiseg.errors import SemisegError, UsageError
from semiseg.training.source import start_of

SHORT = ["training.iterations=2", "training.device=cpu", "training.tensorboard=false", "network.pretrained=none",
         "network.backbone=small", "network.decoder_channels=8", "data.crop=32", "data.workers=0"]  # fmt: skip
TOY = [*SHORT, "data.options.train=14", "data.options.val=2", "data.options.size=[32, 48]", "data.labelled=3"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ``photos``, six images of which four have masks."""
    for i in range(6):
        write_picture(tmp_path / "photos", f"photo{i}", i, mask=i < 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runs(here: Path) -> list[str]:
    return sorted(path.name for path in (here / "runs").iterdir())


def test_runs_of_a_folder_are_numbered_and_the_last_one_is_resumed(here: Path) -> None:
    for expected in ("photos", "photos-2"):
        code, out, err = call("train", "photos", *SHORT, "--quiet")
        assert code == 0 and f"run in runs/{expected}\n" in out, err
    assert runs(here) == ["photos", "photos-2"]
    assert Config.load("runs/photos-2/config.yaml").run_dir == "runs/photos-2"
    first = (here / "runs/photos/metrics.jsonl").read_bytes()
    code, out, err = call("train", "photos", *SHORT, "--resume", "--quiet")
    assert code == 0 and "run in runs/photos-2\n" in out, err
    code, out, err = call("train", "./photos/", *SHORT, "--auto-resume", "--quiet")
    assert code == 0 and "run in runs/photos-2\n" in out, err
    assert runs(here) == ["photos", "photos-2"] and (here / "runs/photos/metrics.jsonl").read_bytes() == first


def test_a_start_that_fails_leaves_no_number_behind(here: Path) -> None:
    for path in (here / "photos" / "masks").iterdir():
        path.unlink()
    assert call("train", "photos", *SHORT)[0] == 1
    assert runs(here) == []


def test_presets_and_files_are_numbered_too_unless_they_say_their_folder(here: Path) -> None:
    for expected in ("toy_streets", "toy_streets-2"):
        assert semiseg.train("toy_streets", TOY, progress=False).run_dir == Path("runs") / expected
    (here / "own.yaml").write_text(yaml.safe_dump({"extends": "folder", "data": {"root": "photos"}}))
    assert start_of("own.yaml", [], False, False).base == Path("runs/own")
    said = {"extends": "folder", "data": {"root": "photos"}, "run_dir": "mine"}
    (here / "fixed.yaml").write_text(yaml.safe_dump(said))
    start = start_of("fixed.yaml", [], False, False)
    assert start.base is None and start.config.run_dir == "mine"
    start = start_of("photos", ["run_dir=mine"], False, False)
    assert start.base is None and start.config.run_dir == "mine"


def test_a_run_folder_says_all_that_a_resume_needs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("train", "photos", *SHORT, "training.seed=5", "--quiet")[0] == 0
    moved = (here / "runs/photos").rename(here / "elsewhere")
    before = Config.load(moved / "config.yaml")
    for source in ("elsewhere", "elsewhere/config.yaml"):
        code, out, err = call("train", source, "--resume", "--quiet")
        assert code == 0 and "run in elsewhere\n" in out, err
    after = Config.load(moved / "config.yaml")
    assert after == before.model_copy(update={"run_dir": "elsewhere"})
    code, _, err = call("train", "elsewhere", "training.seed=6", "--resume")
    assert code == 2 and "training.seed (was 5, now 6)" in err
    code, out, err = call("train", "elsewhere", "training.log_every=1", "--resume", "--quiet")
    assert code == 0 and Config.load(moved / "config.yaml").training.log_every == 1, err


def test_a_missing_checkpoint_is_never_a_start_at_0(here: Path) -> None:
    assert call("train", "photos", *SHORT, "--quiet")[0] == 0
    for path in (here / "runs/photos/checkpoints").iterdir():
        path.unlink()
    for source in ("runs/photos", "photos"):
        code, _, err = call("train", source, *(SHORT if source == "photos" else []), "--resume")
        assert code == 2 and "runs/photos holds no checkpoint, so there is nothing to go on from" in err, err
        assert len(err.splitlines()) == 1
    assert call("train", "runs/photos", "--auto-resume", "--quiet")[0] == 0
    assert (here / "runs/photos/checkpoints/last.pt").is_file() and runs(here) == ["photos"]


def test_nothing_to_resume_is_one_line(here: Path) -> None:
    code, _, err = call("train", "photos", "--resume")
    assert code == 2 and err == (
        "semiseg: --resume: no run of photos in runs, so there is nothing to go on from; name the run's folder "
        "(semiseg train RUN --resume), or leave --resume out\n"
    )
    assert not (here / "runs").exists()


def test_a_run_folder_without_resume_says_both_ways(here: Path) -> None:
    semiseg.train(tiny(here / "photos", here / "my run"), progress=False)
    with pytest.raises(UsageError, match=r"semiseg train '.*my run' --resume goes on .* '.*config.yaml' repeats it"):
        semiseg.train(here / "my run")
    again = semiseg.train(here / "my run" / "config.yaml", progress=False)
    assert again.run_dir == here / "my run-2"
    assert Config.load(again.run_dir / "config.yaml").training.iterations == 4


def test_another_folder_of_that_name_is_not_resumed(here: Path) -> None:
    assert call("train", "photos", *SHORT, "--quiet")[0] == 0
    (here / "other").mkdir()
    (here / "photos").rename(here / "other" / "photos")
    with pytest.raises(SemisegError, match="no run of other/photos in runs"):
        semiseg.train("other/photos", SHORT, resume=True)


def test_runs_of_the_time_when_folders_had_one_name_are_found(here: Path) -> None:
    assert call("train", "photos", *SHORT, "run_dir=runs/folder", "--quiet")[0] == 0
    code, out, err = call("train", "photos", *SHORT, "--resume", "--quiet")
    assert code == 0 and "run in runs/folder\n" in out, err


def test_what_changes_no_result_is_that_of_the_run_unless_it_is_given(here: Path) -> None:
    semiseg.train("toy_streets", [*TOY, "run_dir=r"], progress=False)
    edited = Config.load("r/config.yaml", ["training.log_every=7", "evaluation.batch_size=3"])
    edited.save(Path("r/config.yaml"))
    words = [*TOY, "run_dir=r", "evaluation.batch_size=2"]
    config = start_of("toy_streets", words, True, False).config
    assert (config.training.log_every, config.evaluation.batch_size) == (7, 2)
    (here / "own.yaml").write_text(yaml.safe_dump({"extends": "toy_streets", "training": {"log_every": 4}}))
    config = start_of("own.yaml", words, True, False).config
    assert (config.training.log_every, config.evaluation.batch_size) == (4, 2)
