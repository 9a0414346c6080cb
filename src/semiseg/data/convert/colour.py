"""Masks that are pictures: grey levels, numbers, or colours with a table from colour to class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semiseg.data.base import IGNORE, Size
from semiseg.data.colour_table import FEW, distinct_colours, hex_name, many_colours, read_colours
from semiseg.data.convert.export import Export, Picture, Plan
from semiseg.data.convert.nearest import meant_colours, nearest
from semiseg.data.convert.pairs import pairs_inside
from semiseg.data.convert.shades import (
    Shades,
    colour_shades,
    grey_shades,
    is_grey,
    packed,
    read_coloured,
    unpacked,
)
from semiseg.data.datasets.described import describe
from semiseg.data.datasets.description import Description
from semiseg.data.files import LOSSY, read_mask
from semiseg.data.layouts.pairs import Pairs
from semiseg.data.turning import Drawn, fit_to_image
from semiseg.errors import SemisegError, UsageError

OTHER = "__other__"  # label of colours that the table does not name


def read_colour(
    source: Path, images: Path | None, colours: Path | None, others: bool, classes: Sequence[str] | None = None
) -> Export:
    """Masks that are pictures, found by the name of their image.

    Args:
        source: a folder as :func:`find_pairs` reads it, or one of masks.
        images: folder of the images, where ``source`` holds masks only.
        colours: the table; without it what dataset.yaml or another file in ``source`` says, else the distinct values
            of the masks, colours named #rrggbb.
        others: colours that the table lacks get a label, instead of being an error.
        classes: names in order of value, or NAME=VALUE each.

    Raises:
        SemisegError: no masks or images, or a table that cannot be read.
    """
    pairs = pairs_inside(source, images)
    said, _ = describe(source)
    shades = _shades(pairs, said, colours, classes)
    pictures = [
        Picture(
            file,
            f"{name}{file.suffix}",
            _Painted(part.masks[name], file, said.drawn, shades, others) if name in part.masks else None,
            split=split,
        )
        for split, part in pairs.parts.items()
        for name, file in part.images.items()
    ]
    return Export(pictures, shades.names, shades.colours, [*shades.notes, *pairs.told], full=True)


def _shades(pairs: Pairs, said: Description, colours: Path | None, classes: Sequence[str] | None) -> Shades:
    masks = pairs.masks
    table = read_colours(colours) if colours else {}
    if not table and said.colours:
        table = dict(zip(said.classes or [f"class_{i}" for i in range(len(said.colours))], said.colours, strict=True))
    if not table and all(is_grey(path, bool(said.classes)) for path in masks):
        return grey_shades(masks, said, classes)
    if classes is not None and table and set(classes) <= set(table):
        classes = None  # an order, which is not read here
    if table:
        shades = colour_shades([], table, classes)
        shades.near = "lossy"
        return _named(shades, said)
    found = None if pairs.lossy() else distinct_colours(read_coloured(path) for path in masks)
    meant = meant_colours((read_coloured(path) for path in masks), FEW) if found is None else found
    if meant is None:
        raise many_colours()
    shades = colour_shades(meant, {}, classes)
    shades.near = "all" if found is None else ""
    return _named(shades, said)


def _named(shades: Shades, said: Description) -> Shades:
    """Refuse names without colours, since colours have no order."""
    if said.classes and not said.colours and not set(said.classes) <= set(shades.names):
        shown = ", ".join(hex_name(unpacked(code)) for code in list(shades.label)[:8])
        raise UsageError(f"dataset.yaml names {len(said.classes)} classes, and nothing says which colour each has; the "
                         f"masks show {shown}: give --classes {said.classes[0]}=#rrggbb,… or add colours:")  # fmt: skip
    return shades


class _Painted:
    """Truth of one mask file."""

    def __init__(self, path: Path, image: Path, drawn: Drawn | None, shades: Shades, others: bool) -> None:
        self.path, self.image, self.drawn, self.shades, self.others = path, image, drawn, shades, others

    def labels(self) -> set[str]:
        return set(self.shades.label.values()) | ({OTHER} if self.others else set())

    def draw(self, plan: Plan, size: Size) -> np.ndarray:
        shades = self.shades
        values = read_coloured(self.path) if shades.coloured else read_mask(self.path)
        values = fit_to_image(values, self.path, self.image, self.drawn)
        if shades.near == "all" or (shades.near == "lossy" and self.path.suffix.lower() in LOSSY):
            codes = list(shades.label)
            table = np.full(256, IGNORE, np.uint8)
            table[: len(codes)] = [plan.number[shades.label[code]] for code in codes]
            found: np.ndarray = table[nearest(values, [unpacked(code) for code in codes])]
            return found
        stored = packed(values) if shades.coloured else values
        mask = np.full(size, plan.number.get(OTHER, plan.blank), np.uint8)
        unknown = np.ones(size, bool)
        for value, label in shades.label.items():
            hit = stored == value
            mask[hit] = plan.number[label]
            unknown &= ~hit
        if not self.others and unknown.any():
            y, x = np.argwhere(unknown)[0]
            shown = hex_name(values[y, x].tolist()) if shades.coloured else str(values[y, x])
            raise SemisegError(f"{self.path}: {shown} at row {y}, column {x} is no class's colour; add it to the "
                               "table, or --others ignore")  # fmt: skip
        return mask
