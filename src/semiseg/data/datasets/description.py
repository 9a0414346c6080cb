"""``dataset.yaml`` of a folder: names, colours, ignored values, and how masks lie on turned images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from semiseg.data.base import IGNORE, Colour
from semiseg.data.turning import Drawn
from semiseg.errors import LONGEST_VALUE, SemisegError, did_you_mean, shortened
from semiseg.runtime.documents import read_yaml_file

LARGEST = 65535  # of the values a mask may hold (16-bit PNG)
KEYS = ("name", "classes", "colours", "ignore", "orientation")


@dataclass(frozen=True)
class Description:
    """What a dataset.yaml says; None where it is silent. ``ids``: the classes' values in mask files, if not 0, 1, …"""

    name: str | None = None
    classes: tuple[str, ...] | None = None
    colours: tuple[Colour, ...] | None = None
    ignored: tuple[int, ...] = ()
    drawn: Drawn | None = None
    ids: tuple[int, ...] = ()


def read_description(path: Path) -> Description:
    """The description in a file; an empty one where there is no such file.

    Raises:
        SemisegError: it is not YAML, or holds another key or a value that makes no sense.
    """
    try:
        given: Any = (read_yaml_file(path) or {}) if path.is_file() else {}
    except ValueError as error:
        raise SemisegError(f"{path} is not YAML ({error}); correct it") from None
    allowed = f"{path} may hold {', '.join(KEYS[:-1])} and {KEYS[-1]} only"
    if not isinstance(given, dict):
        raise SemisegError(f"{allowed}; write e.g. classes: [background, leaf]")
    if "names" in given and "classes" not in given:  # ultralytics' word
        given["classes"] = given.pop("names")
    if others := [str(key) for key in given if key not in KEYS]:
        shown = shortened(others[0], LONGEST_VALUE)
        raise SemisegError(f"{allowed}, not {shown!r}{did_you_mean(shown, KEYS) or '; remove it'}")
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
    classes, ids = class_names(given["classes"], path) if "classes" in given else (None, ())
    if colours is not None and classes is not None and len(colours) != len(classes):
        raise SemisegError(f"{path}: {len(colours)} colours for {len(classes)} classes; give one each")
    name = str(given["name"]) if "name" in given else None
    return Description(name, classes, colours, tuple(ignored), cast("Drawn | None", drawn), ids)


def class_names(given: Any, path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names, and their values in mask files: a list, a mapping from value to name, or from name to value.

    The values are empty where they are 0, 1, ….

    Raises:
        SemisegError: something else, fewer than 2 or more than 255, or a name or value twice.
    """
    ids: list[int] = []
    if isinstance(given, dict):
        pairs = list(given.items())
        if pairs and all(type(value) is int for value in given.values()) and not any(type(k) is int for k in given):
            pairs = [(value, name) for name, value in pairs]
        if not all(type(value) is int and 0 <= value <= LARGEST for value, _ in pairs):
            raise SemisegError(f"{path}: classes: give a list of names, or a mapping from mask value (0 to {LARGEST}) "
                               "to name, e.g. {0: background, 255: leaf}")  # fmt: skip
        pairs.sort(key=lambda pair: pair[0])
        ids, given = [value for value, _ in pairs], [name for _, name in pairs]
        if len(set(ids)) < len(ids):
            raise SemisegError(f"{path}: classes: gives one mask value to two classes; give each its own")
    if not isinstance(given, list) or not 2 <= len(given) <= IGNORE:
        raise SemisegError(f"{path}: classes: must be a list of 2 to {IGNORE} names, or a mapping from value to name")
    if any(isinstance(name, (dict, list)) for name in given):
        raise SemisegError(f"{path}: classes: a name is a word, not a list; write - NAME")
    names = tuple(str(name) for name in given)
    if len(set(names)) < len(names):
        raise SemisegError(f"{path}: classes: names one class twice; give each its own name")
    return names, () if ids == list(range(len(ids))) else tuple(ids)


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
