"""The teacher's pseudo-labels are counted right, and counting them changes nothing."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny
from torch import nn

import semiseg
from semiseg.data.base import DatasetInfo, ImageSet
from semiseg.data.run_data import RunData
from semiseg.errors import SemisegError
from semiseg.evaluation.pseudo_label_quality import pseudo_label_quality, watched_images
from semiseg.memory_bank import bank_similarity
from semiseg.networks import Output
from semiseg.runs import checkpoint
from semiseg.runs.metrics import read_metrics
from semiseg.training.loop import Run

INFO = DatasetInfo("three", ("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


class Columns(ImageSet):
    """Images whose red value is the class of each pixel; some have masks, and one mask cannot be read."""

    info = INFO

    def __init__(self, masks: list[np.ndarray | None], broken: int = -1) -> None:
        self.names = [f"{i:02d}" for i in range(len(masks))]
        self.masks, self.broken = masks, broken

    def image(self, i: int) -> np.ndarray:
        picture = np.zeros((4, 6, 3), np.uint8)
        picture[:, 3:, 0] = 255
        return picture

    def label(self, i: int) -> np.ndarray | None:
        if i == self.broken:
            raise SemisegError("truncated file")
        return self.masks[i]

    def has_label(self, i: int) -> bool:
        return self.masks[i] is not None or i == self.broken


class RedIsOne(nn.Module):
    """Class 1 where red, else class 0, with probability 0.95 and 0.6; the same in every mode but training."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm2d(3)
        self.norm.eval()  # a part kept frozen

    def forward(self, images: torch.Tensor) -> Output:
        assert not self.training
        red = images[:, 0] > 0.5
        top = torch.where(red, 0.95, 0.6)
        other, rest = (1 - top) * 0.75, (1 - top) * 0.25
        chances = torch.stack([torch.where(red, other, top), torch.where(red, top, other), rest], dim=1)
        return Output(chances.log(), chances)


def config(**changes: Any) -> semiseg.Config:
    return semiseg.Config.parse({"data": {"crop": 4}, "evaluation": changes})


@pytest.mark.parametrize("changes", [{}, {"mode": "sliding", "window": [4, 4]}])
def test_figures_by_hand(changes: dict[str, Any]) -> None:
    truth = np.zeros((4, 6), np.uint8)
    truth[:, 3:] = 1
    truth[0, 0] = 1  # wrong there
    truth[1] = 255  # not counted
    images = Columns([truth, None])
    found = pseudo_label_quality(RedIsOne(), images, [0, 1], config(**changes))
    assert found["accuracy"] == pytest.approx(17 / 18)
    assert found["confidence"] == pytest.approx((0.95 + 0.6) / 2)
    assert found["confident"] == pytest.approx(0.5)
    assert found["confident_accuracy"] == 1  # the wrong pixel is not among them
    assert found["class_share"] == [0.5, 0.5, 0]
    assert found["class_confidence"] == [pytest.approx(0.6), pytest.approx(0.95), None]
    assert found["images"] == 2


def test_the_accuracy_of_confident_pixels_is_theirs_alone() -> None:
    truth = np.zeros((4, 6), np.uint8)
    truth[:, 3:] = 1
    truth[0] = 2  # wrong there, sure or not
    truth[1, :3] = 255
    found = pseudo_label_quality(RedIsOne(), Columns([truth]), [0], config())
    assert found["confident_accuracy"] == pytest.approx(9 / 12) and found["accuracy"] == pytest.approx(15 / 21)
    truth[:, 3:] = 255
    assert pseudo_label_quality(RedIsOne(), Columns([truth]), [0], config())["confident_accuracy"] is None


def test_without_masks_or_with_a_broken_one_there_is_confidence_only() -> None:
    for images in (Columns([None]), Columns([None], broken=0)):
        found = pseudo_label_quality(RedIsOne(), images, [0], config())
        assert found["accuracy"] is found["confident_accuracy"] is None
        assert found["confidence"] == pytest.approx(0.775)
    nothing = pseudo_label_quality(RedIsOne(), Columns([None]), [], config())
    assert nothing["confidence"] is None and nothing["class_share"] == nothing["class_confidence"] == [None] * 3


def test_modes_and_random_states_stay() -> None:
    teacher = RedIsOne()
    teacher.training = True
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    pseudo_label_quality(teacher, Columns([None]), [0], config())
    assert teacher.training and not teacher.norm.training
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_which_images_are_watched() -> None:
    mask = np.zeros((4, 6), np.uint8)
    train = Columns([mask if i % 2 == 0 else None for i in range(80)])
    hidden = RunData(train, Columns([mask]), [0, 2], [i for i in range(80) if i not in (0, 2)])
    watched = watched_images(hidden)
    assert len(set(watched)) == 16 and all(i % 2 == 0 and i > 2 for i in watched)  # whatever the validation set
    assert watched == watched_images(hidden) and max(watched) > 70
    few = RunData(train, Columns([mask] * 9000), list(range(0, 70, 2)), [*range(1, 70, 2), *range(70, 80)])
    assert watched_images(few) == [70, 72, 74, 76, 78]
    for validation, count in ((1, 2), (100, 4), (9000, 16)):  # without masks 4 % of the validation images
        without = RunData(Columns([mask] + [None] * 40), Columns([mask] * validation), [0], list(range(1, 41)))
        assert len(set(watched_images(without))) == count
    everything = RunData(Columns([mask, mask]), Columns([mask]), [0, 1], [0, 1])
    assert watched_images(everything) == []  # what was trained on would flatter


def rows(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    return [row for row in read_metrics(run_dir) if row["kind"] == kind]


def test_a_run_writes_it_at_every_validation_and_trains_as_without(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = tiny(folder, tmp_path / "watching", training__validate_every=2, data__labelled=2)
    semiseg.train(watching, progress=False)
    written = rows(tmp_path / "watching", "pseudo_labels")
    assert [row["iteration"] for row in written] == [2, 4]
    for row, name in itertools.product(written, ("accuracy", "confidence", "confident")):
        assert 0 <= row[name] <= 1

    blind = Run(tiny(folder, tmp_path / "blind", training__validate_every=2, data__labelled=2))
    assert blind.validator.watched and all(i not in blind.data.labelled for i in blind.validator.watched)
    blind.validator.watched = []
    blind.train(progress=False)
    assert not rows(tmp_path / "blind", "pseudo_labels")
    timed = {"images_per_second", "data_wait"}
    for a, b in zip(rows(tmp_path / "watching", "train"), rows(tmp_path / "blind", "train"), strict=True):
        assert {k: v for k, v in a.items() if k not in timed} == {k: v for k, v in b.items() if k not in timed}


def test_validations_note_how_alike_the_bank_is(folder: Path, tmp_path: Path) -> None:
    semiseg.train(tiny(folder, tmp_path / "run", method__contrastive__quality_filter=False), progress=False)
    last = rows(tmp_path / "run", "validation")[-1]
    bank = checkpoint.load(tmp_path / "run" / "checkpoints" / "last.pt")["method"]
    slots, counts = (bank[f"contrast.bank.{name}"] for name in ("slots", "counts"))
    vectors = torch.cat([slots[c, :n] for c, n in enumerate(counts)])
    labels = torch.arange(len(counts)).repeat_interleave(counts)
    assert (last["bank_within"], last["bank_between"]) == pytest.approx(bank_similarity(vectors, labels, len(counts)))


def test_supervised_runs_have_none(folder: Path, tmp_path: Path) -> None:
    run = Run(tiny(folder, tmp_path / "run", method__name="supervised"))
    assert run.validator.watched == []
