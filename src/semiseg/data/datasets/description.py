"""``dataset.yaml`` of a folder: names, colours, ignored values, and how masks lie on turned images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from semiseg.data.base import IGNORE, Colour
from semiseg.data.turning import Drawn
from semiseg.errors import LONGEST_VALUE, SemisegError, shortened
from semiseg.runtime.documents import read_yaml_file

LARGEST = 65535  # of the values a mask may hold (16-bit PNG)
KEYS = ("name", "classes", "colours", "ignore", "orientation")


@dataclass(frozen=True)
class Description:
    """What a dataset.yaml says; None where it is silent."""

    name: str | None = None
    classes: tuple[str, ...] | None = None
    colours: tuple[Colour, ...] | None = None
    ignored: tuple[int, ...] = ()
    drawn: Drawn | None = None


def read_description(path: Path) -> Description:
    """The description in a file; an empty one where there is no such file.

    Raises:
        SemisegError: it is not YAML, or holds another key or a value that makes no sense.
    """
    try:
        given: Any = (read_yaml_file(path) or {}) if path.is_file() else {}
    except ValueError as error:
        raise SemisegError(f"{path} is not YAML ({error}); correct it") from None
    if not isinstance(given, dict) or set(given) - set(KEYS):
        allowed = f"{', '.join(KEYS[:-1])} and {KEYS[-1]}"
        raise SemisegError(f"{path} may hold {allowed} only; remove the others")
    ignore = given.get("ignore", [])
    ignored = ignore if isinstance(ignore, list) else [ignore]
    if not all(type(v) is int and 0 <= v <= LARGEST for v in ignored):
        shown = shortened(str(ignore), LONGEST_VALUE)
        raise SemisegError(f"{path}: ignore: {shown} is not a mask value from 0 to {LARGEST} or a list of them")
    drawn = given.get("orientation")
    if not (drawn is None or (isinstance(drawn, str) and drawn in ("upright", "stored"))):
        shown = shortened(str(drawn), LONGEST_VALUE)
        raise SemisegError(f"{path}: orientation: {shown}; give upright or stored: how masks lie on turned images")
    colours = _colours(given["colours"], path) if "colours" in given else None
    classes = _class_names(given["classes"], path) if "classes" in given else None
    if colours is not None and classes is not None and len(colours) != len(classes):
        raise SemisegError(f"{path}: {len(colours)} colours for {len(classes)} classes; give one each")
    name = str(given["name"]) if "name" in given else None
    return Description(name, classes, colours, tuple(ignored), cast("Drawn | None", drawn))


def _class_names(given: Any, path: Path) -> tuple[str, ...]:
    if isinstance(given, dict):
        if not all(type(i) is int for i in given) or set(given) != set(range(len(given))):
            raise SemisegError(
                f"{path}: the ids in classes: must be 0, 1, … without gaps; name those between too{_filled(given)}"
            )
        given = [given[i] for i in range(len(given))]
    if not isinstance(given, list) or not 2 <= len(given) <= IGNORE:
        raise SemisegError(f"{path}: classes: must be a list of 2 to {IGNORE} names, or a mapping from id to name")
    if any(isinstance(name, (dict, list)) for name in given):
        raise SemisegError(f"{path}: classes: a name is a word, not a list; write - NAME")
    names = tuple(str(name) for name in given)
    if len(set(names)) < len(names):
        raise SemisegError(f"{path}: classes: names one class twice; give each its own name")
    return names


def _filled(given: dict[Any, Any]) -> str:
    """The two lines that name ids between, and ignore them, to copy; empty where ids are no ids."""
    if not all(type(i) is int and 0 <= i < IGNORE for i in given):
        return ""
    absent = [i for i in range(max(given)) if i not in given]
    names = [str(given.get(i, "nodata" if i == 0 else f"unused_{i}")) for i in range(max(given) + 1)]
    return f": classes: [{', '.join(names)}] and ignore: {absent[0] if len(absent) == 1 else absent}"


def _colours(given: Any, path: Path) -> tuple[Colour, ...]:
    try:
        colours = tuple((red, green, blue) for red, green, blue in given)
    except (TypeError, ValueError):
        colours = ()
    if not colours or not all(type(v) is int and 0 <= v <= 255 for colour in colours for v in colour):
        raise SemisegError(f"{path}: colours: must be a list of [red, green, blue], each from 0 to 255")
    if len(set(colours)) < len(colours):
        raise SemisegError(f"{path}: colours: gives two classes the same colour; make them differ")
    return colours
