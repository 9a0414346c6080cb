"""The squared distance of two predictions, over the pixels that count."""

import torch

from semiseg.losses import consistency, valid_mean


def test_it_is_the_sum_over_classes_and_the_mean_over_valid_pixels() -> None:
    g = torch.Generator().manual_seed(0)
    one, other = (torch.randn(2, 5, 4, 6, generator=g).double().softmax(1) for _ in range(2))
    valid = torch.rand(2, 4, 6, generator=g) > 0.3
    by_hand = [((one[b, :, y, x] - other[b, :, y, x]) ** 2).sum() for b, y, x in valid.nonzero().tolist()]
    torch.testing.assert_close(consistency(one, other, valid), torch.stack(by_hand).mean())
    every = torch.ones_like(valid)
    torch.testing.assert_close(consistency(one, other), consistency(one, other, every))
    assert consistency(one, other, torch.zeros_like(valid)) == 0


def test_a_share_of_valid_pixels() -> None:
    values, valid = torch.tensor([[[True, False, True, True]]]), torch.tensor([[[True, True, False, False]]])
    assert valid_mean(values, valid) == 0.5 and valid_mean(values, torch.zeros_like(valid)) == 0
