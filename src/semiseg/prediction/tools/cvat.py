"""CVAT's "Segmentation mask 1.1": a zip archive of coloured masks, as docs.cvat.ai describes it.

``SegmentationObject`` gives every class of an image one object. Without it CVAT would annotate the background too.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np
from PIL import Image

from semiseg.data.base import Colour
from semiseg.data.datasets.voc import voc_colour
from semiseg.errors import UsageError
from semiseg.prediction.tools.job import BACKGROUND, BLACK, Job
from semiseg.runtime.files import replacing

FILES = ("cvat.zip",)
SUBSET = "default"


def write_cvat(job: Job) -> list[str]:
    """Write ``cvat.zip``; returns what to do with it.

    Raises:
        UsageError: a class name that labelmap.txt cannot hold.
    """
    check_names(job.info.classes)
    colours = job.colours
    lines = ["# label:color_rgb:parts:actions", f"{BACKGROUND}:0,0,0::"]
    lines += [f"{name}:{','.join(map(str, colours[k]))}::" for k, name in job.drawn.items()]
    objects = {k: voc_colour(number) for number, k in enumerate(job.drawn, start=1)}
    with replacing(job.folder / FILES[0]) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labelmap.txt", "\n".join(lines) + "\n")
        names = "".join(f"{picture.image.stem}\n" for picture in job.pictures)
        archive.writestr(f"ImageSets/Segmentation/{SUBSET}.txt", names)
        for picture, mask in job.each():
            archive.writestr(f"SegmentationClass/{picture.image.stem}.png", _png(mask, colours))
            archive.writestr(f"SegmentationObject/{picture.image.stem}.png", _png(mask, objects))
    labels = ", ".join(job.drawn.values())
    return [f'in CVAT: a task with these images and the labels {labels}, then "Upload annotations", '
            f'"Segmentation mask 1.1", {FILES[0]}']  # fmt: skip


def check_names(classes: tuple[str, ...]) -> None:
    """Refuse names that would break the lines of ``labelmap.txt``.

    Raises:
        UsageError: a colon or a line break in a name.
    """
    for name in classes:
        if ":" in name or "\n" in name or name.startswith("#"):
            raise UsageError(
                f"CVAT's labelmap.txt cannot hold the class {name!r} (no colon, no # in front); rename it in "
                "dataset.yaml, or choose --for coco"
            )


def _png(mask: np.ndarray, colours: dict[int, Colour]) -> bytes:
    table = np.full((256, 3), BLACK, np.uint8)
    for k, colour in colours.items():
        table[k] = colour
    data = io.BytesIO()
    Image.fromarray(table[mask]).save(data, format="PNG")
    return data.getvalue()
