"""Presets: one readable YAML file an experiment. ``semiseg presets`` lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent


def preset_names() -> list[str]:
    """Names of all presets, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def preset_path(name: str) -> Path:
    """YAML file of a preset."""
    return FOLDER / f"{name}.yaml"


def list_presets() -> list[dict[str, Any]]:
    """A row a preset: name, title, table and paper_miou (None where the paper has none), needs."""
    rows = []
    for name in preset_names():
        values = yaml.safe_load(preset_path(name).read_text(encoding="utf-8"))
        rows.append({"name": name} | {key: values.get(key) for key in ("title", "table", "paper_miou", "needs")})
    return rows
