"""Masks that are coloured pictures, and a table from colour to class."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

import numpy as np
from PIL import ImageOps

from semiseg.data.base import Colour, Size
from semiseg.data.convert.colour_table import distinct_colours, hex_name, read_colours
from semiseg.data.convert.export import BACKGROUND, IGNORED, Export, Picture, Plan
from semiseg.data.convert.inside import Inside
from semiseg.data.files import contents, files_by_stem
from semiseg.data.pairing import paired, told_alone
from semiseg.data.pictures import is_deep, opened
from semiseg.data.turning import Drawn, fit_to_image
from semiseg.errors import SemisegError
from semiseg.runtime.documents import read_yaml_file

BLACK = (0, 0, 0)
OTHER = "__other__"  # label of colours that the table does not name
LAYOUT = (
    "images/ and masks/ (also with train/ and val/), JPEGImages/ and SegmentationClass/, or masks with --images DIR"
)


def read_colour(source: Path, images: Path | None, colours: Path | None, others: bool) -> Export:
    """Coloured masks, found by the stem of their image.

    Args:
        source: a folder of masks, or one that holds images/ and masks/ (or JPEGImages/ and SegmentationClass/).
        images: folder of the images, where ``source`` holds masks only.
        colours: the table; without it that of dataset.yaml or labelmap.txt in ``source``, else the distinct colours
            of the masks, named #rrggbb.
        others: colours that the table lacks get a label, instead of being an error.

    Raises:
        SemisegError: no masks or images, or a table that cannot be read.
    """
    pairs, alone = _pairs(source, images)
    if not any(masks for _, _, masks in pairs):
        raise SemisegError(f"no masks in {source}: expected {LAYOUT}; found: {contents(source)}")
    beside = next((path for path in (source / "dataset.yaml", source / "labelmap.txt") if _has_colours(path)), None)
    given = colours or beside
    notes: list[str] = []
    found: list[Colour] = []
    table = read_colours(given) if given else {}
    if not given:
        found = distinct_colours(read_coloured(path) for _, _, masks in pairs for path in masks.values())
        table = {hex_name(colour): colour for colour in found if colour != BLACK}
        notes.append("colours found: " + ", ".join(hex_name(colour) for colour in found)
                     + "; name them with --colours FILE")  # fmt: skip
    labels = dict(table)
    if given and BLACK not in table.values():
        labels[IGNORED] = BLACK
    elif not given and BLACK in found:
        labels[BACKGROUND] = BLACK
    drawn = _drawn(source / "dataset.yaml")
    pictures = [
        Picture(
            file,
            f"{name}{file.suffix}",
            _Coloured(masks[name], file, drawn, labels, others) if name in masks else None,
            split=split,
        )
        for split, files, masks in pairs
        for name, file in files.items()
    ]
    notes += alone
    if not any(picture.truth for picture in pictures):
        raise SemisegError(f"no mask in {source} has the stem of an image; give the images' folder with --images DIR")
    return Export(pictures, list(table), table, notes, full=True)


def read_coloured(path: Path) -> np.ndarray:
    """A mask file as the colours one sees, uint8 (H, W, 3), palette and grey files included.

    Raises:
        SemisegError: it cannot be read.
    """
    try:
        with opened(path) as image:
            deep = is_deep(image)
            turned = ImageOps.exif_transpose(image)
            if not deep:
                return np.array(turned.convert("RGB"))
            values = np.array(turned)
            if values.ndim == 3 or values.min() < 0 or values.max() > 255 or turned.mode == "F":
                raise SemisegError(f"{path} holds 16-bit values, which are no colours; save it with 8 bits")
            return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)
    except SemisegError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise SemisegError(f"{path} cannot be read as a mask ({error}); replace or remove it") from None


class _Coloured:
    """Truth of one mask file; ``colours`` by label."""

    def __init__(self, path: Path, image: Path, drawn: Drawn | None, colours: dict[str, Colour], others: bool) -> None:
        self.path, self.image, self.drawn, self.colours, self.others = path, image, drawn, colours, others

    def labels(self) -> set[str]:
        return set(self.colours) | ({OTHER} if self.others else set())

    def draw(self, plan: Plan, size: Size) -> np.ndarray:
        values = fit_to_image(read_coloured(self.path), self.path, self.image, self.drawn)
        codes = values.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        mask = np.full(size, plan.number.get(OTHER, plan.blank), np.uint8)
        unknown = np.ones(size, bool)
        for label, (red, green, blue) in self.colours.items():
            hit = codes == red << 16 | green << 8 | blue
            mask[hit] = plan.number[label]
            unknown &= ~hit
        if not self.others and unknown.any():
            y, x = np.argwhere(unknown)[0]
            raise SemisegError(f"{self.path}: {hex_name(values[y, x].tolist())} at row {y}, column {x} is no class's "
                               "colour; add it to the table, or --others ignore")  # fmt: skip
        return mask


def _has_colours(path: Path) -> bool:
    if not path.is_file():
        return False
    return path.suffix == ".txt" or "colours:" in path.read_text(encoding="utf-8", errors="replace")


def _drawn(path: Path) -> Drawn | None:
    """How a dataset.yaml says that masks lie on turned images; a colour table of that name need not say it."""
    try:
        said = read_yaml_file(path) if path.is_file() else None
    except ValueError:
        return None
    drawn = said.get("orientation") if isinstance(said, dict) else None
    return cast("Drawn", drawn) if isinstance(drawn, str) and drawn in get_args(Drawn) else None


Pairs = list[tuple[str, dict[str, Path], dict[str, Path]]]


def _pairs(source: Path, images: Path | None) -> tuple[Pairs, list[str]]:
    """Split, images and masks by the path of the image without suffix, below any sub-folders; and what is left out."""
    if not source.is_dir():
        raise SemisegError(f"no folder {source}; expected {LAYOUT}")
    pictures = images or next((source / n for n in ("images", "JPEGImages") if (source / n).is_dir()), None)
    masks = next((source / name for name in ("masks", "SegmentationClass") if (source / name).is_dir()), source)
    if pictures is None or not pictures.is_dir():
        raise SemisegError(f"no images for the masks of {source}: expected {LAYOUT}; found: {contents(source)}")
    splits = ("train", "val") if any((pictures / split).is_dir() for split in ("train", "val")) else ("",)
    found: Pairs = []
    notes: list[str] = []
    known = Inside([source, pictures] if images else [source])
    for split in splits:
        files = _below(pictures / split, [masks])
        pairs, alone = paired(files, _below(masks / split, [pictures]))
        for path in (*files.values(), *pairs.values()):
            known.check(path)
        found.append((split, files, pairs))
        notes += [told_alone(files, alone)] if alone else []
    return found, notes


def _below(folder: Path, others: list[Path]) -> dict[str, Path]:
    """Image files of a folder and its sub-folders, by their path in it without suffix; ``others`` inside are left."""
    inside = [folder, *(path for path in sorted(folder.rglob("*")) if path.is_dir())]
    found: dict[str, Path] = {}
    for place in inside:
        if any(other != folder and place.is_relative_to(other) for other in others):
            continue
        for stem, path in files_by_stem(place).items():
            found[(place.relative_to(folder) / stem).as_posix()] = path
    return found
