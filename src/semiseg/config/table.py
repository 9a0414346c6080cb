"""Every setting with type, default and meaning, taken from its definition."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from semiseg.config.read import fields


class Key(NamedTuple):
    """One key of the configuration, as text."""

    key: str
    kind: str
    default: str
    meaning: str


def list_keys(containing: str = "") -> list[Key]:
    """The settings whose key or meaning contains a word, whatever its case; all of them by default."""
    rows = [
        Key(key, _kind(field.annotation), repr(field.default), " ".join((field.description or "").split()))
        for key, field in fields().items()
    ]
    word = containing.lower()
    return [row for row in rows if word in row.key.lower() or word in row.meaning.lower()]


def _kind(annotation: Any) -> str:
    """A type as a reader writes it: ``128 or [96, 128]`` as ``int or [int, int]``, choices as they are."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0])
    if origin is Literal:
        return ", ".join(str(choice) for choice in inner)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if part is type(None) else _kind(part) for part in inner)
    if origin is tuple:
        return f"[{', '.join(_kind(part) for part in inner)}]"
    return str(getattr(origin or annotation, "__name__", annotation))
