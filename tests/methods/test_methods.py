"""Every method through the same promises, then the paper's own."""

from pathlib import Path

import pytest
import torch
from conftest import as_needed, tiny

from semiseg.losses import weighted_cross_entropy
from semiseg.methods import Batch, Method, Step, method_class, method_names
from semiseg.methods.memory_bank import MemoryBankMethod
from semiseg.networks import upsample
from semiseg.networks.build import build_network_of


def build(name: str, classes: int = 3, **changes: object) -> Method:
    torch.manual_seed(0)
    config = tiny(Path("."), Path("."), method__name=name, **changes)
    method = method_class(name)(config, build_network_of(config, classes), labelled=4)
    return method.train()


def batches(classes: int = 3, seed: int = 0) -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(seed)
    images = torch.rand(4, 3, 32, 32, generator=g)
    labels = torch.randint(0, classes, (4, 4, 4), generator=g).repeat_interleave(8, 1).repeat_interleave(8, 2)
    return Batch(images[:2], labels[:2]), Batch(images[2:], labels[2:])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("name", method_names())
def test_two_steps_move_the_student_by_gradient_and_the_teacher_by_eq_2(name: str) -> None:
    method = build(name, method__teacher__momentum_start=0.9)
    optimiser = torch.optim.SGD([p for g in method.groups() for p in g.parameters], lr=0.05)
    labelled, unlabelled = batches()
    for iteration in (2, 3):
        step = Step(labelled, as_needed(unlabelled, method.needs), iteration, generator())
        before = [] if method.teacher is None else [p.clone() for p in method.teacher.parameters()]
        losses = method.losses(step)
        assert all(torch.isfinite(v) for v in losses.values())
        losses["loss"].backward()
        if method.teacher is not None:
            assert all(p.grad is None for p in method.teacher.parameters())
        missing = [n for n, p in method.student.named_parameters() if p.grad is None]
        assert missing == []
        optimiser.step()
        optimiser.zero_grad()
        method.after_step(step)
        tau = method.tau(iteration)
        if method.teacher is not None:
            networks = method.teacher.parameters(), method.student.parameters()
            for old, teacher, student in zip(before, *networks, strict=True):
                torch.testing.assert_close(teacher, tau * old + (1 - tau) * student)


@pytest.mark.parametrize("name", [name for name in method_names() if name != "supervised"])
def test_labels_of_unlabelled_crops_are_never_read(name: str) -> None:
    labelled, unlabelled = batches()
    unlabelled = as_needed(unlabelled, method_class(name).needs)
    first = build(name).losses(Step(labelled, unlabelled, 3, generator()))
    hidden = unlabelled._replace(labels=torch.full_like(unlabelled.labels, 255))
    second = build(name).losses(Step(labelled, hidden, 3, generator()))
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}


@pytest.mark.parametrize("name", method_names())
def test_groups_hold_every_trainable_parameter_once(name: str) -> None:
    method = build(name)
    grouped = [id(p) for group in method.groups() for p in group.parameters]
    assert sorted(grouped) == sorted(id(p) for p in method.parameters() if p.requires_grad)


def test_supervised_is_eq_4_on_the_weak_view() -> None:
    method = build("supervised", method__augment__weak="none", method__class_balance__enabled=False)
    labelled, _ = batches()
    loss = method.losses(Step(labelled, None, 0, generator()))["loss"]
    with torch.no_grad():
        logits = method.student(labelled.images).logits
    torch.testing.assert_close(loss.detach(), weighted_cross_entropy(upsample(logits, (32, 32)), labelled.labels))


def test_eq_1_is_the_weighted_sum_and_the_warmup_leaves_two_terms_out() -> None:
    method = build("memory_bank")
    assert isinstance(method, MemoryBankMethod)
    assert method.warmup == 1  # 0.25 of 4 iterations
    w = method.options.weights
    early = method.losses(Step(*batches(), 0, generator()))
    torch.testing.assert_close(early["loss"], early["supervised"] + w.entropy * early["entropy"])
    late = method.losses(Step(*batches(), 1, generator()))
    assert late["contrastive"] > 0 and late["pseudo"] > 0
    total = late["supervised"] + late["pseudo"] + 0.01 * late["entropy"] + 0.1 * late["contrastive"]
    torch.testing.assert_close(late["loss"], total)


def test_warmup_ramp_of_the_authors() -> None:
    method = build("memory_bank", training__iterations=400, method__pseudo__warmup="ramp")
    assert method.pseudo_weight(0) == pytest.approx(torch.exp(torch.tensor(-5.0)).item())
    assert method.pseudo_weight(50) == pytest.approx(torch.exp(torch.tensor(-1.25)).item())
    assert method.pseudo_weight(100) == 1


