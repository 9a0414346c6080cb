"""How an image goes through a network: whole, through windows or tiles, flipped, at several scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from semiseg.data.loading import resize_image
from semiseg.errors import UsageError
from semiseg.inference.logits import confidence_of, evaluating, predict_logits
from semiseg.inference.tiling import blended
from semiseg.runtime.precision import autocast

Size = tuple[int, int]


@dataclass(frozen=True)
class Passes:
    """The passes that make one prediction; sizes are (height, width) in pixels. The default is evaluation's.

    Raises:
        UsageError: a tile, an overlap or scales that make no sense.
    """

    mode: str = "whole"
    """``whole``, or ``sliding`` with `window` and `stride`; tiles take the place of both."""
    window: Size | None = None
    stride: Size | None = None
    precision: str = "fp32"
    resize: Size | None = None
    """Size that whole images are brought to, as in training."""
    tile: int | None = None
    """Side of a tile in pixels as the network sees them; None: no tiles."""
    overlap: float = 0.25
    """Least fraction of a tile that its neighbour shares."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Pixels the network sees for one of the image, vertically and horizontally, in tiles."""
    flip: bool = False
    """Predict the mirrored image too."""
    scales: tuple[float, ...] = (1.0,)
    """Sizes, relative to the usual one, whose class probabilities are averaged."""

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
    """Whether an error is about memory; the CPU's allocator of PyTorch has no exception of its own."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def segment(
    network: nn.Module,
    image: np.ndarray,
    passes: Passes,
    device: torch.device | str | None = None,
    confidence: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Classes and confidence of an image: uint8 (H,W,3) RGB -> uint8 (H,W) and float32 (H,W) in [0,1].

    The confidence is the probability of the class chosen; of several passes, the mean softmax decides. `device` moves
    the network. Without `confidence` its place is None. Raises UsageError for another kind of image.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UsageError(f"an image is uint8 (H,W,3) RGB, not {image.dtype} {image.shape}")
    size = (image.shape[0], image.shape[1])
    with evaluating(network, device) as place, autocast(passes.precision, place):
        if passes.tile is not None:
            return _tiled(network, image, passes, place, confidence)
        seen = passes.resize or size
        if passes.single:
            logits = _logits(network, _batch(image, seen, place), size, passes)
            sure = confidence_of(logits)[0].cpu().numpy() if confidence else None
            # On the CPU three times as fast as argmax(dim=1).
            return logits.max(dim=1).indices[0].to(torch.uint8).cpu().numpy(), sure
        best = _mean_probabilities(network, image, seen, passes, place).max(dim=0)
        mask = best.indices.to(torch.uint8).cpu().numpy()
        return mask, best.values.clamp(max=1).cpu().numpy() if confidence else None


def _tiled(
    network: nn.Module, image: np.ndarray, passes: Passes, place: torch.device, confidence: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    assert passes.tile is not None
    size = (image.shape[0], image.shape[1])
    down, across = passes.scale
    tile = (max(1, round(passes.tile / down)), max(1, round(passes.tile / across)))
    mask = np.empty(size, np.uint8)
    sure = np.empty(size, np.float32) if confidence else None

    def predict(rows: slice, columns: slice) -> Tensor:
        crop = image[rows, columns]
        seen = (max(1, round(crop.shape[0] * down)), max(1, round(crop.shape[1] * across)))
        return _mean_probabilities(network, crop, seen, passes, place)

    for rows, columns, probabilities in blended(predict, size, tile, passes.overlap):
        best = probabilities.max(dim=0)
        mask[rows, columns] = best.indices.to(torch.uint8).cpu().numpy()
        if sure is not None:
            sure[rows, columns] = best.values.clamp(max=1).cpu().numpy()  # float32 sums may end at 1.0000001
    return mask, sure


def _mean_probabilities(
    network: nn.Module, image: np.ndarray, seen: Size, passes: Passes, place: torch.device
) -> Tensor:
    """Softmax (C,H,W) at the size of `image`, averaged over scales and flips, of an image that is `seen` at a size."""
    size = (image.shape[0], image.shape[1])
    total: Tensor | None = None
    for scale in passes.scales:
        scaled = (max(1, round(seen[0] * scale)), max(1, round(seen[1] * scale)))
        batch = _batch(image, scaled, place)
        for flipped in (False, True) if passes.flip else (False,):
            logits = _logits(network, batch.flip(-1) if flipped else batch, size, passes)
            probabilities = torch.softmax(logits.flip(-1) if flipped else logits, dim=1)
            total = probabilities if total is None else total.add_(probabilities)
    assert total is not None
    return total[0].div_(len(passes.scales) * (1 + passes.flip))


def _batch(image: np.ndarray, seen: Size, place: torch.device) -> Tensor:
    # Made as in evaluation, strides included: another memory layout rounds differently, and ties would fall so.
    batch = torch.from_numpy(np.stack([resize_image(image, seen)])).to(place)
    return batch.permute(0, 3, 1, 2).float().div_(255)


def _logits(network: nn.Module, batch: Tensor, size: Size, passes: Passes) -> Tensor:
    mode = "whole" if passes.tile is not None else passes.mode
    return predict_logits(network, batch, size, mode, passes.window, passes.stride)
