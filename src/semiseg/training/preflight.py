"""Before step 0: can the data be used, will the memory do?"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from semiseg.config.read import Config
from semiseg.cost.step import step_memory
from semiseg.cost.validation import validation_memory
from semiseg.data.base import Size
from semiseg.data.check.dataset import Checked, check_data
from semiseg.data.datasets.folder import Folder
from semiseg.data.layouts.places import is_divided
from semiseg.data.run_data import RunData
from semiseg.data.splits.shuffled_folds import FOLDS
from semiseg.errors import SemisegError, one_line
from semiseg.evaluation.validation import smaller
from semiseg.methods.base.stages import first_stage
from semiseg.runtime.device import free_memory
from semiseg.runtime.plugins import method_class
from semiseg.runtime.progress import CountingBar
from semiseg.training.advice.noise import FEW_IMAGES, between_trainings
from semiseg.training.pixels import pixels_remark

SAVERS = (
    "training.passes=in_turn, training.activation_checkpointing=true, a smaller data.crop, or a smaller "
    "training.batch_size with training.accumulation"
)


def check_run_data(config: Config, data: RunData, shown: bool = False) -> Checked:
    """The quick form of ``semiseg data check``: every mask in use, and the header of every image.

    Args:
        config, data: of the run.
        shown: show a bar in a terminal.

    Raises:
        SemisegError: the first error found, what to do about it, and how many more there are.
    """
    with CountingBar("files", shown) as bar:
        checked = check_data(
            data.train, data.val, data.labelled_names, config.data.crop_size, resize=config.data.resize, quick=True,
            source=data.source, source_resize=config.data.source.resize, progress=bar.update,
        )  # fmt: skip
    errors = [finding for finding in checked.findings if finding.level == "error"]
    if errors:
        more = f" ({len(errors) - 1} more; `semiseg data check` lists them)" if len(errors) > 1 else ""
        # Nothing stands behind the remedy, which may end with a command to copy.
        raise SemisegError(f"{errors[0].where}: {errors[0].message}{more}; {errors[0].remedy}")
    return checked


def tell_remarks(config: Config, data: RunData, device: torch.device, new: bool, largest: Size | None = None) -> None:
    """Print what the user should know before step 0; how few images validate only where the run is ``new``.

    ``largest`` is the size of the largest validation image.
    """
    few = few_images_remark(config, data) if new else None
    memory = memory_remark(config, data.train.info.num_classes, device)
    left_out = [*data.train.remarks, *data.val.remarks] if new else []
    validation = validation_remark(config, data.train.info.num_classes, device, largest)
    for remark in (
        pixels_remark(config),
        *left_out,
        few,
        stages_remark(config),
        accumulation_remark(config),
        memory,
        validation,
    ):
        if remark is not None:
            print(f"semiseg: {one_line(remark)}", file=sys.stderr, flush=True)


def stages_remark(config: Config) -> str | None:
    """One line where ``method.stages`` is set and changes nothing; None where it does or is off."""
    name, share = config.method.name, config.method.stages
    if share == 0:
        return None
    if not method_class(name).needs.unlabelled:
        return f"method.stages={share} has no effect: {name} trains on the labelled images alone all along"
    if first_stage(config) == 0:
        steps = config.training.iterations
        why = "the method needs the only step itself" if steps == 1 else "it is no more than half a step"
        return f"method.stages={share} has no effect with training.iterations={steps}: {why}; raise it"
    return None


def accumulation_remark(config: Config) -> str | None:
    """One line where added batches are not what one batch of all their crops would be; None where they are.

    Each batch is divided by what it holds: equal counts of pixels, but not of weights or of pixels with a vector.
    """
    parts = config.training.accumulation
    if parts == 1:
        return None
    terms = [config.method.loss.divisor == "weights" and "method.loss.divisor=weights"]
    weights = getattr(config.method.settings, "weights", None)
    terms.append(getattr(weights, "contrastive", 0) > 0 and "the contrastive term")
    if not (named := [term for term in terms if term]):
        return None
    return (
        f"training.accumulation={parts} takes the mean of {parts} batches, each divided by what it holds itself: with "
        f"{' and '.join(named)} that is near, but not equal to, one batch of {parts * config.training.batch_size} crops"
    )


def few_images_remark(config: Config, data: RunData) -> str | None:
    """One line when so few images validate that most differences are chance; None from FEW_IMAGES on."""
    count = sum(data.val.has_label(i) for i in range(len(data.val)))
    if count >= FEW_IMAGES:
        return None
    images = "1 validation image" if count == 1 else f"{count} validation images"
    remark = f"{images}: differences below about {between_trainings(count):.0f} points of mIoU are chance"
    if _can_fold(config, data):
        remark += f". data.options.fold=0 to {FOLDS - 1}, a run each, lets every mask validate once"
    return remark


def _can_fold(config: Config, data: RunData) -> bool:
    """Whether ``data.options.fold`` is to be had: in a folder that is not divided, with masks enough."""
    masks = sum(part.has_label(i) for part in (data.train, data.val) for i in range(len(part)))
    divided = not isinstance(data.val, Folder) or is_divided(Path(str(config.data.root)))
    return not divided and masks >= FOLDS and "fold" not in config.data.options


def memory_remark(config: Config, num_classes: int, device: torch.device, free: int | None = None) -> str | None:
    """One line when a step needs more memory than is free, with what would lower it; None when it fits.

    Args:
        config: the run; its step is counted as ``semiseg cost`` does, which is a lower bound.
        num_classes: C.
        device: where the run trains.
        free: bytes to compare with; by default what the device has free now.
    """
    free = free_memory(device) if free is None else free
    if free is None:
        return None
    try:
        need = sum(step_memory(config, num_classes).values())
    except Exception:  # an optional backbone that cannot be built without data must not keep a run from starting
        return None
    if need <= free:
        return None
    return (
        f"a step needs at least {need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free on {device}: it will "
        f"probably run out of memory. Try {SAVERS}"
    )


def validation_remark(
    config: Config, num_classes: int, device: torch.device, largest: Size | None, free: int | None = None
) -> str | None:
    """One line when a validation image needs more memory than is free, with what would lower it; None when it fits.

    Args:
        config, num_classes, device, free: as :func:`memory_remark` takes them.
        largest: (height, width) of the largest validation image; None: unknown.
    """
    free = free_memory(device) if free is None else free
    if free is None or largest is None:
        return None
    try:
        need = validation_memory(config, num_classes, largest)
    except Exception:  # as above
        return None
    if need <= free:
        return None
    return (
        f"a validation image of {largest[0]}x{largest[1]} pixels needs at least {need / 2**30:.1f} GiB in a pass and "
        f"{free / 2**30:.1f} GiB are free on {device}: validating will probably run out of memory. Try "
        f"{smaller(config)}"
    )