def test_contrastive_gradients_reach_heads_attention_and_backbone_but_no_teacher() -> None:
    method = build("memory_bank")
    assert isinstance(method, MemoryBankMethod)
    for iteration in (1, 2):
        terms = method.losses(Step(*batches(seed=iteration), iteration, generator()))
    terms["contrastive"].backward()
    contrast = method.contrast
    for part in (contrast.projection, contrast.prediction, contrast.attention_p, contrast.attention_z):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert all(p.grad is None for p in contrast.teacher_projection.parameters())
    assert method.student.backbone.conv1.weight.grad is not None


def test_bank_takes_labelled_vectors_that_pass_the_filter_only() -> None:
    closed = build("memory_bank", method__contrastive__quality_threshold=1.0)
    closed.losses(Step(*batches(), 2, generator()))
    assert closed.contrast.bank.counts.sum() == 0  # type: ignore[union-attr]
    ignored = build("memory_bank")
    labelled, unlabelled = batches()
    nothing = Batch(labelled.images, torch.full_like(labelled.labels, 255))
    terms = ignored.losses(Step(nothing, unlabelled, 2, generator()))
    assert ignored.contrast.bank.counts.sum() == 0  # type: ignore[union-attr]
    assert torch.isfinite(terms["loss"]) and terms["supervised"] == 0 and terms["contrastive"] == 0


def test_bank_holds_at_most_k_vectors_of_an_image_and_class() -> None:
    method = build("memory_bank", method__augment__weak="none", method__contrastive__quality_filter=False)
    method.losses(Step(*batches(), 2, generator()))
    assert method.contrast.per_image == 2  # type: ignore[union-attr] # max(1, 8/4)
    assert method.contrast.bank.counts.tolist() == [4, 4, 4]  # type: ignore[union-attr] # 2 images, 2 each


def test_two_classes_and_one_class_absent() -> None:
    method = build("memory_bank", classes=2)
    terms = method.losses(Step(*batches(classes=1), 2, generator()))
    terms["loss"].backward()
    assert torch.isfinite(terms["loss"])
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


SWITCHES = [
    "quality_filter=false", "attention=false", "teacher_features=false", "bank_weights=ones", "bank_keep=lowest",
    "ranking=prediction", "bank_scope=batch", "separate=true", "feature_stride=network",
]  # fmt: skip


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_switch_of_the_contrastive_module_changes_the_result(switch: str) -> None:
    def final(**changes: str) -> float:
        # K = 8/4 of the 16 vectors of an image, so that it matters which are kept.
        method = build("memory_bank", method__contrastive__bank_size=8, **changes)
        optimiser = torch.optim.SGD([p for g in method.groups() for p in g.parameters], lr=0.1)
        for iteration in (1, 2, 3):
            terms = method.losses(Step(*batches(seed=iteration), iteration, generator()))
            terms["loss"].backward()
            optimiser.step()
            optimiser.zero_grad()
            method.after_step(Step(*batches(), iteration, generator()))
        return terms["contrastive"].item()

    name, _, value = switch.partition("=")
    assert abs(final() - final(**{f"method__contrastive__{name}": value})) > 1e-5  # more than rounding


def test_reference_profile_takes_steps() -> None:
    method = build("memory_bank", method__profile="reference")
    for iteration in range(4):
        terms = method.losses(Step(*batches(seed=iteration), iteration, generator()))
        assert torch.isfinite(terms["loss"])
        method.after_step(Step(*batches(), iteration, generator()))
    assert method.teacher.training  # batch statistics


def test_the_bank_takes_features_of_target_pixels_only() -> None:
    labelled, unlabelled = batches()
    seen = {}
    for name, target in (("target", [True, True]), ("mixed", [True, False]), ("source", [False, False])):
        method = build("memory_bank", method__contrastive__quality_filter=False, method__augment__weak="none")
        losses = method.losses(Step(labelled._replace(target=torch.tensor(target)), unlabelled, 3, generator()))
        assert all(torch.isfinite(v) for v in losses.values())
        seen[name] = int(method.contrast.bank.counts.sum())
        if name == "target":
            same = build("memory_bank", method__contrastive__quality_filter=False, method__augment__weak="none")
            plain = same.losses(Step(labelled, unlabelled, 3, generator()))
            assert plain["loss"].item() == losses["loss"].item()
    assert seen["source"] == 0 < seen["mixed"] < seen["target"]


def test_classmix_between_domains_keeps_count_of_whose_pixels_they_are() -> None:
    method = build("memory_bank", method__augment__weak="reference")
    labelled, _ = batches()
    # Source crops hold class 2 only, target crops 0 and 1 only: no 2 may be offered to the bank.
    labels = torch.stack([labelled.labels[0] % 2, torch.full_like(labelled.labels[1], 2)])
    batch = Batch(labelled.images, labels, torch.tensor([True, False]))
    mixed = 0
    for seed in range(20):
        _, y, own = method.views.weak(Step(batch, None, 3, torch.Generator().manual_seed(seed)))
        assert not (own == 2).any()
        assert torch.equal(own[own != 255], y[own != 255])
        mixed += int((y[0] == 2).any())
    assert mixed > 0
