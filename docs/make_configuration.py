"""Write ``docs/configuration.md`` from the definition of the configuration.

python docs/make_configuration.py
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from semiseg.config import fields

PATH = Path(__file__).parent / "configuration.md"


def kind(annotation: Any) -> str:
    """A type as a reader writes it: ``int``, ``128 or [96, 128]`` as ``int or [int, int]``, choices as they are."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inner[0])
    if origin is Literal:
        return ", ".join(str(choice) for choice in inner)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if part is type(None) else kind(part) for part in inner)
    if origin is tuple:
        return f"[{', '.join(kind(part) for part in inner)}]"
    return str(getattr(origin or annotation, "__name__", annotation))


def table() -> str:
    """The page: one table a section, with key, type, default and meaning."""
    sections: dict[str, list[str]] = {}
    for key, field in fields().items():
        section = key.rsplit(".", 1)[0] if "." in key else "run"
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        row = f"| `{key}` | {kind(field.annotation)} | `{field.default!r}` | {meaning} |"
        sections.setdefault(section, []).append(row)
    lines = ["# Configuration", "", "Made by `docs/make_configuration.py` from `semiseg.config`; change it there."]
    for section, rows in sections.items():
        lines += ["", f"## {section}", "", "| key | type | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(table(), encoding="utf-8")
