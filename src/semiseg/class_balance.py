"""Class balance α of eq. 3: α_c = sqrt(f_m / f_c) (section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semiseg.runtime.distributed import total

MOST = 10.0  # a class of a hundredth of the median; the rarest of Cityscapes has about 3


def class_weights(frequencies: Tensor, most: float = MOST) -> Tensor:
    """α_c = sqrt(f_m / f_c), f_m the median of the frequencies (section 4.2), at most ``most``.

    The paper names no bound. Without one, a class of a few pixels among millions, soon met with few labels, gets a
    weight of hundreds, and one wrong pixel of it outweighs an image.

    Args:
        frequencies: (C,) pixel counts or shares. A class that was never seen (0) has no frequency yet: it
            does not enter the median and its weight is 1.
        most: upper bound of a weight.

    Returns:
        (C,) float32, or the dtype of a floating input.
    """
    f = frequencies if frequencies.is_floating_point() else frequencies.float()
    seen = f > 0
    # The median of an even number of values is the mean of the two in the middle, as in NumPy: nanmedian
    # of torch would take the lower one. Sorting puts the unseen classes last without reading `seen` back.
    ordered = f.where(seen, f.new_tensor(float("inf"))).sort().values
    n = seen.sum()
    middle = torch.stack([((n - 1) // 2).clamp_min(0), n // 2])
    median = ordered.gather(0, middle).mean()
    return (median / f).sqrt().clamp_max(most).where(seen, f.new_tensor(1.0))


class ClassCounts(nn.Module):
    """Pixel counts per class over labels and pseudo-labels: the f_c of section 4.2, kept in checkpoints."""

    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.float64))

    @torch.no_grad()
    def update(self, labels: Tensor) -> None:
        """Count (…) int64 labels of all processes; those outside 0…C-1 (ignored) are left out."""
        inside = (labels >= 0) & (labels < self.num_classes)
        bins = labels.where(inside, labels.new_tensor(self.num_classes)).flatten()
        # Not bincount, which waits for the device to learn its own output's size.
        counted = self.counts.new_zeros(self.num_classes + 1)
        counted.scatter_add_(0, bins, torch.ones_like(bins, dtype=self.counts.dtype))
        self.counts += total(counted[: self.num_classes])

    def weights(self) -> Tensor:
        """α, (C,) of the default dtype; see :func:`class_weights`."""
        return class_weights(self.counts).to(torch.get_default_dtype())
