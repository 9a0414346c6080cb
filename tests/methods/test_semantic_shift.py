"""Two domains by hand: which pixels and classes are of which, who learns from whom, and critics that cannot tell."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from by_hand import made
from torch import Tensor

from semiseg.methods import Batch, Step
from semiseg.methods.base.domains import labels_of_domains
from semiseg.methods.base.views import LabelledView
from semiseg.methods.semantic_shift import SemanticShift, named
from semiseg.networks import upsample
from semiseg.training.optimisers import Optimisers

CLASSES, HEIGHT, WIDTH = 5, 32, 48


def build(**changes: object) -> SemanticShift:
    method = made("semantic_shift", CLASSES, **{"method__class_balance__enabled": False, **changes})
    assert isinstance(method, SemanticShift)
    return method


def step(target: list[bool] | None, inside: Tensor | None = None, absent: int = 4) -> Step:
    """Three labelled crops, whose class ``absent`` is nowhere, and two unlabelled ones."""
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES - 1, (3, HEIGHT // 8, WIDTH // 8), generator=g)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[labels == absent] = 255
    labels[:, :, 40:] = 255
    known = Batch(images[:3], labels, None if target is None else torch.tensor(target))
    unlabelled = Batch(images[3:], torch.full((2, HEIGHT, WIDTH), 255), inside=inside)
    return Step(known, unlabelled, 3, torch.Generator().manual_seed(4))


def output(method: SemanticShift, now: Step) -> tuple[Tensor, Tensor]:
    """Full-size logits of all crops and features of the labelled ones, from one pass as in the step."""
    with torch.no_grad():
        given = method.student(torch.cat([now.labelled.images, now.x_u.images]))
    return upsample(given.logits, (HEIGHT, WIDTH)), given.features[:3]


def test_global_and_semantic_terms_by_hand() -> None:
    method, now = build(), step([True, False, False])
    logits, features = output(method, now)
    losses = method.losses(now)
    labels = now.labelled.labels
    with torch.no_grad():
        scores = method.critic(logits.softmax(1)).double()
    known = labels != 255
    fake = torch.cat([scores[0][known[0]], scores[3:].flatten()])
    real = torch.cat([scores[1][known[1]], scores[2][known[2]]])
    assert losses["adversarial"].item() == pytest.approx(F.softplus(-fake).mean().item(), rel=1e-5)
    both = F.softplus(-real).mean() + F.softplus(fake).mean()
    assert losses["critic"].item() == pytest.approx(both.item() / 2, rel=1e-5)

    exact = copy.deepcopy(method.semantic_critic).double()
    small = F.interpolate(labels[:, None].float(), size=features.shape[-2:], mode="nearest-exact")[:, 0]
    deceived, of_source, of_target = [], [], []
    for b in range(3):
        for c in range(CLASSES):
            if (chosen := small[b] == c).any():
                vector = features[b][:, chosen].double().mean(1)
                p = exact(vector).log_softmax(0)
                if b == 0:
                    deceived.append(-p[c].item())
                    of_target.append(-p[CLASSES + c].item())
                else:
                    of_source.append(-p[c].item())
    assert 0 < len(deceived) < CLASSES
    assert losses["semantic"].item() == pytest.approx(sum(deceived) / len(deceived), rel=1e-5)
    both = sum(of_source) / len(of_source) + sum(of_target) / len(of_target)
    assert losses["semantic_critic"].item() == pytest.approx(both / 2, rel=1e-5)
    w = method.options.weights
    total = w.supervised * losses["supervised"] + w.adversarial * losses["adversarial"]
    total = total + w.semantic * losses["semantic"] + w.critic * (losses["critic"] + losses["semantic_critic"])
    torch.testing.assert_close(losses["loss"], total)


@pytest.mark.parametrize("term", ["adversarial", "semantic"])
def test_the_student_deceives_critics_that_stand_still_and_these_never_move_it(term: str) -> None:
    method, now = build(), step([True, False, False])
    method.losses(now)[term].backward()
    assert any(p.grad is not None and p.grad.any() for p in method.student.parameters())
    critics = [*method.critic.parameters(), *method.semantic_critic.parameters()]
    assert all(p.grad is None for p in critics)
    method.zero_grad()
    losses = method.losses(now)
    (losses["critic"] + losses["semantic_critic"]).backward()
    assert all(p.grad is None or not p.grad.any() for p in method.student.parameters())
    assert all(p.grad is not None and p.grad.any() for p in critics)


def test_critics_to_which_both_domains_are_one_move_nothing_between_them() -> None:
    """As under equal domains the best ones: that of pixels says a half, that of classes the same for either domain."""
    method = build()
    with torch.no_grad():
        for p in method.critic.parameters():
            p.zero_()
        last = method.semantic_critic.layers[-1]
        last.weight[CLASSES:], last.bias[CLASSES:] = last.weight[:CLASSES], last.bias[:CLASSES]
    adversarial = method.losses(step([True, False, False]))["adversarial"]
    assert adversarial.item() == pytest.approx(math.log(2))
    found = torch.autograd.grad(adversarial, list(method.student.parameters()), allow_unused=True)
    assert not any(g.any() for g in found if g is not None)

    vectors = torch.randn(2, CLASSES, method.student.feature_dim, requires_grad=True)
    present = torch.rand(2, CLASSES) < 0.6
    as_source, as_target = (
        torch.autograd.grad(named(method.semantic_critic(vectors), present, first), vectors)[0]
        for first in (0, CLASSES)
    )
    torch.testing.assert_close(as_source, as_target)
    assert as_source.any(2).equal(present), "what is left is the class, of those that are there"


def test_a_class_that_is_absent_adds_nothing() -> None:
    """Its scores may be whatever they are; and with no class at all nothing is left."""
    method = build()
    with torch.no_grad():
        for k in (4, CLASSES + 4):  # never shown: it lowers every class's share, so keep it far below
            method.semantic_critic.layers[-1].bias[k] = -50.0
    before = method.losses(step([True, False, False]))
    with torch.no_grad():
        for k in (4, CLASSES + 4):
            method.semantic_critic.layers[-1].bias[k] = -90.0
    after = method.losses(step([True, False, False]))
    assert before["semantic"] == after["semantic"] and before["semantic_critic"] == after["semantic_critic"]
    now = step([True, False, False])
    nothing = now.labelled._replace(labels=torch.full_like(now.labelled.labels, 255))
    losses = method.losses(now._replace(labelled=nothing))
    assert losses["semantic"] == losses["semantic_critic"] == 0 and torch.isfinite(losses["loss"])


@pytest.mark.parametrize("target", [[False] * 3, [True] * 3, None])
def test_one_domain_alone_leaves_the_semantic_term_at_rest(target: list[bool] | None) -> None:
    method = build()
    losses = method.losses(step(target))
    assert all(torch.isfinite(value) for value in losses.values())
    assert bool(losses["semantic"] == 0) is (target != [True] * 3)
    assert losses["adversarial"] > 0 and losses["critic"] > 0


def test_without_a_source_the_labelled_crops_stand_for_it() -> None:
    alone, source = (build().losses(step(target)) for target in (None, [False] * 3))
    assert all(torch.equal(alone[key], source[key]) for key in alone)


def test_pasted_pixels_keep_their_domain() -> None:
    labels = torch.tensor([[[0, 1], [2, 255]], [[3, 4], [255, 1]]])
    of_target = torch.tensor([[[0, 255], [2, 255]], [[255, 4], [255, 255]]])  # 1 and 4 came from the other crop
    batch = Batch(torch.zeros(2, 3, 2, 2), labels, torch.tensor([True, False]))
    source, target = labels_of_domains(batch, LabelledView(batch.images, labels, of_target))
    assert source.tolist() == [[[255, 1], [255, 255]], [[3, 255], [255, 1]]]
    assert torch.equal(target, of_target)


def test_padding_is_seen_by_nobody() -> None:
    inside = torch.ones(2, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, :, 16:] = False
    method, now = build(), step([True, False, False], inside)
    logits, _ = output(method, now)
    losses = method.losses(now)
    with torch.no_grad():
        p = torch.cat([logits[:3].softmax(1), logits[3:].softmax(1) * inside[:, None]])
        scores = method.critic(p).double()
    fake = torch.cat([scores[0][now.labelled.labels[0] != 255], scores[3:][inside]])
    assert losses["adversarial"].item() == pytest.approx(F.softplus(-fake).mean().item(), rel=1e-5)


def test_the_weight_of_the_semantic_term_acts() -> None:
    losses = [
        build(method__semantic_shift__weights__semantic=weight).losses(step([True, False, False]))
        for weight in (0.0, 0.5)
    ]
    difference = losses[1]["loss"] - losses[0]["loss"]
    torch.testing.assert_close(difference, 0.5 * losses[0]["semantic"], rtol=1e-3, atol=1e-5)


def test_both_critics_have_an_optimiser_of_their_own() -> None:
    method = build()
    optimisers = Optimisers(method)
    stepped = {id(p) for p in optimisers.parameters("critic")}
    assert stepped == {id(p) for m in (method.critic, method.semantic_critic) for p in m.parameters()}
    assert isinstance(optimisers.by_name["critic"], torch.optim.Adam)
    assert optimisers.by_name["critic"].param_groups[0]["betas"] == (0.9, 0.99)
