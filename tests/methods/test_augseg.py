"""AugSeg by hand, from what went through student and teacher."""

import math

import numpy as np
import oracles
import pytest
import torch
from by_hand import made, noise
from by_hand import student_and_teacher as watched
from torch import Tensor

from semiseg.methods import Method, Step
from semiseg.methods.augseg import certainty

CLASSES, HEIGHT, WIDTH = 5, 32, 48
THRESHOLD = 0.5
EVERYWHERE = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)


def build(**changes: object) -> Method:
    usual: dict[str, object] = {"pseudo__confidence_threshold": THRESHOLD}
    words = {f"method__augseg__{key}": value for key, value in (usual | changes).items()}
    return made("augseg", CLASSES, 30, **words)


def step(inside: Tensor | None = None, seed: int = 4) -> Step:
    now = noise(CLASSES, HEIGHT, WIDTH, inside, seed=seed)
    now.labelled.labels[:, :, :10] = 255
    return now


@pytest.fixture
def same_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures stay comparable."""
    monkeypatch.setattr("semiseg.methods.augseg.random_intensity", lambda images, *rest: images)


@pytest.mark.parametrize("padded", [False, True])
def test_labelled_and_unlabelled_rectangles_and_what_they_are_learnt_from(same_colours: None, padded: bool) -> None:
    inside = EVERYWHERE.clone()
    inside[:, 25:] = not padded
    now = step(inside)
    terms, seen = watched(build(), now)
    (student_images, student), (teacher_images, teacher) = seen["s"], seen["t"]
    sure, y = teacher.softmax(1).max(1)
    pixels = torch.cat([teacher_images, now.labelled.images])
    labels = torch.cat([y.where(inside, 255), now.labelled.labels])
    weights = torch.cat([(sure >= THRESHOLD).double(), torch.ones(2, HEIGHT, WIDTH, dtype=torch.float64)])
    source = (student_images[2:, None] == pixels[None]).all(2).double()  # (view, where from, H, W)
    assert (source.sum(1) == 1).all(), "every pixel comes from one picture, at its own place"
    origin = source.argmax(1)
    target, beta = (values.gather(0, origin) for values in (labels, weights))
    by_hand, _ = oracles.cross_entropy(student[2:], target, None, beta)
    counted = (target != 255).double().mean().item()
    assert terms["pseudo"].item() == pytest.approx(by_hand / counted, rel=1e-4)
    confident = (sure >= THRESHOLD)[inside].double().mean()
    assert 0 < confident < 1 and terms["confident"].item() == pytest.approx(confident.item(), rel=1e-5)
    assert (origin >= 3).any() and (origin < 3).any() and any((origin[b] == (b - 1) % 3).any() for b in range(3))
    assert not any((origin[b] == (b + 1) % 3).any() for b in range(3)), "from the one before only"


def test_certainty_by_hand() -> None:
    logits = 3 * torch.randn(2, CLASSES, 3, 4, generator=torch.Generator().manual_seed(0))
    inside = torch.ones(2, 3, 4, dtype=torch.bool)
    inside[1, 1:] = False
    for b in range(2):
        values = []
        for y, x in inside[b].nonzero().tolist():
            p = np.exp(logits[b, :, y, x].double().numpy())
            p = p / p.sum()
            values.append(p.max() * (1 + (p * np.log(p)).sum() / math.log(CLASSES)))
        assert certainty(logits, inside)[b].item() == pytest.approx(np.mean(values), rel=1e-5)
    assert certainty(logits, inside & False).tolist() == [0, 0]
    extreme = certainty(1e4 * logits, inside)
    torch.testing.assert_close(extreme, torch.ones_like(extreme))


@pytest.mark.parametrize("sure", [0.0, 0.7, 1.0])
def test_the_less_sure_the_more_labelled_rectangles(sure: float) -> None:
    method, now, batch = build(), step(), 900
    onto = torch.zeros(batch, 3, 16, 24)
    given = torch.ones(2, 3, 16, 24) * torch.tensor([1.0, 2.0])[:, None, None, None]
    (mixed,) = method.with_labelled(now, torch.full((batch,), sure), (given,), (onto,))  # type: ignore[attr-defined]
    pasted = mixed[:, 0].flatten(1).amax(1)
    assert (pasted > 0).float().mean().item() == pytest.approx(1 - sure, abs=0.05)
    if sure < 1:
        assert (pasted == 2).sum() / (pasted > 0).sum() == pytest.approx(0.5, abs=0.1), "either labelled crop"


def test_rectangles_have_the_areas_of_the_beta_distribution() -> None:
    method = build()
    for a, b in ((8, 2), (4, 4)):
        masks = method.rectangles(step(), torch.zeros(4000, 3, 40, 60), a, b, 1.0)  # type: ignore[attr-defined]
        areas = masks.double().mean((1, 2))
        variance = a * b / ((a + b) ** 2 * (a + b + 1))
        assert areas.mean().item() == pytest.approx(b / (a + b), abs=0.01)
        assert areas.var().item() == pytest.approx(variance, rel=0.1)
        rows, columns = masks.any(2).sum(1), masks.any(1).sum(1)
        assert (rows / 40 - columns / 60).abs().max() < 0.05, "the crop's aspect"


def test_without_either_rectangle_the_student_sees_its_own_crop(same_colours: None) -> None:
    words = {"pseudo__labelled_rectangles": False, "pseudo__mix_probability": 0}
    _, seen = watched(build(**words), step())
    assert torch.equal(seen["s"][0][2:], seen["t"][0])


def test_no_pseudo_label_counts_above_every_confidence_but_labelled_pixels_do(same_colours: None) -> None:
    none = {"pseudo__confidence_threshold": 1, "pseudo__labelled_rectangles": False}
    terms = build(**none).losses(step())
    assert terms["pseudo"] == 0 == terms["confident"]
    terms = build(pseudo__confidence_threshold=1).losses(step())
    assert terms["pseudo"] > 0 == terms["confident"]


def test_ignored_labels_that_are_pasted_count_nowhere(same_colours: None) -> None:
    """A labelled crop without a label takes pixels away and adds none."""
    now = step()
    nothing = now.labelled._replace(labels=torch.full_like(now.labelled.labels, 255))
    terms = build(pseudo__confidence_threshold=1).losses(now._replace(labelled=nothing))
    assert terms["pseudo"] == 0 and torch.isfinite(terms["loss"])


def test_colours_are_random_and_the_teacher_sees_none() -> None:
    _, seen = watched(build(pseudo__labelled_rectangles=False, pseudo__mix_probability=0), step())
    assert torch.equal(seen["t"][0], step().x_u.images)
    assert not torch.equal(seen["s"][0][2:], seen["t"][0]) and torch.equal(seen["s"][0][:2], step().labelled.images)
