"""What every method promises, whatever it does with the unlabelled images. A new method adds its row to the tables.

Runs, processes and draws are held for all methods elsewhere: ``test_runs.py`` (resume in the middle, hidden masks, two
processes), ``test_methods.py`` (labels of unlabelled crops, groups), ``test_baselines.py`` (draws), ``test_stages.py``
(two stages).
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny
from fake_networks import pixelwise
from torch import Tensor

from semiseg.methods import Batch, Method, Step, method_class, method_names
from semiseg.methods.base.bank import method_of
from semiseg.methods.base.views import NOTHING
from semiseg.networks import Output
from semiseg.networks.segmentation import SegmentationNetwork

CLASSES, HEIGHT, WIDTH = 5, 16, 24


def plain(name: str) -> str:
    """The method of a name that may ask for a bank beside it."""
    return name.removesuffix("+bank")


OFF: dict[str, list[str]] = {  # settings with which the unlabelled images have no weight
    "ael": ["weights.pseudo", "pseudo.paste_probability"],
    "adversarial": [f"weights.{term}" for term in ("pseudo", "adversarial", "adversarial_unlabelled", "critic")],
    "supervised": [],
    "joint_statistics": [],
    "mean_teacher": ["weights.pseudo"],
    "cutmix": ["weights.pseudo"],
    "cbc": ["weights.pseudo"],
    "context_aware": ["weights.contrastive"],
    "cutout": ["weights.pseudo"],
    "classmix": ["weights.pseudo"],
    "dmt": ["weights.pseudo"],
    "error_correcting": ["weights.pseudo", "weights.auxiliary", "weights.corrector"],
    "fixmatch": ["weights.pseudo"],
    "unimatch": ["weights.pseudo"],
    "augseg": ["weights.pseudo"],
    "prevmatch": ["weights.pseudo"],
    "corrmatch": ["weights.pseudo", "weights.correlation"],
    "memory_bank": ["weights.pseudo", "weights.entropy", "weights.contrastive"],
    "unimatch_v2": ["weights.pseudo"],
    "reco": ["weights.pseudo", "weights.contrastive"],
    "u2pl": ["weights.pseudo", "weights.contrastive"],
    "s4gan": ["weights.pseudo", "weights.matching", "weights.critic"],
    "patch_contrast": ["weights.contrastive"],
    "semantic_shift": ["weights.adversarial", "weights.semantic", "weights.critic"],
}
THRESHOLD: dict[str, tuple[str, str]] = {  # the least confidence of a pseudo-label, and the share that has it
    "adversarial": ("pseudo.score_threshold", "trusted"),
    "cutmix": ("pseudo.confidence_threshold", "confident"),
    "cutout": ("pseudo.confidence_threshold", "confident"),
    "classmix": ("pseudo.confidence_threshold", "confident"),
    "fixmatch": ("pseudo.confidence_threshold", "confident"),
    "unimatch_v2": ("pseudo.confidence_threshold", "confident"),
    "patch_contrast": ("contrastive.confidence_threshold", "confident"),
    "reco": ("pseudo.confidence_threshold", "confident"),
    "s4gan": ("pseudo.score_threshold", "trusted"),
    "unimatch": ("pseudo.confidence_threshold", "confident"),
    "prevmatch": ("pseudo.confidence_threshold", "confident"),
}
NO_THRESHOLD = {  # nothing is left out by confidence, or not by that of the settings alone
    "supervised", "joint_statistics", "mean_teacher", "memory_bank", "cbc", "dmt", "error_correcting",
    "semantic_shift",
    "ael",  # it is drawn by class
    "context_aware",  # a view is measured against the other first
    "u2pl",  # it is by entropy, and its line moves
    "augseg",  # labelled pixels among the unlabelled ones are always sure
    "corrmatch",  # it moves by itself
}  # fmt: skip
MEETS: dict[str, dict[str, str]] = {  # without which its terms are at rest in crops as small and random as these
    "context_aware": {"method.context_aware.contrastive.least_confidence": "0"},
    "patch_contrast": {
        "method.patch_contrast.contrastive.patch": "8",
        "method.patch_contrast.contrastive.alike": "0.8",
    },
}
NUMBERED: dict[str, str] = {  # where renumbering the classes changes a step, and why
    "ael": "draws classes by their number",
    "adversarial": "every class is a channel of its own to the critic",
    "classmix": "draws classes by their number",
    "error_correcting": "every class is an input and an output of its own to the corrector",
    "memory_bank": "a class has an attention module of its own",
    "s4gan": "every class is a channel of its own to the critic",
    "semantic_shift": "every class is a channel of its own to a critic",
    "reco": "draws queries and negatives class by class",
    "u2pl": "draws queries and negatives class by class",
}
BANKED = [f"{name}+bank" for name in method_names() if method_class(name).takes_bank]
"""Each with the class-wise bank beside it, which must break none of these; ``test_bank.py`` has what it adds."""
ALL = [*method_names(), *BANKED]
UNLABELLED = [name for name in ALL if method_class(plain(name)).needs.unlabelled]


def build(name: str, *words: str, classes: int = CLASSES) -> Method:
    """On a network that sees single pixels, whose pictures nothing augments."""
    bank = {"method.bank": "true", "method.bank.quality_filter": "false", "method.bank.dim": "8",
            "method.bank.feature_stride": "network"} if "+" in name else {}  # fmt: skip
    name, changes = plain(name), bank | dict(word.split("=", 1) for word in words)
    usual = {"method.augment.weak": "none", "method.class_balance.enabled": "false", "training.passes": "in_turn",
             "method.warmup": "0"}  # fmt: skip
    given = {k.replace(".", "__"): v for k, v in (usual | MEETS.get(name, {}) | changes).items()}
    config = tiny(Path("."), Path("."), method__name=name, **given)
    torch.manual_seed(0)
    method: Method = method_of(config)(config, pixelwise(classes), 4)
    method.views.strong_set = NOTHING
    return method.train()


def step(*, inside: Tensor | None = None, labelled: int = 2, noise: float = 0.0, iteration: int = 3) -> Step:
    """Blocks of labels; of unlabelled crops ``inside`` (3, H, W) says what is no padding, and padding has noise."""
    g = torch.Generator().manual_seed(0)
    crops = 2 * 3  # a pair of each image, for methods that ask for one
    images = torch.rand(labelled + crops, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES, (labelled, HEIGHT // 8, WIDTH // 8), generator=g)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    unlabelled = images[labelled:]
    if inside is not None and noise:
        unlabelled = torch.where(inside[:, None], unlabelled, noise * torch.rand(unlabelled.shape, generator=g))
    corner = torch.tensor([[8 * (i % 2), 4 * (i // 3)] for i in range(crops)])
    nothing = torch.full((crops, HEIGHT, WIDTH), 255)
    everywhere = torch.ones(crops, HEIGHT, WIDTH, dtype=torch.bool)
    u = Batch(unlabelled, nothing, inside=everywhere if inside is None else inside, corner=corner)
    return Step(Batch(images[:labelled], labels), u, iteration, torch.Generator().manual_seed(7))


def for_method(method: Method, now: Step, order: Tensor | None = None) -> Step:
    """What its needs bring: one crop an image or two, stored labels, whose classes are renumbered, or none."""
    if not method.needs.unlabelled:
        return now._replace(unlabelled=None)
    u = now.x_u
    if method.needs.stored_labels:
        g = torch.Generator().manual_seed(1)
        labels = torch.randint(0, CLASSES, u.labels.shape, generator=g)
        labels = labels if order is None else order[labels]
        u = u._replace(labels=labels, confidence=torch.rand(labels.shape, generator=g))
    if method.needs.crops == 1:
        u = u._replace(**{k: v[:3] for k, v in u._asdict().items() if v is not None} | {"corner": None})
    else:  # places are compared at stride 8, where noise would be grey everywhere
        blocks = u.images[..., ::8, ::8]
        u = u._replace(images=blocks.repeat_interleave(8, -1).repeat_interleave(8, -2))
    return now._replace(unlabelled=u)


def gradients(method: Method, now: Step, order: Tensor | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Losses, and gradients of the student."""
    losses = method.losses(for_method(method, now, order))
    losses["loss"].backward()
    return losses, {name: p.grad for name, p in method.student.named_parameters() if p.grad is not None}


