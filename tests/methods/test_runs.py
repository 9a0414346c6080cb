"""Whole runs of every method, each of seconds: resumed, without hidden masks, and in two processes."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import whole_runs
from conftest import write_picture
from together import start_together
from torch import Tensor
from whole_runs import EVERY, STEPS, configured, whole

from semiseg.methods import method_class, method_names
from semiseg.methods.base import Round
from semiseg.training.loop import Run

TESTS = Path(__file__).parents[1]
TRAINED = 4  # labelled images of a run


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training pictures with masks, four of which a list says to use, and two that validate."""
    root = tmp_path_factory.mktemp("pictures")
    for i in range(10):
        write_picture(root / "made", f"photo{i:02d}", i, mask=True, size=(40, 40))
    for kind in ("images", "masks"):
        for i, path in enumerate(sorted((root / "made" / kind).iterdir())):
            part = root / kind / ("train" if i < 8 else "val")
            part.mkdir(parents=True, exist_ok=True)
            shutil.move(path, part / path.name)
    shutil.rmtree(root / "made")
    (root / "list.txt").write_text("".join(f"photo{i:02d}\n" for i in range(TRAINED)))
    return root


def words(root: Path) -> dict[str, Any]:
    return {"data__labelled_list": root / "list.txt"}


@pytest.fixture(scope="module")
def uninterrupted(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Tensor]]:
    """By method: the state of a run that nothing stopped, with all masks there; made when first asked for."""
    base = tmp_path_factory.mktemp("uninterrupted")

    class Runs(dict[str, dict[str, Tensor]]):
        def __missing__(self, name: str) -> dict[str, Tensor]:
            self[name] = whole(configured(pictures, base / name, name, **words(pictures)))
            return self[name]

    return Runs()


def assert_same(one: dict[str, Tensor], two: dict[str, Tensor]) -> None:
    assert one.keys() == two.keys()
    assert [key for key, value in one.items() if not torch.equal(value, two[key])] == []


@pytest.mark.parametrize("name", EVERY)
def test_stopped_in_the_middle_and_resumed_is_bit_equal(
    name: str, pictures: Path, tmp_path: Path, uninterrupted: dict[str, dict[str, Tensor]]
) -> None:
    config = configured(pictures, tmp_path / "run", name, **words(pictures))
    run = Run(config)
    set_rates = run.optimisers.set_rates

    def fails(iteration: int, now: Round) -> None:
        if iteration == STEPS // 2:
            raise RuntimeError("power cut")
        set_rates(iteration, now)

    run.optimisers.set_rates = fails  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    torch.rand(7)  # the global generator stands elsewhere now
    before = {key: value.clone() for key, value in run.method.state_dict().items()}
    after = whole(config, resume=True)
    assert_same(uninterrupted[name], after)
    assert any(not torch.equal(before[key], after[key]) for key in before if key.startswith("student."))


@pytest.fixture(scope="module")
def without_hidden_masks(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hidden") / "pictures"
    shutil.copytree(pictures, root)
    hidden = sorted((root / "masks" / "train").iterdir())[TRAINED:]
    assert len(hidden) == 4
    for path in hidden:
        path.unlink()
    return root


@pytest.mark.parametrize("name", EVERY)
def test_no_mask_of_an_unlabelled_image_is_needed_for_the_same_bits(
    name: str, without_hidden_masks: Path, tmp_path: Path, uninterrupted: dict[str, dict[str, Tensor]]
) -> None:
    root = without_hidden_masks
    assert_same(uninterrupted[name], whole(configured(root, tmp_path / "run", name, **words(root))))


@pytest.fixture(scope="module")
def pair(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found that train every method together."""
    runs = tmp_path_factory.mktemp("pair")
    start_together("whole_runs.py", pictures, runs, *EVERY)
    return [torch.load(runs / f"found.{rank}", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", EVERY)
def test_two_processes_are_one_with_the_joint_batch(
    name: str, pair: list[dict[str, Any]], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_runs.undrawn(monkeypatch)
    alone = whole_runs.trained(pictures, tmp_path / "run", name)
    assert len(alone["gradients"]) == STEPS and all(alone["gradients"])
    for rank in pair:
        torch.testing.assert_close(rank[name], alone, rtol=1e-7, atol=1e-9)


def test_every_registered_method_is_among_them() -> None:
    assert set(method_names()) <= set(EVERY)
    assert [name for name in whole_runs.NOT_DRAWN if name not in method_names()] == []
    assert "fixmatch+bank" in EVERY and not method_class("cutmix").takes_bank
