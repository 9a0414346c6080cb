"""Which grey values or colours the masks of a folder hold, and which class each of them is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ImageOps

from semiseg.data.base import IGNORE, Colour
from semiseg.data.colour_table import hex_name
from semiseg.data.convert.export import BACKGROUND, IGNORED
from semiseg.data.datasets.description import Description
from semiseg.data.files import LOSSY, read_mask
from semiseg.data.palettes import read_palette
from semiseg.data.pictures import is_deep, opened
from semiseg.errors import SemisegError, UsageError

BLACK = (0, 0, 0)
MOST_LEVELS = 255


@dataclass
class Shades:
    """How stored pixels become labels.

    ``label`` by grey value, or by colour where masks are ``coloured``; ``near``: in which files pixels between the
    colours, as JPEG and smoothed borders have them, go to the nearest: none, JPEG files, all. ``names`` are the classes
    in their order.
    """

    label: dict[int, str]
    names: list[str]
    coloured: bool = False
    near: Literal["", "lossy", "all"] = ""
    notes: list[str] = field(default_factory=list)

    @property
    def colours(self) -> dict[str, Colour]:
        """Colour by class, where the values are colours or grey levels."""
        if not self.coloured:
            levels = [value for value, label in self.label.items() if label != IGNORED]
            if max(levels, default=0) > IGNORE or 2 * len(levels) > max(levels, default=0):
                return {}
            return {self.label[value]: (value, value, value) for value in levels}
        return {label: unpacked(code) for code, label in self.label.items() if label != IGNORED}


def packed(colours: np.ndarray) -> np.ndarray:
    """Codes, int32 (...), of colours, uint8 (..., 3)."""
    return colours.astype(np.int32) @ np.array([65536, 256, 1], np.int32)


def unpacked(code: int) -> Colour:
    """The colour of a code."""
    return code >> 16, code >> 8 & 255, code & 255


def is_grey(path: Path, described: bool) -> bool:
    """Whether a mask's values are numbers, not colours; a palette's are where the classes are ``described``."""
    if path.suffix.lower() in LOSSY:
        return False
    try:
        with opened(path) as file:
            numbers = file.mode in ("1", "L", "LA", "F", "P") or file.mode.startswith("I")
            of_palette = file.mode == "P"
        return numbers and (not of_palette or described or read_palette(path) is None)
    except SemisegError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise SemisegError(f"{path} cannot be read as a mask ({error}); replace or remove it") from None


def read_coloured(path: Path) -> np.ndarray:
    """A mask file as the colours one sees, uint8 (H, W, 3), palette and grey files included.

    Raises:
        SemisegError: it cannot be read.
    """
    try:
        with opened(path) as image:
            deep, turned = is_deep(image), ImageOps.exif_transpose(image)
            if not deep:
                colours = np.array(turned.convert("RGB"))
                if turned.mode == "RGBA":  # as read_mask has it: what cannot be seen is black
                    colours[np.array(turned.getchannel("A")) == 0] = 0
                return colours
            values = np.array(turned)
            if values.ndim == 3 or values.min() < 0 or values.max() > 255 or turned.mode == "F":
                raise SemisegError(f"{path} holds 16-bit values, which are no colours; save it with 8 bits")
            return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)
    except SemisegError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise SemisegError(f"{path} cannot be read as a mask ({error}); replace or remove it") from None


def grey_shades(masks: Sequence[Path], said: Description, given: Sequence[str] | None) -> Shades:
    """Classes of masks of numbers: class numbers where they are dense, else grey levels in order of value.

    Args:
        masks: the files.
        said: what the folder says of its classes.
        given: ``--classes``: names in order of value, or ``NAME=VALUE`` each.

    Raises:
        SemisegError: more than 255 values.
        UsageError: names that do not fit the values.
    """
    values: set[int] = set()
    for path in masks:
        values.update(np.unique(read_mask(path)).tolist())
    found = sorted(values - set(said.ignored))
    if len(found) > MOST_LEVELS + 1:
        raise SemisegError(f"the masks hold {len(found)} different values; a mask tells {MOST_LEVELS} classes apart: "
                           "if they number objects, give --from instances")  # fmt: skip
    ignored = dict.fromkeys(said.ignored, IGNORED)
    if found and found[0] < 0:
        raise SemisegError(f"the masks hold the value {found[0]}, and a class is a number from 0 on; save pixels that "
                           f"do not count as {IGNORE}")  # fmt: skip
    if by_value := values_given(given):
        levels = {name: value if isinstance(value, int) else value[0] for name, value in by_value.items()}
        return Shades(_listed(levels, found) | ignored, list(levels))
    notes: list[str] = []
    if said.classes and given is None:
        ids = said.ids or tuple(range(len(said.classes)))
        # 0 and 255 alone are black and white, whatever their names.
        if set(found) <= {*ids, IGNORE} and (IGNORE not in found or len(set(found) & {*ids}) > 1):
            return Shades({IGNORE: IGNORED} | dict(zip(ids, said.classes, strict=True)) | ignored, list(said.classes))
    numbers = [value for value in found if value != IGNORE]
    dense = len(numbers) > 1 and numbers[0] >= 0 and numbers[-1] < IGNORE and 2 * len(numbers) > numbers[-1]
    if dense:
        found = list(range(numbers[-1] + 1))
        ignored |= {IGNORE: IGNORED}
    shown = ", ".join(map(str, found[:8]))
    names = given if given is None or not _hex_names(given) else None
    if names is not None and len(names) != len(found):
        raise UsageError(f"--classes has {len(names)} names, and the masks {len(found)} values ({shown}); give each "
                         "its name in that order, or --classes NAME=VALUE,…")  # fmt: skip
    if given is None and said.classes and len(said.classes) == len(found):
        names = said.classes
    elif given is None and said.classes:
        notes = [f"the folder names {len(said.classes)} classes, and the masks hold {len(found)} values: its names are "
                 "not used"]  # fmt: skip
    if names is not None:
        told = ", ".join(f"{value} is {name}" for value, name in zip(found, names, strict=True))
        return Shades(dict(zip(found, names, strict=True)) | ignored, list(names), notes=[f"in order of value: {told}"])
    if dense:
        plain = [f"class_{value}" for value in found]
        return Shades(dict(zip(found, plain, strict=True)) | ignored, plain)
    labels = {value: hex_name((value,) * 3) if value <= IGNORE else f"value_{value}" for value in found if value}
    black = {0: BACKGROUND} if 0 in found else {}
    notes.append(f"grey levels found: {shown}; name them in that order with --classes NAME,NAME,…")
    return Shades(black | labels | ignored, list(labels.values()), notes=notes)


def colour_shades(colours: Iterable[Colour], table: dict[str, Colour], given: Sequence[str] | None) -> Shades:
    """Classes of coloured masks: those of a table, else one for each colour that occurs.

    Args:
        colours: those that occur, sorted; not looked at where there is a table.
        table: colour by name; may be empty.
        given: ``--classes``: ``NAME=#rrggbb`` each, or names in order where all colours are greys.

    Raises:
        UsageError: names that do not fit the colours.
    """
    if by_value := values_given(given):
        table = {name: (value, value, value) if isinstance(value, int) else value
                 for name, value in by_value.items()}  # fmt: skip
    if table:
        label = {_code(colour): name for name, colour in table.items()}
        if BLACK not in table.values():
            label[0] = IGNORED
        return Shades(label, list(table), coloured=True)
    found = list(colours)
    greys = all(red == green == blue for red, green, blue in found)
    if given is not None and not _hex_names(given):
        if not greys or len(given) != len(found):
            shown = ", ".join(hex_name(colour) for colour in found[:8])
            raise UsageError(f"the masks show {len(found)} colours ({shown}), which have no order; give --classes "
                             f"{given[0]}={hex_name(found[0])},… or --colours FILE")  # fmt: skip
        return Shades({_code(colour): name for colour, name in zip(found, given, strict=True)}, list(given), True)
    label = {_code(colour): BACKGROUND if colour == BLACK else hex_name(colour) for colour in found}
    shown = ", ".join(hex_name(colour) for colour in found)
    return Shades(label, [name for name in label.values() if name != BACKGROUND], True,
                  notes=[f"colours found: {shown}; name them with --colours FILE"])  # fmt: skip


def values_given(given: Sequence[str] | None) -> dict[str, int | Colour]:
    """Value or colour by name, where ``--classes`` gives NAME=VALUE or NAME: VALUE; else empty.

    Raises:
        UsageError: only some have a value, or one is given twice.
    """
    pairs = [re.fullmatch(r"(.+?)\s*[=:]\s*(\d{1,5}|#[0-9a-fA-F]{6})", word) for word in given or ()]
    if not any(pairs):
        return {}
    found: dict[str, int | Colour] = {
        pair[1]: unpacked(int(pair[2][1:], 16)) if pair[2][0] == "#" else int(pair[2]) for pair in pairs if pair
    }
    if len(found) < len(pairs) or len(set(found.values())) < len(found):
        raise UsageError(f"--classes {','.join(given or ())}: give every class its own NAME=VALUE, or none")
    return found


def _listed(by_value: dict[str, int], found: list[int]) -> dict[int, str]:
    lacking = [value for value in found if value not in by_value.values() and value != IGNORE]
    if lacking:
        raise UsageError(f"--classes names no class of the value {lacking[0]}, which the masks hold; add it")
    ignored = {} if IGNORE in by_value.values() else {IGNORE: IGNORED}
    return ignored | {value: name for name, value in by_value.items()}


def _hex_names(names: Sequence[str]) -> bool:
    """Whether names are those that a conversion without names makes, listed again to order them."""
    return any(re.fullmatch(r"#[0-9a-f]{6}|value_\d+", name) for name in names)


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]
