"""How an image goes through a network: whole, through windows or tiles, flipped, at several scales."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from semiseg.data.base import Resize, resized
from semiseg.data.resizing import resize_image
from semiseg.errors import UsageError
from semiseg.inference.logits import confidence_of, evaluating, predict_logits
from semiseg.inference.tiling import blended
from semiseg.runtime.precision import autocast

Size = tuple[int, int]


@dataclass(frozen=True)
class InferencePlan:
    """The forward passes behind one prediction; sizes are (height, width) in pixels. The default is evaluation's.

    Raises:
        UsageError: a tile, an overlap or scales that make no sense.
    """

    mode: str = "whole"
    """``whole``, or ``sliding`` with ``window`` and ``stride``; with tiles neither is used."""
    window: Size | None = None
    stride: Size | None = None
    precision: str = "fp32"
    resize: Resize | None = None
    """Size, or small side, to which whole images are brought, as in training."""
    tile: int | None = None
    """Side of a tile in pixels as the network sees them; None: no tiles."""
    overlap: float = 0.25
    """Smallest fraction of a tile that it shares with its neighbour."""
    scale: tuple[float, float] = (1.0, 1.0)
    """In tiles: pixels that the network sees for one pixel of the image, vertically and horizontally."""
    flip: bool = False
    """Predict the mirrored image too."""
    scales: tuple[float, ...] = (1.0,)
    """Sizes relative to the usual one, over which class probabilities are averaged."""

    def __post_init__(self) -> None:
        if self.tile is not None and self.tile < 1:
            raise UsageError(f"a tile of {self.tile} pixels: give its side, e.g. 512")
        if not 0 <= self.overlap <= 0.9:
            raise UsageError(f"an overlap of {self.overlap}: give a fraction of the tile from 0 to 0.9")
        if not self.scales or not all(0.05 <= scale <= 20 for scale in self.scales):
            raise UsageError(f"scales {', '.join(map(str, self.scales))}: give factors such as 0.75,1,1.25")
        if not all(0.01 <= scale <= 100 for scale in self.scale):
            raise UsageError(
                f"a scale of {self.scale}: give the pixels the network sees for one of the image, e.g. 0.5"
            )

    @property
    def single(self) -> bool:
        """Whether one pass makes the prediction, as in evaluation."""
        return self.tile is None and not self.flip and self.scales == (1.0,)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error is about memory: PyTorch's CPU allocator raises a plain ``RuntimeError``."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def segment(
    network: nn.Module,
    image: np.ndarray,
    plan: InferencePlan,
    device: torch.device | str | None = None,
    confidence: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Classes and confidence of an image.

    Args:
        network: images (B,channels,H,W) float32 in [0,1] -> an output with ``logits`` (B,C,h,w).
        image: uint8 (H,W,3) RGB, or as many channels as the network takes.
        plan: the passes; of several, the mean softmax decides.
        device: where the network is moved to; None leaves it where it is.
        confidence: whether to return the confidence too.

    Returns:
        The classes, uint8 (H,W), and the probability of the class chosen, float32 (H,W) in [0,1], or None without
        ``confidence``.

    Raises:
        UsageError: another kind of image, or a mode or precision that does not exist.
    """
    channels = channels_of(network)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels or 0 in image.shape:
        kind = "(H,W,3) RGB" if channels == 3 else f"(H,W,{channels})"
        raise UsageError(f"an image is uint8 {kind}, not {image.dtype} {image.shape}")
    size = (image.shape[0], image.shape[1])
    with evaluating(network, device) as run_device, autocast(plan.precision, run_device):
        if plan.tile is not None:
            return _tiled(network, image, plan, run_device, confidence)
        seen = resized(size, plan.resize)
        if plan.single:
            logits = _logits(network, _batch(image, seen, run_device), size, plan)
            highest = confidence_of(logits)[0].cpu().numpy() if confidence else None
            # max() is three times as fast as argmax() on the CPU.
            return logits.max(dim=1).indices[0].to(torch.uint8).cpu().numpy(), highest
        best = _mean_probabilities(network, image, seen, plan, run_device).max(dim=0)
        mask = best.indices.to(torch.uint8).cpu().numpy()
        return mask, best.values.clamp(max=1).cpu().numpy() if confidence else None


