"""The lines of ``metrics.jsonl``: what a run wrote down while it went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """Lines of a run's ``metrics.jsonl``; one that a crash cut off, or a disk damaged, is left out."""
    path = run_dir / "metrics.jsonl"
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and {"kind", "iteration"} <= row.keys():
            rows.append(row)
    return rows
