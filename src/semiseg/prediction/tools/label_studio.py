"""Label Studio: tasks with predictions, as its import takes them, and the labelling interface that goes with them.

The format is that of its pages "Import pre-annotated data" and "BrushLabels" (labelstud.io/guide/predictions,
labelstud.io/tags/brushlabels).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from semiseg.prediction.tools.brush import encode_brush
from semiseg.prediction.tools.job import Annotated, Job, hex_colour
from semiseg.runtime.files import replacing, write_text

FILES = ("labelstudio.json", "labelstudio.xml")
LOCAL = "/data/local-files/?d="


def write_label_studio(job: Job) -> list[str]:
    """Write ``labelstudio.json`` (tasks) and ``labelstudio.xml`` (labelling interface); returns what to do."""
    root = document_root([picture.image for picture in job.pictures])
    with replacing(job.folder / FILES[0]) as partial, partial.open("w", encoding="utf-8") as file:
        separator = "["
        for picture, mask in job.each():
            name = picture.image.resolve().relative_to(root).as_posix()
            url = (LOCAL if job.image_url is None else job.image_url) + quote(name)
            found = {"model_version": job.model, "result": list(_results(job, picture, mask))}
            file.write(separator + "\n" + json.dumps({"data": {"image": url}, "predictions": [found]}))
            separator = ","
        file.write("\n]\n")
    write_text(job.folder / FILES[1], interface(job))
    told = [f"in Label Studio: paste {FILES[1]} as the labelling interface (code), then import {FILES[0]}"]
    if job.image_url is None:
        told.append(
            "it finds the images when it was started with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true "
            f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root} and the project has their folder as a local storage"
        )
    return told


def document_root(images: list[Path]) -> Path:
    """The folder above the one that holds all images: Label Studio serves what lies in a sub-folder of its root."""
    common = Path(os.path.commonpath([image.resolve().parent for image in images]))
    return common.parent


def interface(job: Job) -> str:
    """The labelling interface, XML."""
    tag = "BrushLabels" if job.masks else "PolygonLabels"
    colours = job.colours
    labels = "".join(
        f"    <Label value={quoteattr(name)} background={quoteattr(hex_colour(colours[k]))}/>\n"
        for k, name in job.drawn.items()
    )
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <{tag} name="label" toName="image">\n{labels}  </{tag}>\n</View>\n'
    )


def _results(job: Job, picture: Annotated, mask: np.ndarray) -> Iterator[dict[str, Any]]:
    height, width = mask.shape
    common = {
        "from_name": "label", "to_name": "image", "original_width": width, "original_height": height,
        "image_rotation": 0,
    }  # fmt: skip
    if job.masks:
        for k, name in job.drawn.items():
            if (painted := mask == k).any():
                value: dict[str, Any] = {"format": "rle", "rle": encode_brush(painted), "brushlabels": [name]}
                yield {"id": f"class{k}", "type": "brushlabels", **common, "value": value}
        return
    for number, region in enumerate(job.regions(mask)):
        points = region.joined * (100 / width, 100 / height)
        value = {"points": points.tolist(), "closed": True, "polygonlabels": [job.drawn[region.number]]}
        yield {"id": f"region{number}", "type": "polygonlabels", **common, "value": value}
