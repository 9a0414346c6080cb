"""Self-training in rounds, each with stored labels for a larger share of every class's pixels (Feng et al., 2020)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from semiseg.data.base import IGNORE
from semiseg.methods.base.step import Round
from semiseg.methods.base.survey import Survey
from semiseg.runtime.distributed import total

LOWEST, HIGHEST, STEPS = -8, 56, 1024  # log-odds that are told apart, and steps of one


def curriculum(iterations: int, first: float, count: int) -> list[Round]:
    """A supervised round of this share of the iterations, then ``count`` of equal length; fewer in a short run."""
    border = min(max(1, round(first * iterations)), iterations)
    borders = sorted({border + round((iterations - border) * i / count) for i in range(count + 1)})
    return [Round(0, border, supervised=True), *(Round(start, stop) for start, stop in pairwise(borders))]


def log_odds(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest class (B, H, W) int64 and its log-odds log p/(1 - p), of logits (B, C, H, W).

    They order pixels as the softmax p does, which rounds to 1 what a network is sure of: equal values have no share.
    """
    best, labels = logits.max(dim=1)
    rest = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(dim=1)
    return labels, best - rest


def bins(odds: Tensor) -> Tensor:
    """Log-odds in steps, int64 from 0."""
    return ((odds.clamp(LOWEST, HIGHEST) - LOWEST) * STEPS).long().clamp_max((HIGHEST - LOWEST) * STEPS - 1)


def least_bins(counts: Tensor, share: float) -> Tensor:
    """The bin from which on at least this share of a class's pixels lies, of as few bins as that takes.

    Args:
        counts: (C, bins) int64 pixels of each predicted class.
        share: in (0, 1].

    Returns:
        (C,) int64; of a class that nobody predicts, the last bin.
    """
    above = counts.flip(1).cumsum(1).flip(1)  # pixels in this bin or a higher one
    wanted = (share * counts.sum(dim=1).double()).ceil()
    return (above >= wanted[:, None]).sum(dim=1) - 1


def store_share(survey: Survey, network: nn.Module, num_classes: int, share: float) -> None:
    """Label all images by ``network`` and store, of every class that it predicts, the surest share of its pixels.

    The network sees every image twice: to find out what the share is, of all images of all processes, then to label.
    """
    counts = torch.zeros(num_classes * (HIGHEST - LOWEST) * STEPS, dtype=torch.int64, device=survey.device)
    for _, image in survey:
        labels, odds = log_odds(survey.logits(network, image))
        place = (labels * (HIGHEST - LOWEST) * STEPS + bins(odds)).flatten()
        counts.scatter_add_(0, place, torch.ones_like(place))
    least = least_bins(total(counts).view(num_classes, -1).cpu(), share).to(survey.device)
    for index, image in survey:
        labels, odds = log_odds(survey.logits(network, image))
        chosen = labels.where(bins(odds) >= least[labels], IGNORE)
        survey.store(index, chosen[0], odds[0].sigmoid())