def networks(method: Method) -> list[SegmentationNetwork]:
    """Students and their teachers."""
    found = {id(network): network for network in (*method.learners().values(), *(t for t, _ in method.averages()))}
    return [network for network in found.values() if isinstance(network, SegmentationNetwork)]


def off(name: str) -> list[str]:
    bank = ["method.bank.weight=0"] if "+" in name else []
    return [*(f"method.{plain(name)}.{key}=0" for key in OFF[plain(name)]), *bank]


def changed(method: Method, key: str, value: float) -> None:
    """Set an option beyond what the configuration admits."""
    section, _, last = key.partition(".")
    part = getattr(method.options, section).model_copy(update={last: value})
    method.options = method.options.model_copy(update={section: part})


def test_every_method_has_its_row() -> None:
    assert OFF.keys() == set(method_names())
    assert NO_THRESHOLD | THRESHOLD.keys() == set(method_names()) and not NO_THRESHOLD & THRESHOLD.keys()
    assert NUMBERED.keys() <= set(method_names())


@pytest.mark.parametrize("name", ALL)
def test_terms_and_watched_are_what_it_returns(name: str) -> None:
    method = build(name)
    for iteration in (0, 3):
        losses = method.losses(for_method(method, step(iteration=iteration)))
        assert sorted(losses) == sorted(["loss", *method.terms, *method.watched])
        assert all(value.ndim == 0 for value in losses.values())


