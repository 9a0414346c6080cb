"""CorrMatch by hand: what is carried, which regions take one label, and what all that is worth."""

from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from by_hand import made, noise
from conftest import tiny
from torch import Tensor

from semiseg.cost.step import cost
from semiseg.methods import Method, Step
from semiseg.networks import correlation, upsample
from semiseg.networks.regions import region_labels

CLASSES, HEIGHT, WIDTH = 5, 32, 48
MOMENTUM = 0.5
OTHERS = ("strong", "soft", "features", "correlation")


def words(**changes: object) -> dict[str, object]:
    usual: dict[str, object] = {"pseudo__mix_probability": 1, "pseudo__threshold_momentum": MOMENTUM}
    usual |= {"pseudo__confidence_threshold": 0.3}
    given = {f"method__corrmatch__{key}": value for key, value in (usual | changes).items()}
    return {"method__warmup": 0, **given}


def build(**changes: object) -> Method:
    return made("corrmatch", CLASSES, 30, **words(**changes))


def step(inside: Tensor | None = None) -> Step:
    return noise(CLASSES, HEIGHT, WIDTH, inside)


def watched(method: Method, now: Step, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The terms; images and full-size logits of the student, pass by pass; correlations; and what regions gave."""
    seen: dict[str, Any] = {"images": [], "logits": [], "alike": [], "regions": []}

    def of_student(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen["logits"].append(output.detach())

    def of_backbone(module: Any, inputs: tuple[Tensor, ...]) -> None:
        seen["images"].append((inputs[0] * method.student.std + method.student.mean).detach())

    def noted(*words: Any) -> tuple[Tensor, Tensor]:
        seen["regions"].append((words, region_labels(*words)))
        return seen["regions"][-1][1]

    monkeypatch.setattr("semiseg.methods.corrmatch.region_labels", noted)
    hooks = [
        method.student.classifier.register_forward_hook(of_student),
        method.student.backbone.register_forward_pre_hook(of_backbone),
        method.correlation.register_forward_hook(lambda _, x, alike: seen["alike"].append(alike.detach())),  # type: ignore[union-attr]
    ]
    terms = method.losses(now)
    for hook in hooks:
        hook.remove()
    return terms, seen


def full(logits: Tensor) -> Tensor:
    return upsample(logits, (HEIGHT, WIDTH))


def test_every_term_from_what_student_and_correlation_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[0, 20:] = False
    method, now = build(), step(inside)
    terms, seen = watched(method, now, monkeypatch)
    weak, both = seen["logits"]
    assert len(weak) == 2 * 3 and len(both) == 2 + 3, "one strong view"
    p_w = full(weak[:3]).softmax(1)
    sure, y = p_w.max(1)
    y = y.where(inside, 255)

    highest = [sure[y == c].max() for c in range(CLASSES) if (y == c).any()]
    threshold = MOMENTUM * 0.3 + (1 - MOMENTUM) * torch.stack(highest).mean()
    assert terms["threshold"].item() == pytest.approx(threshold.item())
    beta = (sure >= threshold).double()
    assert 0 < beta[inside].mean() < 1
    assert terms["confident"].item() == pytest.approx(beta[inside].mean().item())

    ((words, (y_r, given)),) = seen["regions"]
    for one, other in zip(words[:4], (seen["alike"][0], y, beta.float(), threshold), strict=True):
        torch.testing.assert_close(one.detach(), other)
    beta_r = torch.maximum(beta, given.double())
    assert terms["in_regions"].item() == pytest.approx(given[inside].double().mean().item())

    def loss(answers: Tensor, labels: Tensor, weights: Tensor) -> float:
        value, _ = oracles.cross_entropy(answers, labels, None, weights)
        return value / (labels != 255).double().mean().item()

    weak_images, images = seen["images"]
    pasted = ((images[2:] - weak_images.roll(1, 0)).abs() < 1e-6).all(1)
    assert 0.01 < pasted.float().mean() < 0.41
    y_s, beta_s, sure_s = (torch.where(pasted, v.roll(1, 0), v) for v in (y_r, beta_r, beta))
    p_s = torch.where(pasted[:, None], p_w.roll(1, 0), p_w).double()
    strong = full(both[2:])
    divergence = (p_s * (p_s.log() - strong.double().log_softmax(1))).sum(1)
    size = seen["alike"][0].shape[1]
    carried = []
    for logits, alike in zip((weak[:3], both[:2]), seen["alike"], strict=True):
        small = upsample(logits, (2, 3)).flatten(2)
        carried.append(full(torch.einsum("bij,bcj->bci", alike, small).view(len(logits), CLASSES, 2, 3)))
    assert size == 2 * 3
    expected = {
        "strong": loss(strong, y_s, beta_s),
        "soft": (divergence * sure_s)[y_s != 255].sum().item() / (y_s != 255).sum().item(),
        "features": loss(full(weak[3:]), y_r, beta_r),
        "correlation": loss(carried[0], y, beta),
    }
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, rel=1e-4), name
    method.labelled_view(step())
    for name, logits in (("supervised", full(both[:2])), ("supervised_correlation", carried[1])):
        value, _ = oracles.cross_entropy(logits, now.labelled.labels, build_weights())
        assert terms[name].item() == pytest.approx(value, rel=1e-4), name
    labelled = (terms["supervised"] + terms["supervised_correlation"]) / 2
    total = (labelled + sum(0.25 * terms[name] for name in OTHERS)) / 2
    torch.testing.assert_close(terms["loss"], total)


def build_weights() -> Tensor | None:
    method = build()
    method.labelled_view(step())
    return method.class_weights(3)


def test_what_is_carried_teaches_what_correlates_and_not_the_classifier() -> None:
    method = build()
    terms = method.losses(step())
    layer, student = method.correlation, method.student
    for name in ("correlation", "supervised_correlation"):
        wanted = [layer.query.weight, layer.key.weight, student.backbone.conv1.weight, student.classifier.weight]  # type: ignore[union-attr]
        found = torch.autograd.grad(terms[name], wanted, retain_graph=True, allow_unused=True)
        assert all(g is not None and g.abs().sum() > 0 for g in found[:3]) and found[3] is None


def test_what_correlates_learns_at_a_rate_of_its_own_and_is_counted() -> None:
    method = build()
    groups = {group.name: group for group in method.groups()}
    assert sum(p.numel() for p in groups["correlation"].parameters) == sum(
        p.numel()
        for p in method.correlation.parameters()  # type: ignore[union-attr]
    )
    counted = cost(tiny(Path("."), Path("."), method__name="corrmatch", **words()), CLASSES)
    assert counted.parameters["correlation"] == sum(p.numel() for p in groups["correlation"].parameters)
    assert counted.flops["correlation"] > 0
    wide = cost(tiny(Path("."), Path("."), method__name="corrmatch", data__crop=256), CLASSES)
    positions = (256 // 16) ** 2
    assert wide.flops["correlation"] >= 2 * 2 * positions**2 * (256 + CLASSES)


def test_the_threshold_goes_with_a_resume() -> None:
    method, again = build(), build()
    method.losses(step())
    again.load_state_dict(method.state_dict())
    one, two = (m.losses(step()) for m in (method, again))
    assert {k: v.item() for k, v in one.items()} == {k: v.item() for k, v in two.items()}
    assert one["threshold"] != build().losses(step())["threshold"]


def test_a_class_that_is_nowhere_moves_nothing() -> None:
    """Two classes or twenty: the mean is over those that are there."""
    method = build(pseudo__threshold_momentum=0)
    with torch.no_grad():
        method.student.classifier.weight.zero_()
        method.student.classifier.bias.copy_(torch.tensor([3.0, 0, 0, 0, 0]))
    sure = torch.tensor([3.0, 0, 0, 0, 0]).softmax(0)[0]
    torch.testing.assert_close(method.losses(step())["threshold"], sure)


def test_unlabelled_padding_is_no_place_to_carry_from(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, 16:] = False  # the lower row of positions
    assert correlation.cells_shown(inside, (2, 3))[:, 1].any().item() is False
    _, seen = watched(build(), step(inside), monkeypatch)
    assert not seen["alike"][0][:, :, 3:].any() and seen["alike"][1][:, :, 3:].all()
