"""FixMatch by hand, from what went through student and teacher."""

from pathlib import Path

import oracles
import pytest
import torch
from by_hand import student_and_teacher
from conftest import tiny
from torch import Tensor

from semiseg.data.run_data import open_run_data
from semiseg.methods import Batch, Method, Step, method_class
from semiseg.methods.base.views import NOTHING
from semiseg.networks.build import build_network_of
from semiseg.training.batches import training_batches

HEIGHT, WIDTH = 32, 48


def build(**changes: object) -> Method:
    torch.manual_seed(0)
    usual = {"network__backbone": "resnet18", "method__name": "fixmatch", "method__augment__weak": "none"}
    config = tiny(Path("."), Path("."), **usual | changes)
    method: Method = method_class("fixmatch")(config, build_network_of(config, 4), 4).train()
    method.views.strong_set = NOTHING  # pictures stay comparable
    return method


def batches() -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, 4, (5, HEIGHT, WIDTH), generator=g)
    return Batch(images[:2], labels[:2]), Batch(images[2:], torch.full_like(labels[2:], 255))


def watched(
    method: Method, unlabelled: Batch | None = None
) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
    labelled, crops = batches()
    return student_and_teacher(method, Step(labelled, unlabelled or crops, 3, torch.Generator().manual_seed(4)))


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("mix", ["cutmix", "classmix", "none"])
def test_confident_pixels_of_mixed_views_divided_by_all_pixels(views: int, mix: str) -> None:
    threshold = 0.35
    words = {"views": views, "mix": mix, "mix_probability": 1, "confidence_threshold": threshold}
    terms, seen = watched(build(**{f"method__fixmatch__pseudo__{key}": value for key, value in words.items()}))
    (student_images, student), (teacher_images, teacher) = seen["s"], seen["t"]
    assert torch.equal(teacher_images, batches()[1].images), "the clean crop"
    assert len(student_images) == 2 + 3 * views
    sure, y = teacher.softmax(1).max(1)
    total, share = 0.0, 0.0
    for a in range(views):
        images, logits = (t[2 + 3 * a : 5 + 3 * a] for t in (student_images, student))
        pasted = (images == teacher_images.roll(1, 0)).all(1)
        assert bool(pasted.any()) is (mix != "none")
        target, confidence = (torch.where(pasted, t.roll(1, 0), t) for t in (y, sure))
        beta = (confidence >= threshold).double()
        assert 0 < beta.mean() < 1
        total += oracles.cross_entropy(logits, target, None, beta)[0] / views
        share += beta.mean().item() / views
    assert terms["pseudo"].item() == pytest.approx(total, rel=1e-4)
    assert terms["confident"].item() == pytest.approx(share, rel=1e-5)


def test_a_threshold_of_0_uses_all_pixels_and_one_of_1_none() -> None:
    every, _ = watched(build(method__fixmatch__pseudo__confidence_threshold=0))
    none, _ = watched(build(method__fixmatch__pseudo__confidence_threshold=1))
    assert every["confident"] == 1 and every["pseudo"] > 0
    assert none["confident"] == 0 and none["pseudo"] == 0
    torch.testing.assert_close(none["loss"], none["supervised"])


def test_padding_counts_neither_above_nor_below_the_line() -> None:
    words: dict[str, object] = {
        "method__fixmatch__pseudo__confidence_threshold": 0, "method__fixmatch__pseudo__mix": "none",
    }  # fmt: skip
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, 20:] = False
    terms, seen = watched(build(**words), batches()[1]._replace(inside=inside))
    student, y = seen["s"][1][2:], seen["t"][1].argmax(1)
    by_hand, _ = oracles.cross_entropy(student[:, :, :20], y[:, :20])
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)
    nothing = batches()[1]._replace(inside=torch.zeros_like(inside))
    terms, _ = watched(build(**words), nothing)
    assert terms["pseudo"] == 0 and torch.isfinite(terms["loss"])


def test_soft_weights_are_powers_of_the_confidence() -> None:
    words = {"weighting": "confidence", "sharpness": 2, "mix": "none"}
    terms, seen = watched(build(**{f"method__fixmatch__pseudo__{key}": value for key, value in words.items()}))
    sure, y = seen["t"][1].softmax(1).max(1)
    by_hand, _ = oracles.cross_entropy(seen["s"][1][2:], y, None, sure.double() ** 2)
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)


def test_labelled_images_are_among_the_unlabelled_ones_without_their_masks(folder: Path, tmp_path: Path) -> None:
    config = tiny(folder, tmp_path / "run", method__name="fixmatch", training__iterations=30)
    data = open_run_data(config.data)
    seen: set[int] = set()
    _, unlabelled = training_batches(config, data, 0, 30, method_class("fixmatch").needs)
    for batch in unlabelled or ():
        seen |= set(batch["index"].tolist())
        assert (batch["label"] == 255).all()
    assert set(data.labelled) <= seen
