"""Do the masks cover the looks? How far unlabelled images lie from labelled ones, before anything is trained.

The look of an image is what an early map of the pretrained backbone says of it: mean and standard deviation of each
channel over the positions. Labelled images cover a look when some of them are near those that have it.

What counts as near cannot be read off the labelled images: they are few, and the distances of a handful of images to
one another, each left out in turn, are noise. Worse, where the labelled are a random draw, the share of unlabelled
images beyond a quantile of those distances is the same whatever the data look like, by exchangeability (measured: 16 %
beyond the 90 % quantile of 12 on nuclei, CamVid and toy streets alike). So the yardstick is the *reach*, taken over all
images: of N images, L of them labelled, each labelled one stands for N/L, and the reach is the median distance of an
image to its (N/L)-th nearest neighbour. It hardly depends on which images are labelled. Among images of one look
nearly all find a labelled one within a little more than it; those of a look without a mask do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from semiseg.config.read import Config
from semiseg.data.base import ImageSet
from semiseg.data.rasters.statistics import channel_statistics
from semiseg.data.resizing import resize_image
from semiseg.data.run_data import RunData
from semiseg.data.samplers import generator
from semiseg.errors import SemisegError
from semiseg.networks.build import build_network_of
from semiseg.networks.segmentation import SegmentationNetwork
from semiseg.networks.weights.pretrained import COLLECTIONS, load_pretrained

FAR = 1.5
"""Reaches between an image and the nearest labelled one, from which on it looks unlike all of them."""
FEW = 0.05
"""Share of the unlabelled images that may lie so far while the masks are still said to cover the looks.

With EfficientNet-Lite0 from ImageNet, over 200 seeded choices of 12 labelled images and 200 others, mean ± sd of that
share and how often it exceeded ``FEW`` (``benchmarks/looks.py``):

    nuclei (fluorescence, stained tissue, bright field)          15 ± 6 %    100 %
    the same, masks for fluorescence only                        23 ± 4 %    100 %
    CamVid, SegNet's training frames                              2 ± 2 %      8 %
    toy streets                                                   1 ± 1 %      0 %
    toy streets, half of them in a look without a mask           51 ± 3 %    100 %

