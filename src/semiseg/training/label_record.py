"""What the masks of a run said when it began: ``labels.json`` in its folder, compared at every resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from semiseg.errors import SemisegError
from semiseg.runtime.files import write_text

Truths = Mapping[str, Mapping[str, str]]
"""Digests of masks as classes, by split (train, val, source) and name."""


def write(run_dir: Path, truths: Truths, new: bool) -> None:
    """Keep the digests of a ``new`` run, or of one that has none yet."""
    path = run_dir / "labels.json"
    if new or not path.exists():
        write_text(path, json.dumps({"masks": truths}))


def check_same(run_dir: Path, truths: Truths) -> None:
    """Refuse to go on with masks that say something else than when the run began; earlier versions kept nothing.

    Raises:
        SemisegError: names the first mask that differs, or the file that cannot be read.
    """
    path = run_dir / "labels.json"
    if not path.is_file():
        return
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["masks"]
        changed = [f"{split}/{name}" for split, masks in kept.items() for name, digest in masks.items()
                   if truths.get(split, {}).get(name, digest) != digest]  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SemisegError(f"{path} cannot be read; remove it to go on without comparing the masks") from None
    if changed:
        raise SemisegError(
            f"--resume with other masks: {len(changed)} say something else than when the run began, e.g. {changed[0]}; "
            "restore them and dataset.yaml, or start anew with another run_dir="
        )
