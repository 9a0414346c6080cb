"""The data of a run: training and validation images, and which training images keep their masks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from semiseg.config.data import DataConfig, SourceConfig
from semiseg.data.base import ImageSet
from semiseg.data.datasets import DATASETS, opener
from semiseg.data.datasets.counting import occurring_values
from semiseg.data.datasets.folder import NONE, Folder
from semiseg.data.layouts.places import is_divided
from semiseg.data.rasters.configured import as_configured, settings_of
from semiseg.data.rasters.intensity import Ranges
from semiseg.data.rasters.statistics import dataset_ranges
from semiseg.data.rasters.tiles import TiledImages
from semiseg.data.splits.lists import parse_labelled, read_list, seeded_split
from semiseg.errors import SemisegError, UsageError


@dataclass(frozen=True)
class RunData:
    """Image sets, the split of the training images as indices into ``train``, and X_d where there is one.

    ``ranges`` are what becomes 0 and 255 of every channel, where that was measured on the training images.
    """

    train: ImageSet
    val: ImageSet
    labelled: list[int]
    unlabelled: list[int]
    source: ImageSet | None = None
    ranges: Ranges | None = None

    @property
    def labelled_names(self) -> list[str]:
        return [self.train.names[i] for i in self.labelled]


def open_split(config: DataConfig | SourceConfig, split: str) -> ImageSet:
    """Open one split of the configured data set, or of the source domain.

    Raises:
        UsageError: no data set of that name.
        SemisegError: the folder is missing or not laid out as expected, or the installed package that brings the data
            set cannot be imported.
    """
    if config.dataset is None:
        raise UsageError("no data set is named; give data.dataset=NAME, or data.source.dataset=NAME for the source")
    open_set = opener(config.dataset)
    if taken := {"root", "split"} & config.options.keys():
        raise UsageError(f"data.options has no {sorted(taken)[0]!r}; the folder is data.root, the split is chosen")
    found = open_set(_root(config), split, **config.options)
    return as_configured(found, config) if isinstance(config, DataConfig) else found


def _root(config: DataConfig | SourceConfig) -> str | None:
    """The folder given, or the one in SEMISEG_DATA; None for data sets that may need none: toy streets, installed ones.

    Raises:
        UsageError: no folder for another data set.
    """
    if config.root is not None or config.dataset == "toy_streets":
        return config.root
    if base := os.environ.get("SEMISEG_DATA"):
        return str(Path(base) / str(config.dataset))
    if config.dataset not in DATASETS:
        return None
    key = "data.source.root" if isinstance(config, SourceConfig) else "data.root"
    raise UsageError(f"{key} is missing: give {key}=FOLDER, or set SEMISEG_DATA to the folder above {config.dataset}/")


def source_config(config: DataConfig) -> SourceConfig:
    """The settings of the source domain as it is opened: nothing of a folder is kept for validation."""
    source = config.source
    if source.dataset != "folder" or "fold" in source.options:
        return source
    return source.model_copy(update={"options": {"validation": NONE} | source.options})


def _open_source(config: DataConfig, classes: tuple[str, ...]) -> ImageSet | None:
    if config.source.dataset is None:
        return None
    source = as_configured(open_split(source_config(config), "train"), config)
    if source.info.classes != classes:
        raise UsageError(
            f"data.source.dataset={config.source.dataset} has classes {', '.join(source.info.classes[:4])}, …; the "
            f"target has {', '.join(classes[:4])}, …: the source must share the target's classes"
        )
    return source


def check_classes(found: tuple[str, ...], learnt: tuple[str, ...]) -> None:
    """Refuse data whose classes are not those, in that order, that a network has learnt.

    Raises:
        SemisegError: they differ; names the first difference and what to do.
    """
    if found != learnt:
        k, in_data, in_training = next(
            (k, a, b) for k, (a, b) in enumerate(zip_longest(found, learnt, fillvalue="nothing")) if a != b
        )
        raise SemisegError(
            f"the data has {len(found)} classes, the network {len(learnt)}; class {k} is {in_data} here and was "
            f"{in_training} in training: list the classes of that training in dataset.yaml, or train anew"
        )


def open_run_data(config: DataConfig) -> RunData:
    """Open train and val and choose the labelled images (seeded split of the sorted list, or a list file).

    Where every image stays labelled, nothing is left for X_u and the labelled images themselves take its part, so that
    the fully labelled column of Tables 2 and 3 runs with the same code.

    Raises:
        UsageError: no data set of that name, no folder, or a split that the data set cannot have.
        SemisegError: no training image with a mask, a data set that cannot be opened, or classes that were counted
            from masks which the run does not use.
    """
    train = open_split(config, "train")
    ranges = None
    if config.intensity == "dataset" and config.ranges is None:
        ranges = dataset_ranges(train, settings_of(config))
        config = config.model_copy(update={"ranges": list(ranges)})
        train = as_configured(train.images if isinstance(train, TiledImages) else train, config)
    val = open_split(config, "val")
    with_mask = [name for i, name in enumerate(train.names) if train.has_label(i)]
    if not with_mask and any(val.has_label(i) for i in range(len(val))) and not _divides_itself(train):
        raise SemisegError("one image has a mask, and it validates; add a mask for at least one more image, or put "
                           "training images and validation images with masks into folders train/ and val/")  # fmt: skip
    if not with_mask:
        raise SemisegError("no training image has a mask; add masks for a few images (same file stem as the image)")
    if config.labelled_list is not None:
        names = read_list(Path(config.labelled_list), train.names, config.labelled)
        missing = sorted(set(names) - set(with_mask))
        if missing:
            raise SemisegError(f"{config.labelled_list}: {len(missing)} listed images have no mask, e.g. {missing[0]}")
    else:
        names = seeded_split(with_mask, parse_labelled(config.labelled, len(with_mask)), config.split_seed)
    if isinstance(train, Folder) and isinstance(val, Folder):
        _check_counted(train, val, names, with_mask)
    position = {name: i for i, name in enumerate(train.names)}
    labelled = [position[name] for name in names]
    chosen = set(labelled)
    unlabelled = [i for i in range(len(train)) if i not in chosen]
    source = _open_source(config, train.info.classes)
    return RunData(train, val, labelled, unlabelled or sorted(chosen), source, ranges)


def _divides_itself(images: ImageSet) -> bool:
    """Whether the data set itself says which images validate."""
    return not isinstance(images, Folder) or is_divided(images.root)


def _check_counted(train: Folder, val: Folder, labelled: list[str], with_mask: list[str]) -> None:
    """Refuse a number of classes that follows from masks which are hidden from the run."""
    if not train.counted or len(labelled) == len(with_mask):
        return
    used = sorted([*(train.masks[name] for name in labelled), *val.masks.values()])
    shown = max(occurring_values(train.root, used, train.ignored), default=-1) + 1
    if shown != train.info.num_classes:
        raise SemisegError(
            f"the {len(used)} masks in use show the classes 0 to {shown - 1}, those that stay hidden go up to "
            f"{train.info.num_classes - 1}: no hidden mask should decide the number of classes; name them in "
            "dataset.yaml (classes:)"
        )
