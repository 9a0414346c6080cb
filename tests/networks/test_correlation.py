"""Correlation of positions, and logits carried along, against loops."""

import numpy as np
import pytest
import torch

from semiseg.networks.correlation import Correlation, cells_shown, propagate


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made() -> Correlation:
    torch.manual_seed(0)
    return Correlation(6, width=7).double().train()


FEATURES = torch.randn(2, 6, 3, 4, generator=seeded(), dtype=torch.float64)
SHOWN = torch.rand(2, 3, 4, generator=seeded(1)) < 0.7


def test_rows_are_softmaxes_of_scaled_products_over_the_positions_that_are_shown() -> None:
    layer = made()
    found = layer(FEATURES, SHOWN)
    with torch.no_grad():
        reduced = layer.reduce(FEATURES * SHOWN[:, None])
        query, key = (f(reduced).flatten(2).numpy() for f in (layer.query, layer.key))
    for b, i in np.ndindex(2, 12):
        places = [j for j in range(12) if SHOWN[b].flatten()[j]]
        scores = np.array([query[b, :, i] @ key[b, :, j] / np.sqrt(7) for j in places])
        weights = np.exp(scores) / np.exp(scores).sum()
        expected = np.zeros(12)
        expected[places] = weights
        np.testing.assert_allclose(found[b, i].detach().numpy(), expected, rtol=1e-9)


def test_padding_is_not_seen_and_an_image_of_padding_only_resembles_nothing() -> None:
    layer = made()
    noise = torch.where(SHOWN[:, None], FEATURES, torch.randn(FEATURES.shape, generator=seeded(2)).double())
    assert torch.equal(layer(noise, SHOWN), layer(FEATURES, SHOWN))
    nothing = SHOWN.clone()
    nothing[1] = False
    found = layer(FEATURES, nothing)
    found.sum().backward()
    assert not found[1].any() and all(torch.isfinite(p.grad).all() for p in layer.parameters())


def test_channels_are_dropped_by_the_generator_alone() -> None:
    layer = made()
    state = torch.get_rng_state()
    one, same, other = (layer(FEATURES, SHOWN, seeded(s)) for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other) and not torch.equal(one, layer(FEATURES, SHOWN))
    assert torch.equal(torch.get_rng_state(), state)


def test_carried_logits_are_means_and_give_no_gradient_back() -> None:
    correlation = torch.rand(2, 12, 12, generator=seeded(), dtype=torch.float64).softmax(2).requires_grad_()
    logits = torch.randn(2, 5, 3, 4, generator=seeded(1), dtype=torch.float64).requires_grad_()
    found = propagate(correlation, logits)
    for b, c, i in np.ndindex(2, 5, 12):
        by_hand = sum(correlation[b, i, j].item() * logits[b, c].flatten()[j].item() for j in range(12))
        assert found[b, c].flatten()[i].item() == pytest.approx(by_hand)
    found.sum().backward()
    assert logits.grad is None and correlation.grad is not None
    same = propagate(torch.eye(12).expand(2, -1, -1), logits.float())
    torch.testing.assert_close(same, logits.float().detach())


def test_half_precision_is_single_where_it_counts() -> None:
    layer = made().float()
    with torch.autocast("cpu", torch.bfloat16):
        correlation = layer(FEATURES.float(), SHOWN)
        carried = propagate(correlation, torch.randn(2, 5, 3, 4).bfloat16())
    assert correlation.dtype == carried.dtype == torch.float32
    torch.testing.assert_close(correlation.sum(2), torch.ones(2, 12))


def test_a_position_is_shown_with_half_of_its_pixels() -> None:
    inside = torch.zeros(1, 4, 6, dtype=torch.bool)
    inside[0, :2, :3] = True
    inside[0, 2, :2] = True
    assert cells_shown(inside, (2, 3)).tolist() == [[[True, True, False], [True, False, False]]]
