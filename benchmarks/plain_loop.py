"""What a newcomer writes: the library's network and data set, AdamW, flips and crops, in a plain loop of PyTorch.

The labelled images alone, no augmentation of colour, no teacher, no care for rare classes: the yardstick of
``time_to_quality.py``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg import Config
from semiseg.data import ImageSet
from semiseg.data.run_data import open_run_data
from semiseg.networks import build_network

LEARNING_RATE = 1e-3


def run(config: Config) -> tuple[float, float]:
    """Train as long as configured: (mIoU in percent after the last step, seconds of the loop)."""
    data, c, t = open_run_data(config.data), config.network, config.training
    torch.manual_seed(t.seed)
    network = build_network(
        c.architecture, c.backbone, data.train.info.num_classes, c.output_stride, c.pretrained,
        decoder_channels=c.decoder_channels,
    )  # fmt: skip
    pictures = load(data.train, data.labelled, config.data.resize)
    seconds = train(network, pictures, config.data.crop_size, t.iterations, t.batch_size)
    return 100 * mean_iou(network, data.val, config.data.resize), seconds


def load(images: ImageSet, indices: Sequence[int], size: tuple[int, int] | None) -> list[tuple[Tensor, Tensor]]:
    """Images (3, H, W) in [0, 1] and labels (H, W), of ``size`` where one is given."""
    found = []
    for i in indices:
        image, label = torch.from_numpy(images.image(i).copy()).permute(2, 0, 1) / 255, torch.tensor(images.label(i))
        if size is not None:
            image = F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
            label = F.interpolate(label[None, None].float(), size)[0, 0]
        found.append((image, label.long()))
    return found


def train(
    network: nn.Module, pictures: list[tuple[Tensor, Tensor]], crop: tuple[int, int], iterations: int, batch_size: int
) -> float:
    """AdamW with a cosine schedule on random flipped crops; seconds of the loop."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
    network.train()
    began = time.monotonic()
    for _ in range(iterations):
        chosen = torch.randint(len(pictures), (batch_size,)).tolist()
        images, labels = zip(*(random_crop(*pictures[i], crop) for i in chosen), strict=True)
        logits = F.interpolate(network(torch.stack(images)).logits, crop, mode="bilinear", align_corners=False)
        loss = F.cross_entropy(logits, torch.stack(labels), ignore_index=255)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return time.monotonic() - began


def random_crop(image: Tensor, label: Tensor, crop: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A crop at a random place, flipped half of the time; padded below and right where the image is smaller."""
    right, below = (max(0, crop[axis] - image.shape[axis + 1]) for axis in (1, 0))
    image, label = F.pad(image, (0, right, 0, below)), F.pad(label, (0, right, 0, below), value=255)
    top, left = (int(torch.randint(image.shape[axis + 1] - crop[axis] + 1, ())) for axis in (0, 1))
    image, label = (values[..., top : top + crop[0], left : left + crop[1]] for values in (image, label))
    return (image.flip(-1), label.flip(-1)) if torch.rand(()) < 0.5 else (image, label)


@torch.no_grad()
def mean_iou(network: nn.Module, images: ImageSet, size: tuple[int, int] | None) -> float:
    """Mean IoU in [0, 1] over the classes that occur, whole images, at the labels' own resolution."""
    network.eval()
    classes = images.info.num_classes
    counts = torch.zeros(classes, classes, dtype=torch.long)
    for i in range(len(images)):
        truth = torch.tensor(images.label(i)).long()
        image = load(images, [i], size)[0][0]
        logits = F.interpolate(network(image[None]).logits, truth.shape, mode="bilinear", align_corners=False)
        guess, known = logits[0].argmax(0), truth != 255
        counts += torch.bincount(truth[known] * classes + guess[known], minlength=classes**2).view(classes, classes)
    hits, union = counts.diag(), counts.sum(0) + counts.sum(1) - counts.diag()
    return float((hits[union > 0] / union[union > 0]).mean())
