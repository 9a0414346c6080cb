"""Batches of a run, and BatchNorm statistics renewed from them."""

from pathlib import Path

import pytest
import torch
from conftest import tiny
from torch import nn

from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError, UsageError
from semiseg.methods import Needs
from semiseg.runtime import distributed
from semiseg.training.batches import refresh_batch_norm, to_batch, training_batches

CPU, PLAIN = torch.device("cpu"), torch.contiguous_format


def test_batches_go_on_where_they_stopped_and_hide_the_other_masks(folder: Path, tmp_path: Path) -> None:
    config = tiny(folder, tmp_path / "run", data__labelled=2, training__accumulation=2, training__unlabelled_ratio=1.5)
    data = open_run_data(config.data)
    labelled, unlabelled = training_batches(config, data, 0, config.training.iterations, Needs())
    assert unlabelled is not None
    all_l, all_u = list(labelled), list(unlabelled)
    t = config.training
    assert len(all_l) == len(all_u) == 2 * t.iterations
    assert {len(b["image"]) for b in all_l} == {t.batch_size} and {len(b["image"]) for b in all_u} == {3}
    assert all((b["label"] == 255).all() for b in all_u) and any((b["label"] < 255).any() for b in all_l)
    late_l, late_u = training_batches(config, data, t.iterations - 1, t.iterations, Needs())
    assert late_u is not None
    for whole, late in ((all_l[-2:], list(late_l)), (all_u[-2:], list(late_u))):
        assert len(late) == 2
        assert all(torch.equal(a["image"], b["image"]) for a, b in zip(whole, late, strict=True))
    assert training_batches(config, data, 0, t.iterations, Needs(unlabelled=False))[1] is None


def test_a_supervised_round_loads_no_unlabelled_crops_but_asks_at_once_whether_they_can_be_shared(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(folder, tmp_path / "run", training__unlabelled_ratio=0.5)
    data = open_run_data(config.data)
    labelled, unlabelled = training_batches(config, data, 0, 2, Needs(), supervised=True)
    assert len(list(labelled)) == 2 and unlabelled is None
    monkeypatch.setattr(distributed, "world", lambda: 2)
    with pytest.raises(UsageError, match=r"batch_size \* unlabelled_ratio=1 cannot be shared evenly by 2"):
        training_batches(config, data, 0, 2, Needs(), supervised=True)


def test_a_batch_on_the_device() -> None:
    loaded = {
        "image": torch.tensor([[[[0, 51]], [[255, 102]], [[0, 0]]]], dtype=torch.uint8),
        "label": torch.zeros(1, 1, 2),
    }
    batch = to_batch(loaded, CPU, PLAIN)
    assert batch.images.dtype == torch.float32 and batch.target is None
    torch.testing.assert_close(batch.images, torch.tensor([[[[0, 0.2]], [[1, 0.4]], [[0.0, 0]]]]))


@pytest.mark.parametrize("frozen", [False, True])
def test_refreshed_statistics_are_plain_averages_over_the_batches(folder: Path, tmp_path: Path, frozen: bool) -> None:
    config = tiny(folder, tmp_path / "run", training__batch_norm_refresh=3)
    seen: list[torch.Tensor] = []

    class Student(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3, momentum=0.05)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images.double())
            return self.norm(images)

    student = Student().train()
    student.norm.running_mean.fill_(7)
    student.norm.train(not frozen)
    refresh_batch_norm(student, config, open_run_data(config.data), CPU, PLAIN)
    means = torch.stack([images.mean(dim=(0, 2, 3)) for images in seen]).mean(dim=0)
    variances = torch.stack([images.transpose(0, 1).flatten(1).var(dim=1) for images in seen]).mean(dim=0)
    if frozen:
        assert (student.norm.running_mean == 7).all()
    else:
        assert len(seen) == 3 and student.norm.momentum == 0.05
        torch.testing.assert_close(student.norm.running_mean.double(), means, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(student.norm.running_var.double(), variances, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_one_line_also_from_a_worker(folder: Path, tmp_path: Path, workers: int) -> None:
    config = tiny(folder, tmp_path / "run", data__labelled=2, data__workers=workers)
    data = open_run_data(config.data)
    for i in data.unlabelled:
        data.train.files[data.train.names[i]].write_bytes(b"junk")  # type: ignore[attr-defined]
    _, unlabelled = training_batches(config, data, 0, config.training.iterations, Needs())
    assert unlabelled is not None
    with pytest.raises(SemisegError, match=r"^\S+\.png cannot be read as an image \(.*\); replace or remove it$"):
        next(unlabelled)
