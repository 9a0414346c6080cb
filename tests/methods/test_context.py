"""``data.context`` in a step: what student and teacher see where crops are made smaller."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import tiny
from torch import Tensor

from semiseg import train
from semiseg.data.run_data import open_run_data
from semiseg.methods import Batch, Method, Step, method_class, method_names
from semiseg.methods.base.views import NOTHING
from semiseg.networks.build import build_network_of
from semiseg.training.batches import to_batch, training_batches

SMALLER = replace(NOTHING, resize=1.0, resize_range=(0.75, 0.99))


def step(folder: Path, name: str, context: bool) -> tuple[Method, Step]:
    torch.manual_seed(0)
    words = {"method__name": name, "method__profile": "equal", "data__context": context, "method__warmup": 0}
    config = tiny(folder, folder / "run", **words)
    method: Method = method_class(name)(config, build_network_of(config, 3), 4).train()
    method.views.weak_set = method.views.strong_set = SMALLER
    loaded = training_batches(config, open_run_data(config.data), 0, 1, method.needs)
    labelled, unlabelled = (
        to_batch(next(b), torch.device("cpu"), torch.contiguous_format) if b else None for b in loaded
    )
    assert isinstance(labelled, Batch)
    return method, Step(labelled, unlabelled, 3, torch.Generator().manual_seed(1))


def seen_by(method: Method, now: Step) -> dict[str, Tensor]:
    """Images that student ("s") and teacher ("t") are given."""
    seen: dict[str, Tensor] = {}
    networks = {"s": method.student} | ({"t": method.teacher} if method.teacher is not None else {})
    for key, network in networks.items():
        network.register_forward_pre_hook(lambda module, inputs, key=key: seen.update({key: inputs[0].detach()}))
    method.losses(now)
    return seen


def grey(images: Tensor) -> list[bool]:
    """Which images have a border: a row or column of 0.5 all along."""
    flat = images == 0.5
    return [bool(image.all(0).all(0).any() or image.all(0).all(1).any()) for image in flat]


@pytest.mark.parametrize("name", [name for name in method_names() if name != "memory_bank"])
def test_no_network_sees_a_grey_border(folder: Path, name: str) -> None:
    for context in (False, True):
        method, now = step(folder, name, context)
        seen = seen_by(method, now)
        if name in ("mean_teacher", "cutmix", "classmix", "fixmatch"):
            assert seen["t"].shape == (2, 3, 32, 32)
            assert any(grey(seen["t"])) is not context
        assert any(grey(seen["s"][:2])) is not context


def test_the_papers_method_keeps_its_unlabelled_crops(folder: Path) -> None:
    """Its teacher labels the crop itself, of which the student then sees views."""
    (plain, now), (wide, with_context) = (step(folder, "memory_bank", context) for context in (False, True))
    assert with_context.x_u.context is None and torch.equal(with_context.x_u.images, now.x_u.images)
    first, second = seen_by(plain, now), seen_by(wide, with_context)
    assert torch.equal(first["t"][2:], second["t"][2:]) and torch.equal(first["s"][2:], second["s"][2:])
    assert not any(grey(second["t"][:2])) and any(grey(first["t"][:2]))


def test_padding_is_learnt_from_in_no_view(folder: Path) -> None:
    """Of images smaller than the crop, ``Views.geometry`` says where a view shows one."""
    method, now = step(folder, "fixmatch", True)
    config = tiny(folder, folder / "run", method__name="fixmatch", data__context=True, data__crop=80)
    unlabelled = training_batches(config, open_run_data(config.data), 0, 1, method.needs)[1]
    assert unlabelled is not None
    crops = to_batch(next(unlabelled), torch.device("cpu"), torch.contiguous_format)
    bright = crops._replace(images=crops.images * 0.4 + 0.6, context=replace(
        crops.context, tensors=[t * 0.4 + 0.6 if t.ndim == 4 else t for t in crops.context.tensors],
    ))  # fmt: skip
    images, inside = method.views.geometry(now._replace(unlabelled=bright))
    assert images.shape == (2, 3, 80, 80) and 0.3 < inside.float().mean() < 0.64
    assert torch.equal(inside, (images != 0.5).all(1))  # 64 of 80 pixels, made smaller, in grey


@pytest.mark.parametrize("name", ["memory_bank", "fixmatch"])
def test_a_run_in_context(folder: Path, tmp_path: Path, name: str) -> None:
    weights = []
    for context in (False, True):
        run = tmp_path / f"{name}_{context}"
        train(tiny(folder, run, method__name=name, data__context=context, training__iterations=2), progress=False)
        weights.append(torch.load(run / "checkpoints" / "last.pt", weights_only=True)["method"])
    assert not all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
