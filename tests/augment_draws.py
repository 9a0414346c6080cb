"""Seeded generators and draws by hand, for the tests of augmentation."""

import torch

from semiseg.augment.weak_strong import Draws, Strength

NOTHING = Strength(flip=0, resize=0, jitter=0, brightness=0, contrast=0, saturation=0, hue=0, blur=0, classmix=0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fixed(batch: int = 1, **values: float) -> Draws:
    """Draws of 0.5 but for the named ones."""
    return Draws(**{name: torch.full((batch,), values.get(name, 0.5)) for name in Draws._fields})
