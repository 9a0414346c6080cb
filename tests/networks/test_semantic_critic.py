"""Mean features of classes against loops, and the shape of what names them."""

import pytest
import torch
from torch import Tensor

from semiseg.networks.semantic_critic import SemanticCritic, class_vectors

B, D, C, H, W = 2, 7, 5, 4, 6


def given(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(0, C - 1, (B, H, W), generator=g)  # the last class is nowhere
    labels[0][labels[0] == 1] = 255
    return torch.randn(B, D, H, W, generator=g, dtype=dtype), labels


def test_each_class_of_each_image_is_averaged_by_itself() -> None:
    features, labels = given()
    means, present = class_vectors(features, labels, C)
    assert means.shape == (B, C, D) and means.dtype == torch.float64
    for b in range(B):
        for c in range(C):
            rows = [features[b, :, y, x] for y in range(H) for x in range(W) if labels[b, y, x] == c]
            assert bool(present[b, c]) is bool(rows)
            expected = torch.stack(rows).mean(0) if rows else torch.zeros(D, dtype=torch.float64)
            torch.testing.assert_close(means[b, c], expected)
    assert not present[:, -1].any() and not present[0, 1]


def test_a_pixel_passes_its_gradient_to_its_class_alone() -> None:
    features, labels = given()
    features.requires_grad_()
    class_vectors(features, labels, C)[0][:, 2].sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad.any(1), labels == 2)


def test_half_precision_is_averaged_in_single_precision() -> None:
    features, labels = given(torch.bfloat16)
    means, _ = class_vectors(features, labels, C)
    assert means.dtype == torch.float32
    torch.testing.assert_close(means, class_vectors(features.double(), labels, C)[0].float())


@pytest.mark.parametrize("shape", [(9,), (2, 3)])
def test_every_vector_has_two_scores_a_class(shape: tuple[int, ...]) -> None:
    assert SemanticCritic(D, C)(torch.randn(*shape, D)).shape == (*shape, 2 * C)
