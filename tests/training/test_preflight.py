"""What is said before step 0 when the memory will not do, and when it did not."""

import json
from pathlib import Path

import pytest
import torch
from conftest import tiny, write_picture
from fake_networks import Colours

from semiseg import Config, train
from semiseg.config.profiles import paper
from semiseg.config.read import fields
from semiseg.cost.step import cost
from semiseg.cost.validation import validation_memory
from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError
from semiseg.evaluation import validation
from semiseg.methods.memory_bank import MemoryBankMethod
from semiseg.runs import checkpoint
from semiseg.runs.kept import Kept
from semiseg.training import preflight, run_folder
from semiseg.training.advice import noise

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
pytestmark = pytest.mark.usefixtures("memory_is_counted")
SMALL = ["network.backbone=resnet18", "network.pretrained=none", "data.crop=64", "training.batch_size=2"]


def test_a_step_that_does_not_fit_is_named_with_its_mends() -> None:
    config, cpu = Config.parse({}, SMALL), torch.device("cpu")
    need = cost(config, 5).memory_total
    assert preflight.memory_remark(config, 5, cpu, free=need) is None
    remark = preflight.memory_remark(config, 5, cpu, free=need - 1)
    assert remark is not None and "training.passes=in_turn" in remark and "\n" not in remark


def test_main_memory_is_read() -> None:
    free = preflight.free_memory(torch.device("cpu"))
    assert free is not None and 2**28 < free < 2**50


def test_training_says_it_before_the_first_step(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "free_memory", lambda device: 1000)
    train(tiny(folder, tmp_path / "run"), progress=False)
    assert "will probably run out of memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("masks", "validation", "points"), [(4, 1, 17), (5, 1, 17), (9, 2, 12), (38, 7, 6), (40, 8, None)]
)
def test_few_validation_images_are_told_with_what_they_cannot_show(
    tmp_path: Path, masks: int, validation: int, points: int | None
) -> None:
    for i in range(masks):
        write_picture(tmp_path, f"photo{i:02d}", i, mask=True, size=(24, 24))
    config = tiny(tmp_path, tmp_path / "run")
    remark = preflight.few_images_remark(config, open_run_data(config.data))
    if points is None:
        assert remark is None
        return
    assert remark is not None and remark.startswith(f"{validation} validation image")
    assert ("fold=0 to 4, a run each" in remark) == (masks >= 5)
    assert f"below about {points} points" in remark and "\n" not in remark
    if masks < 5:
        return
    folded = tiny(tmp_path, tmp_path / "run", data__options="{fold: 1}")
    told = preflight.few_images_remark(folded, open_run_data(folded.data))
    assert told is not None and "fold" not in told


def test_the_chance_difference_lies_between_those_that_were_measured() -> None:
    rows = json.loads((RESULTS / "few_validation_images.json").read_text())["rows"]
    measured = [row["times_root"] for row in rows if row["validation_images"] < noise.FEW_IMAGES]
    assert min(measured) < noise.BETWEEN < max(measured)


def test_few_validation_images_are_told_once(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tiny(folder, tmp_path / "run"), progress=False)
    assert capsys.readouterr().err.count("1 validation image: differences below about 17 points") == 1
    train(tiny(folder, tmp_path / "run"), resume=True, progress=False)
    assert "validation image" not in capsys.readouterr().err


def test_running_out_of_memory_is_one_line_with_the_mend(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(preflight, "memory_remark", lambda *_: None)
    monkeypatch.setattr(MemoryBankMethod, "losses", full)
    with pytest.raises(SemisegError, match=r"out of memory on cpu at iteration 0: try training\.passes=in_turn"):
        train(tiny(folder, tmp_path / "run"), progress=False)


def test_a_validation_image_that_does_not_fit_is_named_with_its_mend() -> None:
    config, cpu = Config.parse({}, SMALL), torch.device("cpu")
    need = validation_memory(config, 5, (3000, 4000))
    assert need >= 3000 * 4000 * 5 * 4, "at least the logits"
    assert preflight.validation_remark(config, 5, cpu, (3000, 4000), free=need) is None
    assert preflight.validation_remark(config, 5, cpu, None, free=0) is None
    remark = preflight.validation_remark(config, 5, cpu, (3000, 4000), free=need - 1)
    assert remark is not None and "3000x4000" in remark and "evaluation.mode=sliding" in remark and "\n" not in remark
    sliding = Config.parse({}, [*SMALL, "evaluation.mode=sliding"])
    assert validation_memory(sliding, 5, (3000, 4000)) < need
    remark = preflight.validation_remark(sliding, 5, cpu, (3000, 4000), free=0)
    assert remark is not None and "a smaller evaluation.window than [64, 64]" in remark


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_validation_out_of_memory_is_one_line_and_a_resume_takes_its_mend(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    network, config = Colours(), tiny(folder, tmp_path / "run")
    monkeypatch.setattr(validation, "evaluate_network", full)
    with pytest.raises(SemisegError, match=r"out of memory on cpu in a validation: try evaluation\.mode=sliding"):
        validation.validate(network, open_run_data(config.data).val, config)
    kept = Kept(tmp_path / "run")
    kept.last.parent.mkdir(parents=True)
    checkpoint.save(kept.last, {"config": config.model_dump(mode="json"), "iteration": 2, "best": [-1.0, 0, 0]})
    changed = tiny(folder, tmp_path / "run", evaluation__mode="sliding", evaluation__batch_size=2)
    assert run_folder.prepare(changed, kept, resume=True)[1] is not None
    with pytest.raises(SemisegError, match=r"another configuration: training\.seed"):
        run_folder.prepare(tiny(folder, tmp_path / "run", training__seed=5), kept, resume=True)


def test_a_run_from_before_its_profile_filled_in_anything_goes_on_as_it_began(folder: Path, tmp_path: Path) -> None:
    """Then every method had the memory bank's teacher, class weights and augmentation; the same words resume it so."""
    kept, words = Kept(tmp_path / "run"), {"method__name": "augseg"}
    now = tiny(folder, tmp_path / "run", **words)
    usual = {key: fields()[key].default for key in paper("augseg") if key != "method.warmup"}  # tiny sets that by hand
    began = tiny(folder, tmp_path / "run", **words, **{key.replace(".", "__"): v for key, v in usual.items()})
    assert now.method.teacher.momentum_end == 0.999 and began.method.teacher.momentum_end == 1.0
    kept.last.parent.mkdir(parents=True)
    checkpoint.save(kept.last, {"config": began.model_dump(mode="json"), "iteration": 2, "best": [-1.0, 0, 0]})
    assert run_folder.prepare(now, kept, resume=True)[0] == began
    # Under equal the shared colours are not filled in either, and the name of the profile is no difference.
    equal = run_folder.prepare(tiny(folder, tmp_path / "run", **words, method__profile="equal"), kept, resume=True)[0]
    assert equal.method.settings.pseudo.colours == "random" and equal.method.teacher == began.method.teacher
    by_hand = tiny(folder, tmp_path / "run", **words, method__teacher__momentum_end=0.9999)
    with pytest.raises(SemisegError, match=r"another configuration: method\.teacher\.momentum_end \(was 1\.0"):
        run_folder.prepare(by_hand, kept, resume=True)
