"""The filter by quantile against a plain Python oracle, and what it is for: rare classes in the bank of a short run."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import quality_quantile as oracle
from torch import Tensor

from semiseg.contrastive import ContrastiveConfig, ContrastiveModule, quality_quantile_filter
from semiseg.networks import Output

CLASSES = 3


def case(seed: int, coarse: bool, size: tuple[int, int, int] = (2, 3, 5)) -> tuple[Tensor, Tensor]:
    """Probabilities (B, C, h, w), ``coarse`` ones with many ties, and labels, some of them ignored."""
    g = torch.Generator().manual_seed(seed)
    batch, height, width = size
    values = torch.rand(batch, CLASSES, height, width, generator=g, dtype=torch.float64)
    if coarse:
        values = (3 * values).ceil()
    labels = torch.randint(-1, CLASSES + 1, (batch, height, width), generator=g)
    return values / values.sum(dim=1, keepdim=True), labels.where(labels < CLASSES, 255)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.75, 1.0]), coarse=st.booleans())
def test_it_is_the_best_share_of_every_class(seed: int, share: float, coarse: bool) -> None:
    probabilities, labels = case(seed, coarse)
    found = quality_quantile_filter(probabilities, labels, share)
    assert found.dtype == torch.bool and found.shape == labels.shape
    assert found.tolist() == oracle(probabilities, labels, share)


def test_hand_computed() -> None:
    # Class 0 is right four times, .9 .8 .7 .6: two pass. Class 1 never: of .4 .3 .1 two, by its own probability.
    of_zero = torch.tensor([0.9, 0.6, 0.8, 0.7, 0.6, 0.7, 0.9, 0.99])
    probabilities = torch.stack([of_zero, 1 - of_zero]).view(1, 2, 1, 8)
    labels = torch.tensor([[[0, 0, 0, 0, 1, 1, 1, 255]]])
    found = quality_quantile_filter(probabilities, labels, 0.5)
    assert found.flatten().tolist() == [True, False, True, False, True, True, False, False]


def test_pixels_as_good_as_the_last_pass_too_wherever_they_are() -> None:
    probabilities, labels = torch.tensor([0.8, 0.2]).view(1, 2, 1, 1).expand(4, 2, 1, 3), torch.zeros(4, 1, 3)
    assert quality_quantile_filter(probabilities, labels.long(), 0.1).all()


def test_order_of_images_and_names_of_classes_make_no_difference() -> None:
    probabilities, labels = case(3, coarse=True, size=(4, 5, 3))
    found = quality_quantile_filter(probabilities, labels, 0.3)
    images, classes = torch.tensor([2, 0, 3, 1]), torch.tensor([1, 2, 0])
    assert torch.equal(quality_quantile_filter(probabilities[images], labels[images], 0.3), found[images])
    renamed = torch.where((labels >= 0) & (labels < CLASSES), classes.argsort()[labels.clamp(0, CLASSES - 1)], labels)
    unequal = case(4, coarse=False, size=(4, 5, 3))[0]  # of equals the first class is the prediction
    found = quality_quantile_filter(unequal, labels, 0.3)
    assert torch.equal(quality_quantile_filter(unequal[:, classes], renamed, 0.3), found)


def test_nothing_labelled_nothing_passes() -> None:
    probabilities, labels = case(0, coarse=False)
    assert not quality_quantile_filter(probabilities, torch.full_like(labels, 255), 1.0).any()


@pytest.mark.parametrize(("rule", "filled"), [("threshold", [False, False, False]), ("quantile", [True, True, True])])
def test_every_labelled_class_gets_a_vector_from_a_teacher_that_is_unsure(rule: str, filled: list[bool]) -> None:
    torch.manual_seed(0)
    config = ContrastiveConfig(bank_size=4, dim=8, quality_rule=rule)  # type: ignore[arg-type]
    contrast = ContrastiveModule(config, 5, CLASSES, labelled=2)
    cells = torch.zeros(2, 4, 4, dtype=torch.int64)
    cells[0, 0], cells[1, 2, 3] = 1, 2  # one pixel of class 2, and the teacher takes it for 0
    logits = torch.nn.functional.one_hot(cells.clamp_max(1), CLASSES).permute(0, 3, 1, 2) * 1.0
    labels = cells.repeat_interleave(8, 1).repeat_interleave(8, 2)
    out = Output(logits, torch.randn(2, 5, 4, 4))
    contrast.fill_bank(out, labels, torch.Generator().manual_seed(1))
    assert (contrast.bank.counts > 0).tolist() == filled


def test_the_share_is_the_configured_one() -> None:
    counts = []
    for share in (0.25, 1.0):
        torch.manual_seed(0)
        config = ContrastiveConfig(bank_size=64, dim=8, quality_rule="quantile", quality_quantile=share)
        contrast = ContrastiveModule(config, 5, CLASSES, labelled=1)
        logits = torch.randn(1, CLASSES, 8, 8, generator=torch.Generator().manual_seed(1))
        out = Output(logits, torch.randn(1, 5, 8, 8))
        contrast.fill_bank(out, logits.argmax(1).repeat_interleave(8, 1).repeat_interleave(8, 2), torch.Generator())
        counts.append(int(contrast.bank.counts.sum()))
    assert counts[1] == 64 and 16 <= counts[0] <= 18
