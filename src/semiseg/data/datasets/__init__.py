"""Data sets: a plain dict of names. Each opener takes (root, split, **options) and gives one image set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semiseg.data.base import DatasetInfo, ImageSet
from semiseg.data.datasets.camvid import open_camvid
from semiseg.data.datasets.cityscapes import open_cityscapes
from semiseg.data.datasets.folder import open_folder
from semiseg.data.datasets.gta5 import open_gta5
from semiseg.data.datasets.voc import open_voc


def _toy_streets(root: str | None, split: str, **options: Any) -> ImageSet:
    from semiseg.data.datasets.toy_streets import open_toy_streets  # the renderer is loaded only where it draws

    return open_toy_streets(root, split, **options)


DATASETS: dict[str, Callable[..., ImageSet]] = {
    "folder": open_folder,
    "camvid": open_camvid,
    "toy_streets": _toy_streets,
    "cityscapes": open_cityscapes,
    "voc": open_voc,
    "gta5": open_gta5,
}


def known_classes(dataset: str) -> int | None:
    """Number of classes of a data set that always has the same; None for others."""
    from semiseg.data.datasets import camvid, cityscapes, toy_scene, voc

    sizes = {m.__name__.rpartition(".")[2]: m.INFO.num_classes for m in (camvid, cityscapes, voc)}
    return (sizes | {"toy_streets": len(toy_scene.CLASSES)}).get(dataset)


__all__ = ["DATASETS", "DatasetInfo", "ImageSet"]
