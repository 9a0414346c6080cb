"""Presets: one readable YAML file an experiment; those of the paper share what is common by ``extends``.

``extends: NAME`` takes ``shared/NAME.yaml``, or the preset NAME, and puts the file's own values over it: one level
only, so that a preset is read in two files at most.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semiseg.errors import UsageError
from semiseg.runtime.documents import read_yaml_file

FOLDER = Path(__file__).parent


def preset_names() -> list[str]:
    """Names of all presets, sorted; those of the paper's tables in the tables' order of names."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def preset_path(name: str) -> Path:
    """YAML file of a preset."""
    return FOLDER / f"{name}.yaml"


def read_plain(path: Path) -> dict[str, Any]:
    """Values of a YAML file without those of what it extends.

    Raises:
        UsageError: not YAML, or no sections.
    """
    try:
        values = read_yaml_file(path) or {}
    except ValueError as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} must hold sections such as 'training:', not a single value")
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """Values of a YAML file, over those of what it extends.

    Raises:
        UsageError: not YAML, no sections, or it extends something that is not there or extends in turn.
    """
    values = read_plain(path)
    name = values.pop("extends", None)
    if name is None:
        return values
    candidates = [FOLDER / "shared" / f"{name}.yaml", preset_path(str(name))]
    base = next((path for path in candidates if path.is_file()), None)
    if base is None:
        raise UsageError(f"{path}: extends {name!r}, which is no preset; `semiseg presets` lists them")
    below = read_plain(base)
    if "extends" in below:
        raise UsageError(f"{path}: extends {name!r}, which extends {below['extends']!r}: only one level; take that")
    return merged(below, values)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Values of ``above`` over those of ``below``, section by section; neither is changed."""
    result = dict(below)
    for key, value in above.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def list_presets() -> list[dict[str, Any]]:
    """A row a preset: name, title, table and paper_miou (None where the paper has none), system (None where the figure
    is the paper's own method's), needs."""
    rows = []
    for name in preset_names():
        values = read_yaml(preset_path(name))
        rows.append(
            {"name": name} | {key: values.get(key) for key in ("title", "table", "paper_miou", "system", "needs")}
        )
    return sorted(rows, key=lambda row: (row["table"] or "", row["name"]))