@pytest.mark.parametrize("name", UNLABELLED)
def test_without_weight_it_is_supervised_bit_for_bit(name: str) -> None:
    losses, found = gradients(build(name, *off(name)), step())
    alone, expected = gradients(build("supervised"), step())
    weight = (
        method_class(plain(name)).settings().model_dump().get("weights", {}).get("supervised", 1.0)
    )  # a power of 2: exact
    assert losses["supervised"].item() == alone["supervised"].item()
    assert losses["loss"].item() == weight * alone["loss"].item()
    assert found.keys() == expected.keys()
    assert [key for key, gradient in found.items() if not torch.equal(gradient, weight * expected[key])] == []


@pytest.mark.parametrize("name", [name for name in UNLABELLED if OFF[plain(name)]])
def test_with_weight_the_unlabelled_images_move_the_student(name: str) -> None:
    """The other side of the last: gradients of the unlabelled terms reach the student, and none its teacher."""
    key = THRESHOLD.get(plain(name), ("", ""))[0]
    words = [f"method.{plain(name)}.{key}=0"] if key else []
    method = moved(build(name, *words))
    for iteration in (2, 3):  # what is gathered in the first counts in the second
        losses, _ = gradients(method, step(iteration=iteration))
        method.zero_grad()
    losses = method.losses(for_method(method, step()))
    rest = losses["loss"] - losses["supervised"]
    grads = torch.autograd.grad(rest, [p for p in method.student.parameters() if p.requires_grad], allow_unused=True)
    assert sum(g.abs().sum().item() for g in grads if g is not None) > 1e-6
    for teacher, _ in method.averages():
        assert all(p.grad is None for p in teacher.parameters())


def moved(method: Method) -> Method:
    """With students that are not where their teachers are."""
    with torch.no_grad():
        for p in (p for network in method.learners().values() for p in network.parameters()):
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())), alpha=0.1)
    return method


@pytest.mark.parametrize("name", sorted(THRESHOLD))
def test_a_threshold_above_one_uses_no_pseudo_label_and_zero_uses_all(name: str) -> None:
    key, share = THRESHOLD[name]
    results = {}
    for value in (0.0, 1.1):
        method = moved(build(name))
        changed(method, key, value)
        results[value] = method.losses(for_method(method, step()))
    assert results[0.0][share] == 1 and results[1.1][share] == 0
    others = [term for term in method_class(plain(name)).terms if term != "supervised"]
    assert results[1.1][others[0]] == 0 < results[0.0][others[0]]


