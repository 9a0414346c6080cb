"""Methods: what one training step does. A plain dict of names; each file stands for one method."""

from .base import Batch, Method
from .classmix import ClassMix
from .cutmix import CutMix
from .mean_teacher import MeanTeacher
from .memory_bank import MemoryBankMethod
from .supervised import Supervised

METHODS: dict[str, type[Method]] = {
    "supervised": Supervised,
    "mean_teacher": MeanTeacher,
    "cutmix": CutMix,
    "classmix": ClassMix,
    "memory_bank": MemoryBankMethod,
}

__all__ = ["METHODS", "Batch", "Method"]