def _tiled(
    network: nn.Module, image: np.ndarray, plan: InferencePlan, device: torch.device, confidence: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    size = (image.shape[0], image.shape[1])
    mask = np.empty(size, np.uint8)
    highest = np.empty(size, np.float32) if confidence else None

    def write(rows: slice, columns: slice, classes: np.ndarray, certainty: np.ndarray | None) -> None:
        mask[rows, columns] = classes
        if highest is not None:
            highest[rows, columns] = certainty

    _in_tiles(network, lambda rows, columns: image[rows, columns], size, plan, write, device, confidence)
    return mask, highest


Read = Callable[[slice, slice], np.ndarray]
"""rows, columns → uint8 (h, w, channels)."""
Write = Callable[[slice, slice, np.ndarray, "np.ndarray | None"], None]
"""rows, columns, classes uint8 (h, w) and the probability of the class chosen, float32 (h, w), or None."""


def segment_in_tiles(
    network: nn.Module,
    read: Read,
    size: Size,
    plan: InferencePlan,
    write: Write,
    device: torch.device | str | None = None,
    confidence: bool = True,
) -> None:
    """:func:`segment` of an image that nobody holds: tiles are read one by one, and blocks given away when final.

    Args:
        network, plan, device, confidence: as of :func:`segment`; the plan has tiles.
        read: gives the pixels of a tile.
        size: (height, width) of the image.
        write: called with every block of the image, once, from left to right and top to bottom.
    """
    with evaluating(network, device) as run_device, autocast(plan.precision, run_device):
        _in_tiles(network, read, size, plan, write, run_device, confidence)


def _in_tiles(
    network: nn.Module,
    read: Read,
    size: Size,
    plan: InferencePlan,
    write: Write,
    device: torch.device,
    confidence: bool,
) -> None:
    assert plan.tile is not None
    down, across = plan.scale
    tile = (max(1, round(plan.tile / down)), max(1, round(plan.tile / across)))

    def predict(rows: slice, columns: slice) -> Tensor:
        crop = read(rows, columns)
        seen = (max(1, round(crop.shape[0] * down)), max(1, round(crop.shape[1] * across)))
        return _mean_probabilities(network, crop, seen, plan, device)

    for rows, columns, probabilities in blended(predict, size, tile, plan.overlap):
        best = probabilities.max(dim=0)
        classes = best.indices.to(torch.uint8).cpu().numpy()
        # float32 sums can reach 1.0000001
        write(rows, columns, classes, best.values.clamp(max=1).cpu().numpy() if confidence else None)


def channels_of(network: nn.Module) -> int:
    """Channels of the images that a network takes: 3 unless it says otherwise."""
    channels = getattr(network, "channels", 3)
    return channels if isinstance(channels, int) else 3


def _mean_probabilities(
    network: nn.Module, image: np.ndarray, seen: Size, plan: InferencePlan, device: torch.device
) -> Tensor:
    """Softmax (C,H,W) at the size of ``image``, averaged over scales and flips; ``seen`` is the size at scale 1."""
    size = (image.shape[0], image.shape[1])
    total: Tensor | None = None
    for scale in plan.scales:
        scaled = (max(1, round(seen[0] * scale)), max(1, round(seen[1] * scale)))
        batch = _batch(image, scaled, device)
        for flipped in (False, True) if plan.flip else (False,):
            logits = _logits(network, batch.flip(-1) if flipped else batch, size, plan)
            probabilities = torch.softmax(logits.flip(-1) if flipped else logits, dim=1)
            total = probabilities if total is None else total.add_(probabilities)
    assert total is not None
    return total[0].div_(len(plan.scales) * (1 + plan.flip))


def _batch(image: np.ndarray, seen: Size, device: torch.device) -> Tensor:
    # Evaluation's batch, memory layout included: another layout rounds differently and may decide ties differently.
    batch = torch.from_numpy(np.stack([resize_image(image, seen)])).to(device)
    return batch.permute(0, 3, 1, 2).float().div_(255)


def _logits(network: nn.Module, batch: Tensor, size: Size, plan: InferencePlan) -> Tensor:
    mode = "whole" if plan.tile is not None else plan.mode
    return predict_logits(network, batch, size, mode, plan.window, plan.stride)
