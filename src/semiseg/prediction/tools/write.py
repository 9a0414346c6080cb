"""The tools by name: what is written for each, and how its corrections come back."""

from __future__ import annotations

import csv
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from semiseg.data.convert import FORMATS
from semiseg.data.splits.lists import ANY_NAME
from semiseg.errors import SemisegError, UsageError, did_you_mean
from semiseg.prediction.inputs import is_video
from semiseg.prediction.outputs import Targets
from semiseg.prediction.tools import coco, cvat, geojson, label_studio, yolo
from semiseg.prediction.tools.job import BACKGROUND, Annotated, Job

if TYPE_CHECKING:
    from semiseg.data.base import DatasetInfo

POLYGONS, MASKS = "polygons", "masks"


class Tool(NamedTuple):
    """What is known of a tool.

    Attributes:
        write: writes its files and returns what to do with them, a line each.
        files: their names in the output folder, given the images.
        shapes: what its format can hold, the usual one first.
        reader: ``--from`` of ``semiseg data convert`` that takes what the tool exports, where there is one.
        export: what the export is called in that command.
        alone: whether it holds no images.
    """

    write: Callable[[Job], list[str]]
    files: Callable[[list[Path]], Sequence[str]]
    shapes: tuple[str, ...]
    reader: str
    export: str
    alone: bool = True


TOOLS = {
    "labelstudio": Tool(label_studio.write_label_studio, lambda images: label_studio.FILES, (MASKS, POLYGONS),
                        "labelstudio", "export.json"),
    "cvat": Tool(cvat.write_cvat, lambda images: cvat.FILES, (MASKS,), "colour", "unzipped"),
    "coco": Tool(coco.write_coco, lambda images: coco.FILES, (POLYGONS, MASKS), "coco", "export.json"),
    "yolo": Tool(yolo.write_yolo, yolo.yolo_files, (POLYGONS,), "yolo", "export", alone=False),
    "geojson": Tool(geojson.write_geojson, geojson.geojson_files, (POLYGONS,), "qupath", "export"),
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """Pre-annotations that are asked for.

    Attributes:
        tool: a key of ``TOOLS``.
        shapes: ``polygons`` or ``masks``; None: the tool's usual ones.
        image_url: for Label Studio, what stands before the path of an image; None: its own address of local files.
    """

    tool: str
    shapes: str | None = None
    image_url: str | None = None


def check_tool(wanted: Wanted, info: DatasetInfo, inputs: Sequence[Path], folder: Path, overwrite: bool) -> None:
    """Everything that can be wrong before the first image is predicted.

    Raises:
        UsageError: an unknown tool, a shape that it cannot hold, an address without Label Studio, or a class name that
            its format cannot hold.
        SemisegError: its files exist.
    """
    tool, images = wanted.tool, [path for path in inputs if not is_video(path)]
    if tool not in TOOLS:
        raise UsageError(f"--for {tool!r}: choose one of {', '.join(TOOLS)}{did_you_mean(tool, list(TOOLS))}")
    known = TOOLS[tool]
    if wanted.shapes is not None and wanted.shapes not in known.shapes:
        raise UsageError(f"--shapes {wanted.shapes!r}: {tool} takes {' or '.join(known.shapes)}")
    if wanted.image_url is not None and tool != "labelstudio":
        raise UsageError(f"--image-url belongs to --for labelstudio, not to {tool}; drop it")
    if not images:
        raise UsageError(f"--for {tool} is for images, and only videos are given; leave it out")
    if tool == "cvat":
        cvat.check_names(info.classes)
    existing = [str(folder / name) for name in known.files(images) if (folder / name).exists()]
    if existing and not overwrite:
        raise SemisegError(f"{existing[0]} exists; choose another folder or --overwrite it")


def write_predicted(
    wanted: Wanted, info: DatasetInfo, inputs: Sequence[Path], folder: Path, model: str
) -> list[str]:  # fmt: skip
    """Write the masks of a finished prediction for a tool; nothing where no image was predicted.

    Args:
        wanted: tool, shapes and addresses.
        info: of the network.
        inputs: what was predicted; images that were skipped, and videos, are left out.
        folder: the output folder of the prediction, where ``shares.csv`` says which images have a mask.
        model: what made the masks, as the tool shows it.

    Returns:
        What to do with the files, a line each.
    """
    with (folder / "shares.csv").open(newline="", encoding="utf-8", errors=ANY_NAME) as file:
        done = {row[0] for row in csv.reader(file)}
    masks = [(path, Targets.of(folder, path, False, False).mask) for path in inputs if str(path) in done]
    pictures = [Annotated(path, mask) for path, mask in masks if mask is not None]
    if not pictures:
        return []
    known = TOOLS[wanted.tool]
    shapes = wanted.shapes or known.shapes[0]
    told = known.write(Job(folder, info, pictures, model, shapes == MASKS, wanted.image_url))
    if words := convert_words(wanted.tool, info, [picture.image for picture in pictures]):
        told.append(f"what it exports becomes masks by: {shlex.join(words)}")
    return told


def convert_words(tool: str, info: DatasetInfo, images: Sequence[Path]) -> list[str]:
    """The command that makes masks of the tool's export, with the classes numbered as the network has them; empty where
    there is no reader, or a class name holds a comma."""
    folders = [image.parent for image in images]
    if len({folder.is_absolute() for folder in folders}) > 1:
        folders = [folder.absolute() for folder in folders]
    where = os.path.commonpath(folders) or "."
    known = TOOLS[tool]
    if known.reader not in FORMATS or any("," in name for name in info.classes):
        return []
    has_background = BACKGROUND in info.classes
    words = ["semiseg", "data", "convert", known.export, "--from", known.reader]
    words += ["--images", where] if known.alone else []
    words += ["--classes", ",".join(info.classes)]
    if known.reader == "colour":
        words += [] if has_background else ["--others", "ignore"]
    else:
        words += ["--empty", BACKGROUND] if has_background else ["--background", "ignore"]
    return [*words, "--output", "corrected"]
