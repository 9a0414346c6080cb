"""One conversion: read the export, number the classes, write the folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semiseg.data.convert.chosen import choose
from semiseg.data.convert.classes import class_colours, number_classes
from semiseg.data.convert.coco import read_coco
from semiseg.data.convert.colour import read_colour
from semiseg.data.convert.depth import depth_of
from semiseg.data.convert.export import BACKGROUND, Export, Picture, Plan
from semiseg.data.convert.instances import read_instances
from semiseg.data.convert.label_studio import read_label_studio
from semiseg.data.convert.labelme import read_labelme
from semiseg.data.convert.labelme_dataset import read_labelme_dataset
from semiseg.data.convert.qupath import read_qupath
from semiseg.data.convert.shades import values_given
from semiseg.data.convert.supervisely import read_supervisely
from semiseg.data.convert.via import read_via
from semiseg.data.convert.writing import (
    is_turned,
    new_folder,
    output_names,
    upright_size,
    write_description,
    write_image,
    write_mask,
)
from semiseg.data.convert.yolo import read_yolo
from semiseg.errors import SemisegError, UsageError

READERS: dict[str, Callable[[Path, Path | None, bool], Export]] = {
    "labelme": read_labelme,
    "labelme_dataset": read_labelme_dataset,
    "coco": read_coco,
    "yolo": read_yolo,
    "labelstudio": read_label_studio,
    "via": read_via,
    "supervisely": read_supervisely,
    "qupath": read_qupath,
    "instances": read_instances,
}
FORMATS = (*READERS, "colour")


@dataclass(frozen=True)
class Converted:
    """What was written: numbers of files, and by class the pixels and the masks that show it."""

    folder: Path
    classes: tuple[str, ...]
    images: int
    masks: int
    pixels: tuple[int, ...]
    shown_in: tuple[int, ...]
    notes: tuple[str, ...]


def convert(
    source: str | Path,
    format: str | None,
    output: str | Path,
    *,
    images: str | Path | None = None,
    classes: Sequence[str] | None = None,
    background: str = "background",
    empty: str = "unlabelled",
    overlap: str = "later",
    others: str = "error",
    colours: str | Path | None = None,
    skip_missing: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Converted:
    """Write an annotation tool's export, or masks of another kind, as images/, masks/ and dataset.yaml.

    Args:
        source: the export, a file or a folder.
        format: one of ``FORMATS``; None where it can be seen from the files.
        output: a folder that does not exist yet, or is empty.
        images: where the images lie, if not beside the export; those that it does not name come along unlabelled.
        classes: names in the order of their numbers; else the background and the tool's order. Of grey masks they
            are names in the order of the values, or each is NAME=VALUE, of coloured ones NAME=#rrggbb.
        background: class of the pixels in no region, or ``ignore``.
        empty: what becomes of an annotated image without regions: ``unlabelled`` or ``background``.
        overlap: which region counts where several cover a pixel: the ``later`` or the ``smaller``.
        others: labels that ``classes`` lacks: ``error``, ``background`` or ``ignore``.
        colours: for ``colour``, a table from class to colour.
        skip_missing: leave out annotated images that are not found.
        progress: called with (images written, images in all).

    Raises:
        UsageError: an unknown word, an output that exists, or labels that are not among the classes.
        SemisegError: an export that cannot be read, missing images, sizes that differ.
    """
    source, images = Path(source), None if images is None else Path(images)
    if not source.exists():
        raise SemisegError(f"{source} does not exist; give the export's file or folder")
    if format is None:
        format, source, images = choose(source, images)
    for option, value, words in (
        ("--from", format, FORMATS),
        ("--empty", empty, ("unlabelled", "background")),
        ("--overlap", overlap, ("later", "smaller")),
    ):
        if value not in words:
            raise UsageError(f"{option} {value!r}: choose {', '.join(words[:-1])} or {words[-1]}")
    if colours is not None and format != "colour":
        raise UsageError(f"--colours belongs to --from colour, not to {format}; drop it")
    if empty == "background" and background == "ignore":
        raise UsageError("--empty background needs a background class; give --background NAME")
    with new_folder(Path(output)) as folder:
        if format == "colour":
            table = None if colours is None else Path(colours)
            export = read_colour(source, images, table, others != "error", classes)
            classes = None if classes is None else list(values_given(classes)) or classes
        else:
            try:
                export = READERS[format](source, images, skip_missing)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                what = f"{type(error).__name__}: {error}"
                raise SemisegError(
                    f"{source} is not laid out as {format} exports are ({what}); export again"
                ) from error
        if not export.pictures:
            raise SemisegError(f"{source} names no image that was found; give their folder with --images DIR")
        _check_files(export)
        names, number, blank = number_classes(export, classes, background, others)
        plan = Plan(number, blank, overlap == "smaller", empty == "background")
        return _write(export, plan, names, folder, Path(output), progress)


def _check_files(export: Export) -> None:
    """Refuse two records of one image: where an image is missing, another of its name may have been found for it.

    Raises:
        SemisegError: names both.
    """
    by_file: dict[Path, str] = {}
    for picture in export.pictures:
        if isinstance(picture.file, Path) and picture.truth is not None:
            other = by_file.setdefault(picture.file.resolve(), picture.name)
            if other is not picture.name:
                raise SemisegError(
                    f"{other} and {picture.name} of the export are both found as {picture.file}; give the folder that "
                    "holds each where the export says: --images DIR, or remove one of the two records"
                )


def _write(
    export: Export, plan: Plan, names: list[str], folder: Path, output: Path,
    progress: Callable[[int, int], None] | None,
) -> Converted:  # fmt: skip
    known = dict(export.colours)
    if BACKGROUND in known and plan.blank < len(names):
        known[names[plan.blank]] = known[BACKGROUND]
    shades = class_colours(names, known)
    depth, told = depth_of(export.pictures)
    pixels, shown = np.zeros(256, np.int64), np.zeros(256, np.int64)
    notes, masks = [*export.notes, *told], 0
    stems = output_names(export.pictures)
    renamed = [(p.name, stem) for p, stem in zip(export.pictures, stems, strict=True) if _stem(p) != stem]
    if renamed:
        notes.append(f"{len(renamed)} images share their stem with another and are renamed, e.g. {renamed[0][0]} to "
                     f"{renamed[0][1]}")  # fmt: skip
    for done, (picture, stem) in enumerate(zip(export.pictures, stems, strict=True), start=1):
        for part in ("images", "masks"):
            (folder / part / picture.split).mkdir(parents=True, exist_ok=True)
        mask = _mask(picture, plan)
        write_image(picture, folder / "images" / picture.split, stem, depth)
        if mask is not None:
            write_mask(mask, shades, folder / "masks" / picture.split / f"{stem}.png")
            counts = np.bincount(mask.ravel(), minlength=256)
            pixels, shown, masks = pixels + counts, shown + (counts > 0), masks + 1
        if progress is not None:
            progress(done, len(stems))
    turned = any(is_turned(picture) for picture in export.pictures if picture.truth is not None)
    write_description(folder, output.resolve().name, names, shades, turned)
    count = len(names)
    return Converted(
        folder=output, classes=tuple(names), images=len(stems), masks=masks, pixels=tuple(pixels[:count].tolist()),
        shown_in=tuple(shown[:count].tolist()), notes=tuple(notes),
    )  # fmt: skip


def _mask(picture: Picture, plan: Plan) -> np.ndarray | None:
    if picture.truth is None:
        return None
    size = upright_size(picture)
    if picture.size is not None and picture.size != size:
        raise SemisegError(
            f"{picture.name} was annotated at {picture.size[1]}x{picture.size[0]} pixels, the image found has "
            f"{size[1]}x{size[0]} (upright); give the images that were annotated: --images DIR"
        )
    return picture.truth.draw(plan, size)


def _stem(picture: Picture) -> str:
    return picture.name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
