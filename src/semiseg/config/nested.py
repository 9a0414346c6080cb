"""Values of a configuration file, sections within sections, set by keys such as ``training.seed``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def set_key(values: dict[str, Any], key: str, value: Any, overwrite: bool = True) -> None:
    """Set ``section.key`` in place, making the sections on the way.

    Nothing happens where a section is no mapping: the check of the whole configuration names it. With
    ``overwrite=False`` a value that is there stays.
    """
    *sections, last = key.split(".")
    for section in sections:
        inner = values.get(section)
        if inner is None:
            inner = values[section] = {}
        elif not isinstance(inner, dict):
            return
        values = inner
    if overwrite or last not in values:
        values[last] = value


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The key of every value that is no section."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
