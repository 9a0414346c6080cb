"""How far mIoU moves by chance from one validation to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence

COMMON, OF_ONE_IMAGE = 1.3, 2.5
"""Points of mIoU. σ² = 1.3² + 2.5²/n for n validation images: within 0.25 points of the mean over three data sets at 1
to 16 images (benchmarks/results/validation_noise.json), which differ among themselves by more."""
PRIOR = 4
"""How many second differences of the run's own curve that σ counts as: as many as are taken from it (``RECENT``)."""
RECENT = 4
"""Second differences taken from the end of the curve: earlier ones hold the bend of its steep beginning."""
FEW_IMAGES = 8
"""With fewer validation images their figures are warned of."""
BETWEEN = 17
"""Two networks that differ by the seed alone differ by up to so many points of mIoU, divided by the square root of the
number of validation images: 13 to 20 were measured (benchmarks/results/few_validation_images.json)."""
SURE = 2.0
"""Standard errors that a change must exceed not to be called chance: 1 in 20 does so by itself."""


def sigma_of_images(images: int) -> float:
    """Standard error of one validation on so many images, in points of mIoU, where nothing else is known."""
    return math.hypot(COMMON, OF_ONE_IMAGE / math.sqrt(max(1, images)))


def sigma(curve: Sequence[float], images: int) -> float:
    """Standard error of one validation of a run, in points of mIoU.

    Args:
        curve: mIoU in percent at every validation so far. Its second differences leave a steady rise out; their
            variance is 6 σ² where validations err independently.
        images: validation images.
    """
    bends = [before - 2 * here + after for before, here, after in zip(curve, curve[1:], curve[2:], strict=False)]
    own = [bend**2 / 6 for bend in bends[-RECENT:]]
    return math.sqrt((PRIOR * sigma_of_images(images) ** 2 + sum(own)) / (PRIOR + len(own)))


def chance(sigma: float) -> float:
    """Points below which the difference of two validations with error σ each is chance."""
    return SURE * math.sqrt(2) * sigma


def between_trainings(images: int) -> float:
    """Points of mIoU below which the difference of two trainings is chance on so many validation images."""
    return BETWEEN / math.sqrt(max(1, images))
