"""Methods: what one training step does. A plain dict of names; each file stands for one method."""

from semiseg.methods.base import Batch, Method
from semiseg.methods.classmix import ClassMix
from semiseg.methods.cutmix import CutMix
from semiseg.methods.mean_teacher import MeanTeacher
from semiseg.methods.memory_bank import MemoryBankMethod
from semiseg.methods.supervised import Supervised

METHODS: dict[str, type[Method]] = {
    "supervised": Supervised,
    "mean_teacher": MeanTeacher,
    "cutmix": CutMix,
    "classmix": ClassMix,
    "memory_bank": MemoryBankMethod,
}

__all__ = ["METHODS", "Batch", "Method"]