With 3 masks nuclei are told in 80 %, CamVid in 2 % and toy streets in 4 % of the choices. What it gets wrong: CamVid's
drive at dusk, without a mask of it, is told in half of the choices only; CamVid's validation frames, one short clip,
are told in 20 %.
``FAR``, ``FEW``, ``SIDE`` and the map were chosen on the sets of the table.
"""
SIDE = 128  # pixels of the longer side; 192 told no better and takes twice as long
STRIDE = 8  # of the map; those of stride 4 and 16 told less well
SAMPLE = 200  # unlabelled images that are looked at
LABELLED = (3, 200)  # with fewer masks there is nothing to compare, with more the question is another
LEAST_UNLABELLED = 20  # below, 5 % are one image
SUGGESTED = 3


@dataclass(frozen=True)
class Looks:
    """What a comparison found.

    Attributes:
        share: of the unlabelled images compared, those that look unlike every labelled one, in [0, 1].
        compared: how many unlabelled images that is a share of, at most ``SAMPLE``.
        unlabelled: how many there are.
        label_first: names of up to three of those images, which between them are like most of the others.
    """

    share: float
    compared: int
    unlabelled: int
    label_first: tuple[str, ...]

    @property
    def covered(self) -> bool:
        return self.share <= FEW

    def __str__(self) -> str:
        of = f" ({self.compared} of {self.unlabelled} compared)" if self.compared < self.unlabelled else ""
        unlike = f"{100 * self.share:.0f} % of the unlabelled images{of} look unlike every labelled one"
        if self.covered:
            return f"the masks cover the looks: {unlike}"
        return f"about {unlike}; label one of these first: {', '.join(self.label_first)}"


def compare_looks(config: Config, data: RunData, progress: Callable[[int, int], None] | None = None) -> Looks:
    """Compare unlabelled training images with the labelled ones, in features of the configured backbone.

    Nothing is downloaded. A few seconds on a CPU core; the sample of unlabelled images is the same at every call.

    Args:
        config: of the run.
        data: its data.
        progress: called with (images done, images in all).

    Raises:
        SemisegError: too few or too many images of either kind, or no pretrained weights on this machine; the message
            says which.
    """
    labelled = sorted(data.labelled)
    unlabelled = sorted(set(data.unlabelled) - set(labelled))
    if not LABELLED[0] <= len(labelled) <= LABELLED[1] or len(unlabelled) < LEAST_UNLABELLED:
        raise SemisegError(
            f"{len(labelled)} labelled and {len(unlabelled)} unlabelled images; that takes {LABELLED[0]} to "
            f"{LABELLED[1]} and at least {LEAST_UNLABELLED}"
        )
    network = pretrained_network(config, data.train.info.num_classes)
    if network.channels != 3:
        network.normalise(*channel_statistics(data.train))
    sample = generator(0, "looks").permutation(len(unlabelled))[:SAMPLE]
    chosen = [unlabelled[i] for i in sorted(sample)]
    features = features_of(network, data.train, [*labelled, *chosen], progress)
    found = compare(features[: len(labelled)], features[len(labelled) :])
    names = tuple(data.train.names[chosen[i]] for i in found.first)
    return Looks(float(found.far.float().mean()), len(chosen), len(unlabelled), names)


class Comparison(NamedTuple):
    """Reach, which unlabelled images are far, bool (U,), and indices of those to label first."""

    reach: float
    far: Tensor
    first: list[int]


def compare(labelled: Tensor, unlabelled: Tensor) -> Comparison:
    """Which of the unlabelled images are more than ``FAR`` reaches from every labelled one.

    Each image to label first is far from those before it, too, and has the most images of that kind near it.

    Args:
        labelled: features (L, D) of at least two images.
        unlabelled: features (U, D).
    """
    every = torch.cat([labelled, unlabelled]).double()
    distances = torch.cdist(every, every, compute_mode="donot_use_mm_for_euclid_dist")
    rank = min(max(1, round(len(every) / len(labelled))), len(every) - 1)
    reach = distances.kthvalue(rank + 1, dim=1).values.median()  # the first is the image itself
    near = distances <= FAR * reach
    far = ~near[len(labelled) :, : len(labelled)].any(dim=1)
    alike, left = near[len(labelled) :, len(labelled) :] & far[:, None], far.clone()
    first: list[int] = []
    while left.any() and len(first) < SUGGESTED:
        first.append(int(((alike & left).sum(dim=1) * left).argmax()))
        left &= ~alike[first[-1]]
    return Comparison(float(reach), far, first)


def look(maps: Sequence[Tensor], strides: Sequence[int]) -> Tensor:
    """Feature of an image: mean and standard deviation over positions, (2·channels,), of the first map of stride 8.

    Args:
        maps: of a backbone, (1, channels, h, w) each.
        strides: of the maps; where none reaches 8, the last is taken.
    """
    at = next((i for i, stride in enumerate(strides) if stride >= STRIDE), -1)
    return torch.cat([maps[at].mean(dim=(0, 2, 3)), maps[at].std(dim=(0, 2, 3), correction=0)])


def pretrained_network(config: Config, num_classes: int) -> SegmentationNetwork:
    """The configured network, its backbone filled with weights that are on this machine.

    Raises:
        SemisegError: there are none, or the backbone cannot be had.
    """
    name, pretrained = config.network.backbone, config.network.pretrained
    if pretrained == "none":
        raise SemisegError("network.pretrained=none, and random features say little about looks")
    usual = config.data.model_copy(update={"channels": None, "shown": None})  # weights are filled in before widening
    network = build_network_of(config.model_copy(update={"data": usual}), num_classes, pretrained=False)
    if pretrained in COLLECTIONS and not network.backbone.published_at_hand(pretrained):
        raise SemisegError(
            f"the {pretrained} weights of {name} are not known to be on this machine, and nothing is downloaded for "
            "this; network.pretrained=FILE names them, and training fetches those of ResNets"
        )
    load_pretrained(network, pretrained, name)
    network.widen(config.data.channel_count)
    return network.eval()


def features_of(
    network: SegmentationNetwork,
    images: ImageSet,
    indices: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """What :func:`look` gives of some images, (number of indices, D).

    Raises:
        SemisegError: an image cannot be read.
    """
    found = []
    for done, i in enumerate(indices, start=1):
        small = _small(images.image(i))
        with torch.inference_mode():
            x = torch.from_numpy(small.copy()).permute(2, 0, 1)[None].float().div_(255)
            found.append(look(network.backbone((x - network.mean) / network.std), network.backbone.strides))
        if progress is not None:
            progress(done, len(indices))
    return torch.stack(found)


def _small(image: np.ndarray) -> np.ndarray:
    """The image, uint8 (H, W, 3), with a longer side of ``SIDE`` pixels."""
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    return resize_image(image, (max(1, round(scale * height)), max(1, round(scale * width))))
