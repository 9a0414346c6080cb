"""Augmentation on batches: weak and strong views (Table 1), ClassMix and CutMix masks."""

from semiseg.augment.mixing import classmix_masks, cutmix_masks, paste
from semiseg.augment.weak_strong import STRONG, STRONG_REFERENCE, WEAK, WEAK_REFERENCE, Strength, augment

__all__ = [
    "STRONG",
    "STRONG_REFERENCE",
    "WEAK",
    "WEAK_REFERENCE",
    "Strength",
    "augment",
    "classmix_masks",
    "cutmix_masks",
    "paste",
]
