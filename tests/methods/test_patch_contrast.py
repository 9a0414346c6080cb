"""Patches across domains by hand: which labels tell a layout, which pixels a feature, and who is compared with whom."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import tiny
from torch import Tensor

from semiseg.methods import Batch, Step, method_class
from semiseg.methods.base.views import NOTHING
from semiseg.methods.patch_contrast import PatchContrast, patch_means
from semiseg.networks import upsample
from semiseg.networks.build import build_network_of

CLASSES, HEIGHT, WIDTH, PATCH = 5, 32, 48, 16
OPTIONS = {"patch": PATCH, "levels": 2, "alike": 0.6, "confidence_threshold": 0.7, "temperature": 0.2, "dim": 6}


def build(**changes: object) -> PatchContrast:
    torch.manual_seed(0)
    usual: dict[str, object] = {"method__augment__weak": "none", "method__class_balance__enabled": False}
    usual |= {f"method__patch_contrast__contrastive__{key}": value for key, value in OPTIONS.items()}
    config = tiny(Path("."), Path("."), method__name="patch_contrast", **usual | changes)
    method: PatchContrast = method_class("patch_contrast")(config, build_network_of(config, CLASSES), 4).train()
    with torch.no_grad():
        method.teacher.classifier.weight.mul_(20)  # sure of some pixels and not of others
    method.views.strong_set = NOTHING
    return method


def step(target: list[bool] | None = None, inside: Tensor | None = None, iteration: int = 3) -> Step:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES - 2, (3, HEIGHT // 8, WIDTH // 8), generator=g)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[:, :, 38:] = 255  # less than half of the last patch of each row
    known = Batch(images[:3], labels, torch.tensor([True, False, False] if target is None else target))
    unlabelled = Batch(images[3:], torch.full((2, HEIGHT, WIDTH), 255), inside=inside)
    return Step(known, unlabelled, iteration, torch.Generator().manual_seed(4))


def teacher_labels(method: PatchContrast, now: Step) -> Tensor:
    with torch.no_grad():
        logits = upsample(method.teacher(now.x_u.images).logits, (HEIGHT, WIDTH))
    sure, y = logits.softmax(1).max(1)
    return y.where(sure >= OPTIONS["confidence_threshold"], 255)


def layout(labels: Tensor) -> list[float]:
    """Shares of the classes in a patch and in its quarters."""
    half = PATCH // 2
    quarters = [labels[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    weighted = [(labels, 1), *((part, 4) for part in quarters)]
    return [float((part == c).sum()) / part.numel() / parts for part, parts in weighted for c in range(CLASSES)]


def test_the_contrast_by_hand() -> None:
    method, now = build(), step()
    y, y_u = now.labelled.labels, teacher_labels(method, now)
    seen: list[Tensor] = []
    hook = method.projection.register_forward_hook(lambda module, given, output: seen.append(output.detach().double()))
    losses = method.losses(now)
    hook.remove()
    nothing = torch.full_like(y[0], 255)
    source, target = [nothing, y[1], y[2]], [y[0], nothing, nothing, *y_u]
    cells = [(b, py, px) for b in range(8) for py in range(2) for px in range(3)]
    assert len(seen[0]) == len(cells), "patches of the labelled crops twice, as of the source and of the target"
    chosen: dict[str, list[tuple[list[float], Tensor]]] = {"source": [], "target": []}
    for (b, py, px), z in zip(cells, seen[0], strict=True):
        labels = [*source, *target][b][py * PATCH : (py + 1) * PATCH, px * PATCH : (px + 1) * PATCH]
        if (labels != 255).double().mean() >= 0.5:
            chosen["source" if b < 3 else "target"].append((layout(labels), z / z.norm()))
    assert len(chosen["source"]) == 8 and 4 < len(chosen["target"]) <= 16
    assert (y_u == 255).any()

    pairs, alike = 0, 0
    terms = []
    for anchors, keys in (("target", "source"), ("source", "target")):
        of_anchors = []
        for one, z in chosen[anchors]:
            near, everything = 0.0, 0.0
            for two, other in chosen[keys]:
                distance = sum(abs(a - b) for a, b in zip(one, two, strict=True)) / 2 / 2
                power = math.exp((z @ other).item() / OPTIONS["temperature"])
                everything += power
                pairs, alike = pairs + 1, alike + (distance <= OPTIONS["alike"])
                near += power * (distance <= OPTIONS["alike"])
            if near:
                of_anchors.append(-math.log(near / everything))
        terms.append(sum(of_anchors) / len(of_anchors))
    assert 0 < alike < pairs
    assert losses["contrastive"].item() == pytest.approx(sum(terms) / 2, rel=1e-4)
    assert losses["alike"].item() == pytest.approx(alike / pairs, rel=1e-5)
    assert losses["confident"].item() == pytest.approx((y_u != 255).float().mean().item(), rel=1e-5)
    torch.testing.assert_close(losses["loss"], losses["supervised"] + 0.1 * losses["contrastive"])


def test_a_feature_is_the_mean_of_the_pixels_that_show_the_domain() -> None:
    g = torch.Generator().manual_seed(1)
    features, shown = torch.randn(2, 7, 8, 12, generator=g), torch.rand(2, 8, 12, generator=g) < 0.5
    shown[0, :4, :4] = False
    found = patch_means(features, shown, (2, 3))
    for b in range(2):
        for y in range(2):
            for x in range(3):
                at = slice(4 * y, 4 * y + 4), slice(4 * x, 4 * x + 4)
                chosen = features[b][:, *at][:, shown[b][at]]
                expected = chosen.mean(1) if chosen.numel() else torch.zeros(7)
                torch.testing.assert_close(found[b, :, y, x], expected)
    coarse = patch_means(features[..., :2, :3], torch.ones(2, 8, 12, dtype=torch.bool), (4, 6))
    assert torch.equal(coarse, F.interpolate(features[..., :2, :3], size=(4, 6), mode="nearest"))


def test_the_term_rests_during_the_warm_up() -> None:
    method = build()
    assert method.warmup == 1
    early, late = (method.losses(step(iteration=iteration)) for iteration in (0, 1))
    assert early["contrastive"] == 0 < late["contrastive"]


@pytest.mark.parametrize("target", [[False] * 3, [True] * 3])
def test_one_domain_alone(target: list[bool]) -> None:
    losses = build(method__patch_contrast__contrastive__alike=0.95).losses(step(target))
    assert all(torch.isfinite(value) for value in losses.values())
    assert bool(losses["contrastive"] > 0) is (target == [False] * 3), "the unlabelled crops are of the target"


def test_without_a_source_the_labelled_crops_stand_for_it() -> None:
    now = step([False] * 3)
    alone = now._replace(labelled=now.labelled._replace(target=None))
    one, two = build().losses(now), build().losses(alone._replace(draws=torch.Generator().manual_seed(4)))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_student_and_head_learn_and_the_teacher_does_not() -> None:
    method = build()
    method.losses(step())["contrastive"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.projection.parameters())
    assert method.student.backbone.conv1.weight.grad.any()
    assert all(p.grad is None for p in method.teacher.parameters())
    assert any(group.name == "heads" for group in method.groups())


def test_no_layout_is_alike_and_no_patch_known() -> None:
    strict = build(method__patch_contrast__contrastive__alike=0)
    losses = strict.losses(step())
    assert losses["contrastive"] == losses["alike"] == 0 and torch.isfinite(losses["loss"])
    nowhere = step(inside=torch.zeros(2, HEIGHT, WIDTH, dtype=torch.bool), target=[False] * 3)
    losses = build().losses(nowhere)
    assert losses["contrastive"] == losses["confident"] == 0
    losses["loss"].backward()
