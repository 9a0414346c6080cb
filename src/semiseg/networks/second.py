"""A second network of the same kind: the first's backbone, and everything that starts at random drawn anew."""

from __future__ import annotations

import copy

from semiseg.networks.segmentation import SegmentationNetwork


def begun_anew(network: SegmentationNetwork) -> SegmentationNetwork:
    """A copy with another decoder and classifier, drawn from the global generator, as the first network's were.

    ``training.seed`` sets that generator before a method is built, so all processes draw the same.
    """
    second = copy.deepcopy(network)
    for part in (second.decoder, second.classifier):
        for module in part.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return second
