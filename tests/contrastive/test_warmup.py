"""The bank before the heads have learnt: what their BatchNorm normalises by, and how it goes on from there."""

import pytest
import torch
from torch import Tensor

from semiseg.contrastive import ContrastiveConfig, ContrastiveModule, downsample_labels, rows
from semiseg.networks import Output
from semiseg.networks.running_statistics import unmoved
from semiseg.teacher import update

CLASSES = 4


def module(**changes: object) -> ContrastiveModule:
    """As a run has it: in training, the teachers on running statistics."""
    torch.manual_seed(0)
    config = ContrastiveConfig(**{"bank_size": 16, "dim": 32, **changes})  # type: ignore[arg-type]
    contrast = ContrastiveModule(config, 24, CLASSES, labelled=4).train()
    for teacher, _ in contrast.teacher_pairs():
        teacher.eval()
    return contrast


def scene(sure: float = 9.0, seed: int = 0) -> tuple[Output, Tensor]:
    """Two images whose classes differ by a fifth of what all features have in common, as after a ReLU."""
    g = torch.Generator().manual_seed(seed)
    cells = torch.arange(2 * 64).view(2, 8, 8) % CLASSES
    means = 5 + torch.randn(CLASSES, 24, generator=torch.Generator().manual_seed(9))
    features = means[cells] + 0.1 * torch.randn(2, 8, 8, 24, generator=g)
    logits = torch.nn.functional.one_hot(cells, CLASSES).permute(0, 3, 1, 2) * sure
    return Output(logits, features.permute(0, 3, 1, 2)), cells.repeat_interleave(8, 1).repeat_interleave(8, 2)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(2)


@pytest.mark.parametrize("teacher_features", [True, False])
def test_classes_lie_apart_in_a_bank_that_is_filled_before_the_heads_learn(teacher_features: bool) -> None:
    contrast = module(teacher_features=teacher_features)
    before = {name: value.clone() for name, value in contrast.state_dict().items() if "bank" not in name}
    contrast.fill_bank(*scene(), generator())
    found = contrast.measures()
    assert found["bank_within"] is not None and found["bank_between"] is not None
    assert found["bank_within"] > 0.9 and found["bank_between"] < 0.3
    assert found["bank_effective"] is not None
    assert all(torch.equal(value, before[name]) for name, value in contrast.state_dict().items() if name in before)


def test_the_statistics_are_those_of_all_labelled_pixels_not_of_those_that_pass() -> None:
    """With one class past the filter its own mean would be taken away, and its direction with it."""
    contrast = module()
    out, labels = scene()
    unsure = torch.where((downsample_labels(labels, (8, 8)) == 1)[:, None], out.logits, 0.1 * out.logits)
    contrast.fill_bank(Output(unsure, out.features), labels, generator())
    assert contrast.bank.counts.tolist() == [0, 8, 0, 0]
    z = contrast.teacher_projection(rows(out.features), stand_in=True)
    flat = downsample_labels(labels, (8, 8)).flatten()
    nearest = torch.cdist(contrast.bank.vectors, z).argmin(dim=1)
    assert (flat[nearest] == 1).all() and torch.cdist(contrast.bank.vectors, z).amin() < 1e-2


def test_what_has_no_label_has_no_part_in_them() -> None:
    out, labels = scene()
    stored = []
    for value in (0.0, 50.0):
        contrast, features, y = module(), out.features.clone(), labels.clone()
        features[1, :, 4:], y[1, 32:] = value, 255
        contrast.fill_bank(Output(out.logits, features), y, generator())
        stored.append(contrast.bank.vectors)
    torch.testing.assert_close(stored[0], stored[1])


@pytest.mark.parametrize("buffers", ["copy", "ema"])
def test_the_first_step_of_the_heads_gives_the_teacher_its_statistics(buffers: str) -> None:
    contrast = module()
    out, labels = scene()
    contrast.fill_bank(out, labels, generator())
    contrast.loss(out.features, labels, 2).backward()
    for teacher, student in contrast.teacher_pairs():
        update(teacher, student, 0.995, buffers)  # type: ignore[arg-type]
    hidden = contrast.projection.linear1(rows(out.features)).detach()
    head = contrast.teacher_projection
    torch.testing.assert_close(head.norm.running_mean, hidden.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(head.norm.running_var, hidden.var(0), rtol=1e-3, atol=1e-4)
    assert not unmoved(contrast.teacher_attention_p).any() and not unmoved(contrast.teacher_attention_z).any()
    # From here on the running statistics are used, as ever: the bank is no function of its batch.
    contrast.bank.counts.zero_()
    contrast.fill_bank(out, labels, generator())
    wanted = head(rows(out.features))
    assert torch.cdist(contrast.bank.vectors, wanted).amin(dim=1).max() < 1e-2
    found = contrast.measures()
    assert found["bank_within"] is not None and found["bank_between"] is not None
    assert found["bank_within"] > 0.9 and found["bank_between"] < 0.3


def test_distances_are_measured_by_what_stood_in() -> None:
    contrast = module()
    out, labels = scene()
    contrast.fill_bank(out, labels, generator())
    near = contrast.distance(out.features, labels.shape[-2])
    assert near is not None and near.max() < 0.1


def test_half_precision_passes_fill_the_bank_in_single() -> None:
    stored = []
    for enabled in (False, True):
        contrast = module()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            contrast.fill_bank(*scene(), generator())
        stored.append(contrast.bank.vectors)
    assert torch.equal(stored[0], stored[1])


def test_a_module_restored_in_the_warmup_goes_on_as_it_would_have() -> None:
    one, other = module(), module()
    with torch.no_grad():
        other.projection.linear1.weight.add_(1)
    out, labels = scene()
    one.fill_bank(out, labels, generator())
    other.load_state_dict(one.state_dict())
    for contrast in (one, other):
        for seed in (1, 2):
            out, labels = scene(seed=seed)
            contrast.fill_bank(out, labels, generator())
            contrast.loss(out.features, labels, 2)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
