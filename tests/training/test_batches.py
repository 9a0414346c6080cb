"""Batches of a run."""

from pathlib import Path

import pytest
import torch
from conftest import tiny

from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError, UsageError
from semiseg.methods import Needs
from semiseg.runtime import distributed
from semiseg.training.batches import to_batch, training_batches

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


@pytest.mark.parametrize("needs", [Needs(), Needs(context=True)])
def test_crops_in_context_are_the_crops_without_it(folder: Path, tmp_path: Path, needs: Needs) -> None:
    found = []
    for context in (False, True):
        config = tiny(folder, tmp_path / "run", data__context=context, data__crop="[30,50]", data__labelled=2)
        loaded = training_batches(config, open_run_data(config.data), 0, 2, needs)
        found.append([to_batch(batch, CPU, torch.channels_last) for batches in loaded for batch in batches or ()])
    for plain, wide in zip(*found, strict=True):
        assert torch.equal(plain.images, wide.images) and torch.equal(plain.labels, wide.labels)
        assert wide.images.is_contiguous(memory_format=torch.channels_last)
        assert plain.context is None and (plain.inside is None) is (wide.inside is None)
        if plain.inside is not None and wide.inside is not None:
            assert torch.equal(plain.inside, wide.inside)
        if wide.context is None:
            assert wide.inside is not None and not needs.context, "only unlabelled crops come without"
            continue
        images, labels = wide.context.tensors
        assert images.shape == (2, 3, 40, 67) and labels.shape == (2, 40, 67)  # 4/3 of the crop, rounded up
        assert wide.context.extent.tolist() == [[40, 64]] * 2
        for b, (top, left) in enumerate(wide.context.first.tolist()):
            assert torch.equal(images[b, :, top : top + 30, left : left + 50], wide.images[b])
            assert torch.equal(labels[b, top : top + 30, left : left + 50], wide.labels[b])


def test_context_is_loaded_only_where_a_view_can_show_it(folder: Path, tmp_path: Path) -> None:
    config = tiny(folder, tmp_path / "run", data__context=True, method__augment__weak="none")
    labelled, unlabelled = training_batches(config, open_run_data(config.data), 0, 1, Needs(context=True))
    assert unlabelled is not None
    assert "context" not in next(labelled) and next(unlabelled)["image"].shape[2:] == (43, 43)


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
