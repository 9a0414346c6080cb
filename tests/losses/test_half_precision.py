"""Losses of half-precision logits are those of the same numbers in single precision: sums in 8 bits are not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from semiseg.losses import consistency, entropy, weighted_cross_entropy

B, C, H, W = 2, 5, 31, 37

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy over pixels": lambda x, y: weighted_cross_entropy(x, y),
    "cross-entropy over weights": lambda x, y: weighted_cross_entropy(x, y, divisor="weights"),
    "weighted": lambda x, y: weighted_cross_entropy(x, y, torch.arange(1.0, C + 1), divisor="weights"),
    "entropy": lambda x, y: entropy(x),
    "entropy of some": lambda x, y: entropy(x, y != 255),
    "consistency": lambda x, y: consistency(x.softmax(1), torch.full_like(x, 1 / C), y != 255),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", list(LOSSES))
def test_single_precision_at_least(name: str, dtype: torch.dtype) -> None:
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(B, C, H, W, generator=g).to(dtype)
    labels = torch.randint(0, C, (B, H, W), generator=g)
    labels[0, :5] = 255
    found, expected = LOSSES[name](logits, labels), LOSSES[name](logits.float(), labels)
    assert found.dtype == torch.float32
    tolerance = 0.02 if name == "consistency" else 1e-6  # whose probabilities are rounded before
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=0)
