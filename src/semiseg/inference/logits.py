"""A network's logits and classes over whole images or a sliding window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.errors import UsageError

MODES = ("whole", "sliding")


def whole_image_logits(network: nn.Module, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """One pass over images (B,3,H,W): float32 logits (B,C,*size), bilinear; ``size`` is (H,W) unless given."""
    return _resize(network(images).logits, size or (images.shape[-2], images.shape[-1]))


def sliding_window_logits(
    network: nn.Module, images: Tensor, window: tuple[int, int], stride: tuple[int, int] | None = None
) -> Tensor:
    """Logits float32 (B,C,H,W) of images (B,3,H,W), averaged over overlapping (height, width) windows.

    ``stride`` is two thirds of the window unless given; the last window of a row or column is shifted back to fit.
    Images smaller than the window are padded to its size by reflection at the bottom and right, and the logits
    cropped back.

    Raises:
        UsageError: a window below one pixel, or a stride below one pixel or beyond the window (it would leave gaps).
    """
    if stride is None:
        stride = (max(1, round(window[0] * 2 / 3)), max(1, round(window[1] * 2 / 3)))
    if not (1 <= stride[0] <= window[0] and 1 <= stride[1] <= window[1]):
        raise UsageError(f"a stride of {stride} leaves gaps; choose one between (1, 1) and the window, {window}")
    height, width = images.shape[-2:]
    for axis, missing in ((2, window[0] - height), (3, window[1] - width)):
        if missing > 0:  # by index, since torch's reflection cannot pad by more than the size of the image
            index = np.pad(np.arange(images.shape[axis]), (0, missing), mode="reflect")
            images = images.index_select(axis, torch.from_numpy(index).to(images.device))
    total: Tensor | None = None
    times = images.new_zeros(images.shape[-2:])
    for top in _positions(images.shape[2], window[0], stride[0]):
        for left in _positions(images.shape[3], window[1], stride[1]):
            rows, columns = slice(top, top + window[0]), slice(left, left + window[1])
            logits = whole_image_logits(network, images[:, :, rows, columns])
            if total is None:
                total = logits.new_zeros(*logits.shape[:2], *images.shape[-2:])
            total[:, :, rows, columns] += logits
            times[rows, columns] += 1
    assert total is not None
    return (total / times)[:, :, :height, :width]


def _positions(size: int, window: int, stride: int) -> list[int]:
    starts = list(range(0, size - window + 1, stride))
    return starts if starts[-1] == size - window else [*starts, size - window]


def _resize(logits: Tensor, size: tuple[int, int]) -> Tensor:
    logits = logits.float()
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def predict_logits(
    network: nn.Module,
    images: Tensor,
    size: tuple[int, int] | None = None,
    mode: str = "whole",
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
) -> Tensor:
    """Logits of images (B,3,H,W) in [0,1]: float32 (B,C,*size); ``size`` is (H,W) unless given.

    Raises:
        UsageError: a ``mode`` other than ``whole`` and ``sliding``, or ``sliding`` without a window.
    """
    if mode not in MODES:
        raise UsageError(f"no evaluation mode {mode!r}; choose one of {', '.join(MODES)}")
    if mode == "whole":
        return whole_image_logits(network, images, size)
    if window is None:
        raise UsageError("mode 'sliding' needs a window; give its height and width in pixels")
    logits = sliding_window_logits(network, images, window, stride)
    return logits if size is None else _resize(logits, size)


def predict_classes(
    network: nn.Module,
    images: Tensor,
    size: tuple[int, int] | None = None,
    mode: str = "whole",
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
) -> Tensor:
    """The most likely class of every pixel: images (B,3,H,W) in [0,1] -> int64 (B,*size).

    Arguments and errors are those of :func:`predict_logits`.
    """
    # max() is three times as fast as argmax() on the CPU.
    return predict_logits(network, images, size, mode, window, stride).max(dim=1).indices


def confidence_of(logits: Tensor) -> Tensor:
    """The largest softmax probability of every pixel: (B,C,H,W) -> float32 (B,H,W) in [0,1]."""
    # Some rows at a time: a softmax of the whole would need as much memory again as the logits.
    rows = torch.split(logits.float(), 128, dim=2)
    return torch.cat([torch.softmax(part, dim=1).amax(dim=1) for part in rows], dim=1)


@contextmanager
def evaluating(network: nn.Module, device: torch.device | str | None = None) -> Iterator[torch.device]:
    """Evaluation mode without gradients; afterwards every module is back in the mode it was in.

    Yields the device of the network, which is moved to ``device`` first where one is given.
    """
    if device is not None:
        network.to(device)
    parameter = next(network.parameters(), None)
    run_device = parameter.device if parameter is not None else torch.device(device or "cpu")
    # A network in training may hold modules that are kept in evaluation mode: train(True) would change those as well.
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield run_device
    finally:
        for module, mode in modes:
            module.training = mode
