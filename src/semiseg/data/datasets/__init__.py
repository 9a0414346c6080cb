"""Data sets by name: those of this package, and those that installed packages add by entry points.

An opener takes (root, split, **options) and gives one :class:`ImageSet`; root is None where no folder was given. A
package adds one under its name in the group ``semiseg.datasets``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semiseg.data.base import DatasetInfo, ImageSet
from semiseg.data.datasets.camvid import open_camvid
from semiseg.data.datasets.cityscapes import open_cityscapes
from semiseg.data.datasets.folder import open_folder
from semiseg.data.datasets.gta5 import open_gta5
from semiseg.data.datasets.voc import open_voc
from semiseg.errors import UsageError, did_you_mean
from semiseg.runtime import plugins

Opener = Callable[..., ImageSet]


def _toy_streets(root: str | None, split: str, **options: Any) -> ImageSet:
    from semiseg.data.datasets.toy_streets import open_toy_streets  # the renderer is loaded only where it draws

    return open_toy_streets(root, split, **options)


DATASETS: dict[str, Opener] = {
    "folder": open_folder,
    "camvid": open_camvid,
    "toy_streets": _toy_streets,
    "cityscapes": open_cityscapes,
    "voc": open_voc,
    "gta5": open_gta5,
}
"""Openers of the data sets that come with this package."""


def dataset_names() -> list[str]:
    """Names of all data sets: this package's, then those of installed packages."""
    return [*DATASETS, *(name for name in plugins.installed(plugins.DATASETS) if name not in DATASETS)]


def opener(name: str) -> Opener:
    """What opens a data set; of two that share a name, this package's.

    Raises:
        UsageError: no data set of that name.
        SemisegError: the installed package that brings it cannot be imported.
    """
    if name in DATASETS:
        return DATASETS[name]
    names = dataset_names()
    if name not in names:
        raise UsageError(f"no data set {name!r}{did_you_mean(name, names)}; there are: {', '.join(names)}")
    found: Opener = plugins.load(plugins.DATASETS, name)
    return found


def known_classes(dataset: str) -> int | None:
    """Number of classes C of a data set that always has the same; None for others, installed ones included."""
    from semiseg.data.datasets import camvid, cityscapes, toy_canvas, voc

    sizes = {m.__name__.rpartition(".")[2]: m.INFO.num_classes for m in (camvid, cityscapes, voc)}
    return (sizes | {"toy_streets": len(toy_canvas.CLASSES)}).get(dataset)


__all__ = ["DATASETS", "DatasetInfo", "ImageSet", "Opener", "dataset_names", "known_classes", "opener"]
