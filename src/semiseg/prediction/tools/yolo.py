"""YOLO segmentation: a text file of polygons for every image and a data.yaml with the class names.

The layout is the one that docs.cvat.ai describes as "Ultralytics YOLO Segmentation 1.0" and Ultralytics trains on once
the images lie in ``images/train``.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from semiseg.prediction.tools.job import Job
from semiseg.runtime.files import write_text

ROOT = "yolo"
SUBSET = "train"


def yolo_files(images: list[Path]) -> list[str]:
    """What :func:`write_yolo` writes."""
    return [f"{ROOT}/data.yaml", f"{ROOT}/{SUBSET}.txt", *(f"{ROOT}/labels/{SUBSET}/{i.stem}.txt" for i in images)]


def write_yolo(job: Job) -> list[str]:
    """Write ``yolo/`` with ``data.yaml``, ``train.txt`` and ``labels/train/``; returns what to do with it.

    Classes are numbered from 0 in the order of the network without its background, which is what no polygon covers.
    """
    root = job.folder / ROOT
    (root / "labels" / SUBSET).mkdir(parents=True, exist_ok=True)
    number = {k: i for i, k in enumerate(job.drawn)}
    for picture, mask in job.each():
        height, width = mask.shape
        lines = []
        for region in job.regions(mask):
            points = region.joined / (width, height)
            lines.append(" ".join([str(number[region.number]), *(f"{value:.8g}" for value in points.ravel().tolist())]))
        write_text(root / "labels" / SUBSET / f"{picture.image.stem}.txt", "".join(f"{line}\n" for line in lines))
    write_text(root / f"{SUBSET}.txt", "".join(f"images/{SUBSET}/{p.image.name}\n" for p in job.pictures))
    sheet = {"path": ".", SUBSET: f"{SUBSET}.txt", "names": {number[k]: name for k, name in job.drawn.items()}}
    write_text(root / "data.yaml", yaml.safe_dump(sheet, sort_keys=False, allow_unicode=True))
    return [f"zip what is in {ROOT}/ and import it as YOLO segmentation; to train from it put the images into "
            f"{ROOT}/images/{SUBSET}"]  # fmt: skip