@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("name", ALL)
def test_extreme_logits_stay_finite(name: str, size: float) -> None:
    """A student and a teacher that are sure of everything, the wrong things among them."""
    method = build(name)

    def extreme(module: Any, given: Any, output: Output) -> Output:
        logits = output.logits - output.logits.mean()
        return output._replace(logits=size * logits / logits.detach().abs().max().clamp_min(1e-12))

    for network in networks(method):
        network.register_forward_hook(extreme)
    for iteration in (2, 3):
        losses, found = gradients(method, step(iteration=iteration))
        assert [key for key, value in losses.items() if not torch.isfinite(value)] == []
        assert [key for key, value in found.items() if not torch.isfinite(value).all()] == []


@pytest.mark.parametrize("name", ALL)
def test_bfloat16_is_finite_and_near(name: str) -> None:
    exact = build(name).losses(for_method(build(name), step()))
    method = build(name)
    with torch.autocast("cpu", torch.bfloat16):
        losses = method.losses(for_method(method, step()))
    losses["loss"].backward()
    assert all(value.dtype == torch.float32 for value in losses.values()), "a loss in 8 bits is none"
    assert all(torch.isfinite(value) for value in losses.values())
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
    torch.testing.assert_close(losses["supervised"], exact["supervised"], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", UNLABELLED)
def test_overwriting_padding_changes_nothing(name: str) -> None:
    inside = torch.ones(6, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, 8:] = False  # whole pixels of features that are averaged to stride 8
    inside[1, :, :8] = False
    results = []
    for noise in (0.0, 1.0):
        method = build(name)
        gradients(method, step(inside=inside, noise=noise, iteration=2))
        method.zero_grad()
        results.append(gradients(method, step(inside=inside, noise=noise)))
    (plain, one), (noisy, two) = results
    for key, value in plain.items():
        torch.testing.assert_close(noisy[key], value, rtol=1e-5, atol=1e-7, msg=key)
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-7, msg=key)


@pytest.mark.parametrize("name", [name for name in method_names() if name not in NUMBERED])
def test_renumbering_the_classes_renumbers_the_result(name: str) -> None:
    order = torch.tensor([3, 0, 4, 1, 2])  # class c becomes order[c]
    plain, renumbered = build(name), build(name)
    with torch.no_grad():
        for p in (p for network in networks(renumbered) for p in network.classifier.parameters()):
            p.copy_(p.clone()[order.argsort()])
    now = step()
    labels = order[now.labelled.labels]
    expected, one = gradients(plain, now)
    found, two = gradients(renumbered, step()._replace(labelled=now.labelled._replace(labels=labels)), order)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6, msg=key)
    for key, value in one.items():
        renamed = value if not key.startswith("classifier") else value[order.argsort()]
        torch.testing.assert_close(two[key], renamed, rtol=1e-3, atol=1e-6, msg=key)


@pytest.mark.parametrize("name", ALL)
def test_ignored_pixels_only_and_padding_only_are_no_loss(name: str) -> None:
    method = build(name)
    now = step(inside=torch.zeros(6, HEIGHT, WIDTH, dtype=torch.bool))
    now = now._replace(labelled=now.labelled._replace(labels=torch.full_like(now.labelled.labels, 255)))
    for iteration in (2, 3):
        losses, found = gradients(method, now._replace(iteration=iteration))
        assert all(torch.isfinite(value) for value in losses.values()) and losses["supervised"] == 0
        assert all(torch.isfinite(value).all() for value in found.values())


@pytest.mark.parametrize("name", ALL)
def test_a_single_labelled_image_and_one_class_suffice(name: str) -> None:
    method = build(name)
    for iteration in (2, 3):
        now = step(labelled=1, iteration=iteration)
        now = now._replace(labelled=now.labelled._replace(labels=torch.full_like(now.labelled.labels, 4)))
        losses, found = gradients(method, now)
        assert all(torch.isfinite(value) for value in losses.values()) and losses["supervised"] > 0
        assert all(torch.isfinite(value).all() for value in found.values())
        method.after_step(now)
