"""Regions of correlation maps and their labels, by hand and against loops."""

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.networks.regions import cell_of_pixel, region_labels

CLASSES, SIZE, PIXELS = 5, (2, 3), (4, 9)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labelled(correlation: Tensor, labels: Tensor, sure: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    return region_labels(correlation, labels, sure, torch.tensor(threshold), SIZE, CLASSES, seeded(3))


def test_against_loops() -> None:
    """Every row is drawn, since there are fewer than asked for."""
    g = seeded()
    seen = 0
    for _ in range(60):
        labels = torch.randint(0, 2, (2, *PIXELS), generator=g) * 3
        labels[torch.rand(2, *PIXELS, generator=g) < 0.15] = 4
        labels[torch.rand(2, *PIXELS, generator=g) < 0.1] = 255
        sure = (torch.rand(2, *PIXELS, generator=g) < 0.7).float()
        correlation = (3 * torch.randn(2, 6, 6, generator=g)).softmax(2)
        found, given = labelled(correlation, labels, sure, 0.55)
        cells = np.array([[(y * 2 // 4) * 3 + x * 3 // 9 for x in range(9)] for y in range(4)])
        order = torch.rand(2, 6, generator=seeded(3)).argsort(dim=1)  # of equal shares the first one counts
        for b in range(2):
            best = np.zeros(6)
            expected = labels[b].clone()
            taken = np.zeros(PIXELS, bool)
            for row in correlation[b, order[b]].numpy():
                region = (row - row.min()) / (row.max() - row.min()) > 0.5
                pixels = region[cells] & (labels[b] != 255).numpy()
                values = labels[b].numpy()[pixels]
                if not len(values):
                    continue
                counts = np.bincount(values, minlength=CLASSES)
                share = counts.max() / len(values)
                if share > 0.55 and sure[b].numpy()[pixels].mean() > 0.55:
                    here = region & (share > best)
                    best[here] = share
                    where = here[cells] & (labels[b] != 255).numpy()
                    expected[torch.from_numpy(where)] = int(counts.argmax())
                    taken |= where
            assert torch.equal(given[b], torch.from_numpy(taken))
            assert torch.equal(found[b], expected)
            seen += int(taken.any() and (expected != labels[b]).any())
    assert seen > 10


def test_a_region_that_is_unsure_or_divided_keeps_its_labels() -> None:
    correlation = torch.full((1, 6, 6), 0.01)
    correlation[0, :, :3] = 0.3  # the upper half resembles itself, and the lower one too
    labels = torch.zeros(1, *PIXELS, dtype=torch.int64)
    labels[0, :2, 0] = 2  # 2 of 18 pixels of the region
    sure = torch.ones(1, *PIXELS)
    found, given = labelled(correlation, labels, sure, 0.85)
    assert not found.any() and given[0, :2].all() and not given[0, 2:].any()
    unsure = sure.clone()
    unsure[0, 0, :4] = 0
    for arguments in ((labels, unsure, 0.85), (labels, sure, 0.9)):
        kept, none = labelled(correlation, *arguments)
        assert torch.equal(kept, labels) and not none.any()


def test_padding_is_in_no_region() -> None:
    correlation, labels = torch.rand(1, 6, 6, generator=seeded()), torch.full((1, *PIXELS), 255)
    found, given = labelled(correlation, labels, torch.ones(1, *PIXELS), 0.0)
    assert torch.equal(found, labels) and not given.any()


def test_one_random_row_is_one_region() -> None:
    correlation = torch.eye(6)[None] + 0.001
    labels = torch.zeros(1, *PIXELS, dtype=torch.int64)
    shares = [
        region_labels(correlation, labels, torch.ones(1, *PIXELS), torch.tensor(0.5), SIZE, CLASSES, seeded(s), 1)[1]
        for s in range(60)
    ]
    assert all(given.sum() == 6 for given in shares), "the pixels of one position"
    assert torch.stack(shares).any(0).all(), "of any"


@pytest.mark.parametrize(("size", "cells"), [((4, 9), (2, 3)), ((5, 7), (3, 4)), ((3, 5), (3, 5))])
def test_pixels_lie_in_the_positions_that_cover_them(size: tuple[int, int], cells: tuple[int, int]) -> None:
    found = cell_of_pixel(size, cells, torch.device("cpu"))
    assert found.shape == size and set(found.flatten().tolist()) == set(range(cells[0] * cells[1]))
    assert (found.diff(dim=0) >= 0).all() and (found.diff(dim=1) >= 0).all()
