"""``data.resize``, ``data.crop`` and ``evaluation.mode``: how much of an image the network sees, and at which scale."""

from __future__ import annotations

from semiseg.data.base import Resize, Size, resized
from semiseg.derived.choice import Choice
from semiseg.derived.facts import Facts
from semiseg.derived.memory import FEWEST, gpu_budget, step_bytes

SMALL_SIDE = {"cpu": 256, "cuda": 512, "mps": 256}
"""What large images are brought to: about CamVid at 240 × 320, as its preset trains on a CPU, and Cityscapes at
512 × 1024 (section 4.2)."""
LARGE = 1.5
"""Images are large from so many times that on: less is not worth the detail that resizing loses."""
FINEST = 4
"""Pixels that the narrowest class keeps where possible: the decoder's features are 4 apart (DeepLabv3+, figure 2)."""
LARGEST_CROP = {"cpu": 160, "cuda": 512, "mps": 256}
"""Crops of 128 to 160 have been trained on CPUs (benchmarks/NOTES.md); section 4.2 has 512."""
SMALLEST_CROP = 64
"""Where images are larger, as of toy streets: 16 features, at a stride of 16."""
STEP = 32  # crops are multiples of it
HALF = (0.4, 0.65)
"""Shares that are called half: crops are multiples of STEP."""
WHOLE = 16
"""Validation images pass the network whole up to so many times the pixels of a crop."""


def resize(facts: Facts) -> Choice:
    """Small side in pixels that every image is brought to, in its own proportions; None leaves them as they are."""
    side, target = facts.small_side, SMALL_SIDE[facts.device]
    if facts.tiled:
        return Choice(None, "tiles (data.tile) keep the scale of their picture")
    if side <= LARGE * target:
        return Choice(None, f"the images' small side, {side} pixels, is small enough")
    needed = -(-round(FINEST / facts.finest_width) // 16) * 16
    chosen = min(max(target, needed), 2 * target)
    width, name = facts.finest_width, facts.finest_class
    if chosen * LARGE > side:
        return Choice(None, f"kept at {side} pixels: {name} is {side * width:.0f} wide and must not get narrower")
    reason = f"the small side of every image, from {side} pixels, so that a crop shows things whole"
    if chosen < needed:
        reason += f"; {name} becomes {chosen * width:.1f} pixels wide, which is hardly enough: null keeps full size"
    elif chosen > target:
        reason += f"; not less, since {name} becomes {chosen * width:.0f} wide"
    return Choice(chosen, reason)


def crop(facts: Facts, side: int) -> Choice:
    """Side of the training crop in pixels, where ``side`` is the small side of the images as the network sees them."""
    largest = LARGEST_CROP[facts.device]
    most = chosen = min(largest, max(STEP, side // STEP * STEP))
    if facts.on_cpu:
        chosen = min(most, max(SMALLEST_CROP, round(side / 2 / STEP) * STEP))
    else:
        while chosen > SMALLEST_CROP and step_bytes(facts.share(FEWEST) * chosen**2) > gpu_budget(facts):
            chosen -= STEP
    if chosen >= side:
        return Choice(chosen, f"all of the small side, {side}" + (f", padded to {STEP}" if chosen > side else ""))
    if chosen == most < largest:
        return Choice(chosen, f"the small side, {side}, in multiples of {STEP}")
    if facts.on_cpu:
        share = "about half" if HALF[0] <= chosen / side <= HALF[1] else f"{100 * chosen / side:.0f} %"
        return Choice(chosen, f"{share} of the small side, {side}; larger crops take long on a CPU")
    if chosen < most:
        return Choice(chosen, f"the largest of which {FEWEST} fit into the GPU's memory")
    return Choice(chosen, f"of a small side of {side}; larger crops take memory and time")


def evaluation_mode(facts: Facts, resize_to: Resize | None, crop_size: Size) -> Choice:
    """``sliding`` where validation images are much larger than the crop, else ``whole``."""
    height, width = resized(facts.largest_validation, resize_to)
    pixels = crop_size[0] * crop_size[1]
    times = -(-height * width // pixels)
    if height * width > WHOLE * pixels:
        return Choice("sliding", f"validation images are up to {times} times a crop: in windows")
    return Choice("whole", f"validation images are at most {times} times a crop: in one pass")
