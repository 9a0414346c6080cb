"""The paper's step against eqs. 1-7 done by hand from what went through student and teacher."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from conftest import tiny
from torch import Tensor

from semiseg.class_balance import class_weights
from semiseg.methods import Batch, Step, method_class
from semiseg.methods import memory_bank as module
from semiseg.methods.base.views import NOTHING
from semiseg.methods.memory_bank import MemoryBankMethod
from semiseg.networks import upsample
from semiseg.networks.build import build_network_of

SIZE = 32


def build(classes: int = 3, labelled: int = 4, seed: int = 0, **changes: object) -> MemoryBankMethod:
    torch.manual_seed(seed)
    config = tiny(Path("."), Path("."), **changes)
    method = MemoryBankMethod(config, build_network_of(config, classes), labelled)
    method.train()
    return method


def batches(classes: int = 3, seed: int = 0, size: tuple[int, int] = (SIZE, SIZE)) -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(seed)
    images = torch.rand(4, 3, *size, generator=g)
    labels = torch.randint(0, classes, (2, *size), generator=g)
    return Batch(images[:2], labels), Batch(images[2:], torch.full((2, *size), 255))


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Watched:
    """A step with everything that went in and out of student, teacher and views."""

    def __init__(self, method: MemoryBankMethod, iteration: int, *given: Batch) -> None:
        seen: dict[str, tuple[Tensor, Any]] = {}
        views: list[tuple[Tensor, Tensor, Tensor]] = []

        def keep(name: str) -> Callable[..., None]:
            return lambda module, inputs, output: seen.__setitem__(name, (inputs[0].detach(), output))

        strong = method.views.strong

        def keep_view(*words: Any) -> tuple[Tensor, Tensor, Tensor]:
            views.append(strong(*words))
            return views[-1]

        method.views.strong = keep_view  # type: ignore[method-assign]
        hooks = [m.register_forward_hook(keep(n)) for n, m in (("s", method.student), ("t", method.teacher))]
        labelled, unlabelled = given or batches()
        self.terms = method.losses(Step(labelled, unlabelled, iteration, generator()))
        for hook in hooks:
            hook.remove()
        self.views, (self.student_images, student), (self.teacher_images, teacher) = views, seen["s"], seen["t"]
        self.student_logits = upsample(student.logits, self.student_images.shape[-2:]).detach()
        self.teacher_logits = upsample(teacher.logits, self.teacher_images.shape[-2:])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"method__pseudo__views": 3, "method__pseudo__sharpness": 1},
        {"method__loss__entropy_base": "classes", "method__loss__entropy_valid_only": True},
        {"method__loss__divisor": "weights", "method__class_balance__enabled": False},
    ],
    ids=str,
)
def test_every_term_is_its_equation(changes: dict[str, object]) -> None:
    method = build(method__augment__weak="none", **changes)
    labelled, unlabelled = batches()
    step = Watched(method, 2, labelled, unlabelled)
    config, settings, views = method.config, method.options, method.options.pseudo.views
    assert len(step.views) == views
    assert torch.equal(step.teacher_images, torch.cat([labelled.images, unlabelled.images])), "un-augmented crops"
    assert torch.equal(step.student_images, torch.cat([labelled.images, *(view[0] for view in step.views)]))

    confidence, y_u = step.teacher_logits[2:].softmax(1).max(1)  # eq. 5
    pixels = torch.cat([labelled.labels.flatten(), y_u.flatten()]).bincount(minlength=3)
    assert method.counts.counts.tolist() == pixels.tolist()
    alpha = class_weights(pixels.double()) if config.class_balance.enabled else None
    torch.testing.assert_close(step.terms["confidence"], confidence.mean())

    l_sup, _ = oracles.cross_entropy(
        step.student_logits[:2], labelled.labels, alpha, divisor=config.loss.divisor
    )  # eq. 4
    assert step.terms["supervised"].item() == pytest.approx(l_sup, rel=1e-4)
    pseudo, entropy = [], []
    for a in range(views):  # eqs. 6 and 7: 1/A of the sum over the views
        logits = step.student_logits[2 + 2 * a : 4 + 2 * a]
        _, y, sure = step.views[a]
        pseudo.append(oracles.cross_entropy(logits, y, alpha, sure**settings.pseudo.sharpness)[0])
        shown = (y != 255).sum().item()  # the border that a reduced image leaves is no image
        by_pixel = oracles.entropy(logits, y != 255, settings.loss.entropy_base)[0]
        entropy.append((by_pixel * shown, shown if settings.loss.entropy_valid_only else y.numel()))
    assert step.terms["pseudo"].item() == pytest.approx(sum(pseudo) / views, rel=1e-4)
    by_hand = sum(h for h, _ in entropy) / sum(n for _, n in entropy)
    assert step.terms["entropy"].item() == pytest.approx(by_hand, rel=1e-4)
    w = settings.weights
    total = (w.supervised * l_sup + w.pseudo * sum(pseudo) / views + w.entropy * by_hand
             + w.contrastive * step.terms["contrastive"].item())  # fmt: skip
    assert step.terms["loss"].item() == pytest.approx(total, rel=1e-4)


def test_lambdas_weigh_their_own_term() -> None:
    reference = build().losses(Step(*batches(), 2, generator()))
    for name, key in (("supervised", "supervised"), ("pseudo", "pseudo"), ("entropy", "entropy"),
                      ("contrastive", "contrastive")):  # fmt: skip
        changed = build(**{f"method__weights__{name}": 0.5}).losses(Step(*batches(), 2, generator()))
        weight = getattr(build().options.weights, name)
        wanted = reference["loss"] + (0.5 - weight) * reference[key]
        torch.testing.assert_close(changed["loss"], wanted, rtol=1e-5, atol=1e-5)


def test_views_carry_pseudo_label_and_confidence_through_geometry_and_mixing() -> None:
    method = build(method__augment__weak="none")
    method.views.strong_set = NOTHING
    plain = Watched(method, 2)
    sure, y_u = plain.teacher_logits[2:].softmax(1).max(1)
    for images, labels, confidence in plain.views:
        assert torch.equal(images, batches()[1].images)
        assert torch.equal(labels, y_u) and torch.equal(confidence, sure)
    # A pixel's colour, label and confidence must stay together: encode the place in each and compare.
    method = build()
    method.views.strong_set = type(NOTHING)(1.0, 1.0, 0, 0, 0, 0, 0, 0, 1.0, (1.0, 1.0))
    place = torch.arange(SIZE * SIZE).view(1, SIZE, SIZE).repeat(2, 1, 1)
    place[1] += 4000
    labels = (place // 100) % 3
    images = torch.stack([place / 8000] * 3, 1)
    x, y, c = method.views.strong(Step(*batches(), 2, generator()), images, labels, place.float())
    found = (x[:, 0] * 8000).round().long()
    assert torch.equal(found, c.round().long()) and torch.equal(y, (found // 100) % 3)
    assert not torch.equal(found, place)


def test_padding_of_a_small_image_gets_no_pseudo_label() -> None:
    method = build(method__augment__weak="none")
    method.views.strong_set = NOTHING
    labelled, unlabelled = batches()
    inside = torch.ones(2, SIZE, SIZE, dtype=torch.bool)
    inside[1, 20:] = False
    plain = Watched(method, 2, labelled, unlabelled._replace(inside=inside))
    y_u = plain.teacher_logits[2:].argmax(1)
    for _, labels, _ in plain.views:
        assert torch.equal(labels, y_u.where(inside, 255))


@pytest.mark.parametrize(("start", "first_filled"), [(0.0, 0), (0.5, 5)])
def test_warmup_bank_first_then_the_terms(start: float, first_filled: int) -> None:
    method = build(training__iterations=40, method__contrastive__bank_start=start)
    assert method.warmup == 10
    for iteration in (0, 4, 5, 9, 10):
        terms = method.losses(Step(*batches(seed=iteration), iteration, generator()))
        assert bool(method.contrast.bank.counts.sum() > 0) is (iteration >= first_filled), iteration
        assert bool(terms["contrastive"] > 0) is (iteration >= 10), iteration
        w = method.options.weights
        late = float(iteration >= 10)
        wanted = terms["supervised"] + w.entropy * terms["entropy"]
        wanted = wanted + late * (w.pseudo * terms["pseudo"] + w.contrastive * terms["contrastive"])
        torch.testing.assert_close(terms["loss"], wanted)


def test_pseudo_labels_count_for_class_balance_only_after_the_warmup() -> None:
    method = build(training__iterations=40)
    method.losses(Step(*batches(), 9, generator()))
    assert method.counts.counts.sum() == 2 * SIZE * SIZE
    method.losses(Step(*batches(), 10, generator()))
    assert method.counts.counts.sum() == (2 + 4) * SIZE * SIZE


def test_the_bank_knows_nothing_of_unlabelled_images() -> None:
    banks = []
    for seed in (0, 1):
        method = build(method__contrastive__quality_filter=False)
        labelled, _ = batches()
        method.losses(Step(labelled, batches(seed=seed)[1], 2, generator()))
        banks.append(method.contrast.bank.vectors)
    assert len(banks[0]) > 0
    torch.testing.assert_close(*banks)


def test_no_contrastive_weight_no_contrastive_work() -> None:
    method = build(method__weights__contrastive=0)
    for part in method.contrast.modules():
        if part is not method.contrast:
            part.register_forward_pre_hook(lambda *_: pytest.fail("the contrastive module runs"))
    before = {name: value.clone() for name, value in method.contrast.state_dict().items()}
    step = Watched(method, 2)
    step.terms["loss"].backward()
    method.after_step(Step(*batches(), 2, generator()))
    assert len(step.teacher_images) == 2, "the unlabelled crops alone"
    assert method.measures() == dict.fromkeys(method.measured) and method.remarks(method.measures()) == []
    assert method.contrast.bank.counts.sum() == 0 and step.terms["contrastive"] == 0
    assert all(p.grad is None for p in method.contrast.parameters())
    assert all(torch.equal(value, before[name]) for name, value in method.contrast.state_dict().items())
    assert method.averages() == [(method.teacher, method.student)]


@pytest.mark.parametrize(
    ("changes", "iteration", "seen"),
    [
        ({}, 0, 4),
        ({"method__contrastive__teacher_features": False}, 2, 2),
        ({"training__iterations": 40, "method__contrastive__bank_start": 0.5}, 4, 2),
        ({"training__iterations": 40, "method__contrastive__bank_start": 0.5}, 5, 4),
    ],
)
def test_the_teacher_sees_labelled_crops_only_where_the_bank_takes_them(
    changes: dict[str, object], iteration: int, seen: int
) -> None:
    assert len(Watched(build(**changes), iteration).teacher_images) == seen


@pytest.mark.parametrize(("name", "function"), [("entropy", "entropy"), ("pseudo", "weighted_cross_entropy")])
def test_a_term_without_weight_is_not_computed(name: str, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, function, lambda *_: pytest.fail(f"{name} is computed"))
    method = build(**{f"method__weights__{name}": 0})
    if name == "pseudo":
        terms = method.losses(Step(*batches(), 2, generator()))
        early = build(method__weights__entropy=0).losses(Step(*batches(), 0, generator()))
        assert early["pseudo"] == 0, "it rests in the warm-up"
    else:
        terms = method.losses(Step(*batches(), 2, generator()))
    assert terms[name] == 0 and terms.keys() == {"loss", *method.terms, *method.watched}
    terms["loss"].backward()


def test_without_weights_it_is_the_supervised_term_bit_for_bit() -> None:
    off = {f"method__weights__{name}": 0 for name in ("pseudo", "entropy", "contrastive")}
    one, other = build(**off), build()
    one.losses(Step(*batches(), 2, generator()))["loss"].backward()
    other.losses(Step(*batches(), 2, generator()))["supervised"].backward()
    wanted = dict(other.student.named_parameters())
    for parameter, p in one.student.named_parameters():
        assert p.grad is not None and torch.equal(p.grad, wanted[parameter].grad), parameter


def test_attention_has_a_learning_rate_of_its_own_where_it_is_given() -> None:
    for given, wanted in ((None, 3.0), (0.0, 0.0), (0.5, 0.5)):
        words = {} if given is None else {"training__lr_multipliers__attention": given}
        method = build(training__lr_multipliers__heads=3, **words)
        groups = {group.name: group for group in method.groups()}
        assert groups["heads"].multiplier == 3 and groups["attention"].multiplier == wanted
        contrast = method.contrast
        attention = {id(p) for part in (contrast.attention_p, contrast.attention_z) for p in part.parameters()}
        assert {id(p) for p in groups["attention"].parameters} == attention


def test_gradients_reach_every_trainable_parameter_and_heads_follow_eq_2() -> None:
    method = build(method__teacher__momentum_start=0.9, method__contrastive__quality_filter=False)
    groups = method.groups()
    optimiser = torch.optim.SGD([p for group in groups for p in group.parameters], lr=0.05)
    for iteration in (2, 3):
        pairs = method.averages()
        before = [[p.clone() for p in teacher.parameters()] for teacher, _ in pairs]
        method.losses(Step(*batches(seed=iteration), iteration, generator()))["loss"].backward()
        trained = {n: p.grad for n, p in method.named_parameters() if p.requires_grad}
        assert [n for n, g in trained.items() if g is None] == []
        # Where a BatchNorm follows, a bias has no effect and its gradient is rounding.
        dead = [n for n, g in trained.items() if not g.abs().any() and "bias" not in n]
        assert dead == []
        assert all(p.grad is None for teacher, _ in pairs for p in teacher.parameters())
        optimiser.step()
        optimiser.zero_grad()
        method.after_step(Step(*batches(), iteration, generator()))
        tau = oracles.momentum(iteration, 4, 0.9, 1.0)
        for (teacher, student), old in zip(pairs, before, strict=True):
            moved = [tau * o + (1 - tau) * s for o, s in zip(old, student.parameters(), strict=True)]
            torch.testing.assert_close(list(teacher.parameters()), moved)
    assert len(method.averages()) == 4


@pytest.mark.parametrize(
    ("classes", "size", "changes"),
    [
        (2, (SIZE, SIZE), {}),
        (3, (33, 47), {}),
        (3, (SIZE, SIZE), {"training__batch_size": 1}),
        (3, (SIZE, SIZE), {"method__augment__classmix_exclude": 0, "method__profile": "reference"}),
    ],
)
def test_sizes_classes_and_batches_that_are_awkward(
    classes: int, size: tuple[int, int], changes: dict[str, object]
) -> None:
    method = build(classes, **changes)
    labelled, unlabelled = batches(classes, size=size)
    labelled.labels[0] = 255  # an image that teaches nothing beside one that does
    terms = method.losses(Step(labelled, unlabelled, 3, generator()))
    terms["loss"].backward()
    assert all(torch.isfinite(v) for v in terms.values()) and terms["supervised"] > 0
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


def test_draws_come_from_the_given_generator_alone() -> None:
    results = []
    for seed in (1, 2):
        method = build()
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        results.append(method.losses(Step(*batches(), 2, generator()))["loss"].item())
        assert torch.equal(torch.get_rng_state(), state)
    assert results[0] == results[1]
    assert build().losses(Step(*batches(), 2, generator(6)))["loss"].item() != results[0]


def test_everything_that_training_must_not_lose_is_in_the_state() -> None:
    method, restored = build(), build(seed=1)
    method.losses(Step(*batches(), 2, generator()))
    method.after_step(Step(*batches(), 2, generator()))
    restored.load_state_dict(method.state_dict())
    for iteration in (3, 4):
        one, other = (m.losses(Step(*batches(seed=9), iteration, generator(iteration))) for m in (method, restored))
        assert {k: v.item() for k, v in one.items()} == {k: v.item() for k, v in other.items()}
    assert torch.equal(method.contrast.bank.vectors, restored.contrast.bank.vectors)


def test_distance_is_the_cosine_distance_to_the_nearest_vector_of_the_bank() -> None:
    method = build().eval()
    method.contrast.teacher_projection.norm.running_mean.fill_(0.1)  # as of a head that has learnt
    features = torch.randn(2, method.student.feature_dim, 4, 6, generator=generator())
    assert method.distance(features, 32) is None, "the bank is empty"
    stored = torch.randn(3, 16, generator=generator(7))
    method.contrast.bank.push(stored, torch.tensor([0, 0, 2]), torch.ones(3), torch.zeros(3, dtype=torch.int64), 2)
    found = method.distance(features, 32)
    assert found is not None and found.shape == (2 * 4 * 6,) and found.dtype == torch.float32
    with torch.no_grad():
        z = method.contrast.teacher_projection(features[1, :, 2, 3][None])[0]  # the last image, row 2, column 3
    nearest = max(float(torch.cosine_similarity(z, vector, dim=0)) for vector in stored)
    assert float(found[24 + 2 * 6 + 3]) == pytest.approx(1 - nearest, abs=1e-5)
    finer = method.distance(features, 16)  # stride 4: averaged down to 8
    assert finer is not None and finer.shape == (2 * 2 * 3,)


def test_methods_that_store_nothing_know_no_distance() -> None:
    config = tiny(Path("."), Path("."), method__name="supervised")
    method = method_class("supervised")(config, build_network_of(config, 3), 4).eval()
    assert method.distance(torch.randn(1, method.student.feature_dim, 4, 4), 32) is None
