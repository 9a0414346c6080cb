"""Which colour is which class: files of several tools, or the colours that occur."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.base import Colour
from semiseg.errors import SemisegError
from semiseg.runtime.documents import parse_yaml

FEW = 32  # more colours than this are not taken for classes without a table
FORMS = (
    "YAML (name: [r, g, b], name: '#rrggbb' or, of grey, name: 128; or a dataset.yaml with classes: and colours:), CSV "
    "(name,r,g,b) or CVAT's labelmap.txt"
)


def read_colours(path: Path) -> dict[str, Colour]:
    """Colours by class, in the order of the file.

    Raises:
        SemisegError: it is in none of the known forms, or two classes share a name or a colour.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(_yaml_rows(text) if path.suffix.lower() in (".yaml", ".yml", ".json") else _line_rows(text))
        found = [(str(name), _colour(value)) for name, value in rows]
    except (ValueError, TypeError, KeyError, OverflowError, StopIteration, csv.Error) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise SemisegError(f"{path} is no colour table ({first}); expected {FORMS}") from None
    if not found:
        raise SemisegError(f"{path} names no colour; expected {FORMS}")
    if len({name for name, _ in found}) < len(found) or len({colour for _, colour in found}) < len(found):
        raise SemisegError(f"{path} gives a name or a colour twice; give each class its own")
    return dict(found)


def hex_name(colour: Iterable[int]) -> str:
    """#rrggbb"""
    return "#" + "".join(f"{value:02x}" for value in colour)


def distinct_colours(pictures: Iterable[np.ndarray]) -> list[Colour] | None:
    """Colours of RGB masks, uint8 (H, W, 3), sorted; None of more than 32."""
    codes: set[int] = set()
    for picture in pictures:
        codes.update(np.unique(picture.astype(np.int32) @ np.array([65536, 256, 1], np.int32)).tolist())
        if len(codes) > FEW:
            return None
    return [(code >> 16, code >> 8 & 255, code & 255) for code in sorted(codes)]


def many_colours() -> SemisegError:
    """The error of masks with so many colours that no guess is made."""
    return SemisegError(
        f"the masks show more than {FEW} colours, as smoothed borders do; say which are classes with --colours FILE "
        "and, for the others, --others ignore"
    )


def _yaml_rows(text: str) -> Iterable[tuple[Any, Any]]:
    given = parse_yaml(text)
    if not isinstance(given, dict):
        raise ValueError("not a mapping")
    if "classes" in given and "colours" in given:
        names = given["classes"]
        if isinstance(names, dict):
            names = [names[i] for i in range(len(names))]
        return zip(names, given["colours"], strict=True)
    return given.items()


def _line_rows(text: str) -> Iterable[tuple[Any, Any]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for i, line in enumerate(lines):
        if cvat := re.fullmatch(r"(.+?):(\d+),(\d+),(\d+):.*", line):
            yield cvat[1], cvat.groups()[1:]
            continue
        name, *values = next(csv.reader([line], skipinitialspace=True))
        if i == 0 and not re.fullmatch(r"\d+|#[0-9a-fA-F]{6}", values[0].strip() if values else ""):
            continue  # a heading
        yield name, values[0] if len(values) == 1 else values


def _colour(value: Any) -> Colour:
    if type(value) is int or (isinstance(value, str) and re.fullmatch(r"\d{1,3}", value.strip())):
        value = [int(value)] * 3
    if isinstance(value, str):
        if not re.fullmatch(r"#?[0-9a-fA-F]{6}", value.strip()):
            raise ValueError(f"{value!r} is no colour")
        value = bytes.fromhex(value.strip().lstrip("#"))
    red, green, blue = (int(part) for part in value)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"{[red, green, blue]} is no colour")
    return red, green, blue
