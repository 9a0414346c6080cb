"""Collect the figures of finished run folders into one result file: for choosing settings, not for reporting.

python benchmarks/collect.py camvid runs/a runs/b --output benchmarks/results/camvid_split0.json
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

from semiseg import Config
from semiseg.config.read import fields
from semiseg.runtime.version import machine, versions

NOT_SETTINGS = {"run_dir", "training.tensorboard", "data.root", "name", "title", "needs"}


def changed(config: Config, preset: Config) -> list[str]:
    """Keys in which a run differs from its preset, as words of the command line."""

    def value(c: Config, key: str) -> Any:
        found: Any = c
        for part in key.split("."):
            found = getattr(found, part)
        return found

    return [
        f"{k}={value(config, k)}" for k in fields() if k not in NOT_SETTINGS and value(config, k) != value(preset, k)
    ]


def main() -> None:
    """One row a run folder that has an ``evaluation.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset")
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    rows = []
    for run in arguments.runs:
        path = run / "evaluation.json"
        if not path.exists():
            continue
        evaluation, config = json.loads(path.read_text()), Config.load(run / "config.yaml")
        teacher = evaluation.get("last_teacher")
        rows.append(
            {
                "method": config.method.name,
                "labelled": config.data.labelled,
                "split_seed": config.data.split_seed,
                "miou_last": round(100 * evaluation["last"]["miou"], 2),
                "miou_best": round(100 * evaluation["best"]["miou"], 2),
                "miou_last_teacher": round(100 * teacher["miou"], 2) if teacher else None,
                "iou_last": [None if v is None else round(100 * v, 1) for v in evaluation["last"]["iou"]],
                "iterations": evaluation["iterations"],
                "seconds": evaluation["seconds"],
                "command": " ".join(
                    ["semiseg train", arguments.preset, *changed(config, Config.load(arguments.preset))]
                ),
                "date": datetime.date.fromtimestamp(path.stat().st_mtime).isoformat(),
                "machine": machine(),
                "versions": versions(),
            }
        )
    arguments.output.write_text(json.dumps(rows, indent=1))
    print(f"{len(rows)} runs in {arguments.output}")


if __name__ == "__main__":
    main()
