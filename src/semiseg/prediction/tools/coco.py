"""COCO instances: one JSON file, categories numbered as the classes are; what pycocotools and most tools read.

An annotation is a region's polygon, or with ``masks`` the run lengths of a whole class, column by column from the first
zeros, which is COCO's uncompressed form.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from semiseg.prediction.tools.job import Job, plain
from semiseg.runtime.files import write_text

FILES = ("coco.json",)


def write_coco(job: Job) -> list[str]:
    """Write ``coco.json``; returns what to do with it."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (picture, mask) in enumerate(job.each(), start=1):
        height, width = mask.shape
        images.append({"id": number, "file_name": picture.image.name, "width": width, "height": height})
        for row in _classes(job, mask) if job.masks else _polygons(job, mask):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **row})
    categories = [{"id": k, "name": name, "supercategory": ""} for k, name in job.drawn.items()]
    sheet = {
        "info": {"description": job.model}, "licenses": [], "images": images, "annotations": annotations,
        "categories": categories,
    }  # fmt: skip
    write_text(job.folder / FILES[0], json.dumps(sheet))
    return [f"import {FILES[0]} as COCO instances, beside the images"]


def _polygons(job: Job, mask: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"category_id": region.number, "segmentation": [plain(region.joined)], "area": region.pixels,
         "bbox": _box(region.outer), "iscrowd": 0}
        for region in job.regions(mask)
    ]  # fmt: skip


def _box(corners: np.ndarray) -> list[float]:
    low, high = corners.min(axis=0), corners.max(axis=0)
    return plain(np.concatenate([low, high - low]))


def _classes(job: Job, mask: np.ndarray) -> list[dict[str, Any]]:
    found = []
    for k in job.drawn:
        painted = mask == k
        if not painted.any():
            continue
        rows, columns = np.flatnonzero(painted.any(1)), np.flatnonzero(painted.any(0))
        corners = np.array([(columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)])
        found.append(
            {"category_id": k, "segmentation": {"size": list(mask.shape), "counts": run_lengths(painted)},
             "area": int(painted.sum()), "bbox": _box(corners), "iscrowd": 1}
        )  # fmt: skip
    return found


def run_lengths(painted: np.ndarray) -> list[int]:
    """Lengths of the runs of zeros and ones in turn, bool (H, W) read column by column; zeros come first."""
    flat = np.concatenate([[False], painted.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], changes, [painted.size]])).tolist()
