"""Folds over the drives of a video data set, cut by time: validation never shows what training has nearly seen.

Frames of one film are near copies of their neighbours, so an image drawn at random for validation measures memory.
Here every drive is cut into as many blocks of consecutive frames as there are folds; a fold validates on one block of
every drive and trains on the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from semiseg.errors import UsageError

FOLDS = 3
GAP = 150  # frames; CamVid's drives have 30 a second
SPACING = 25  # frames; most of CamVid's masks are 30 frames apart, but those of SegNet's val/ only 2


@dataclass(frozen=True)
class Fold:
    """Names of one fold, each list sorted."""

    train: list[str]
    val: list[str]


def time_blocked_folds(names: Sequence[str], folds: int = FOLDS, gap: int = GAP, spacing: int = SPACING) -> list[Fold]:
    """Folds whose validation part is one block of consecutive frames of every drive; a function of the names alone.

    Args:
        names: images as ``DRIVE_FRAME``, such as ``0016E5_07959`` or ``0006R0_f00930``, in any order.
        folds: number of folds K. A drive's n frames are cut after every n/K of them; with fewer than K frames a drive
            is missing from the validation part of some folds.
        gap: training frames at most so many frames before or after a validation frame of their drive are left out,
            so that nothing is on both sides of a border (150: five seconds of CamVid).
        spacing: frames nearer than this to the frame kept before them are left out of every fold. A clip that is
            labelled 15 times a second would otherwise outweigh drives that are labelled once a second.

    Returns:
        K folds. Every kept frame is in the validation part of exactly one.

    Raises:
        UsageError: a name without drive and frame, fewer than two folds, or nothing left to train or validate on.
    """
    if folds < 2:
        raise UsageError(f"folds={folds} leaves nothing to train on; give at least 2")
    blocks: list[list[tuple[str, int, str]]] = [[] for _ in range(folds)]
    for drive, frames in sorted(_drives(names).items()):
        kept = _spaced(sorted(frames), spacing)
        for i, (frame, name) in enumerate(kept):
            blocks[i * folds // len(kept)].append((drive, frame, name))
    found = []
    for k, block in enumerate(blocks):
        others = [entry for other in (*blocks[:k], *blocks[k + 1 :]) for entry in other]
        train = [name for drive, frame, name in others if not _is_near(drive, frame, block, gap)]
        found.append(Fold(sorted(train), sorted(name for _, _, name in block)))
    if not all(fold.train and fold.val for fold in found):
        raise UsageError(
            f"{len(names)} frames are too few for {folds} folds with a gap of {gap}; give fewer folds or a smaller gap"
        )
    return found


def drive_and_frame(name: str) -> tuple[str, int]:
    """``0006R0_f00930`` → (``0006R0``, 930).

    Raises:
        UsageError: the name does not end in an underscore and a frame number.
    """
    parts = re.fullmatch(r"(.+)_f?(\d+)", name)
    if parts is None:
        raise UsageError(f"{name!r} is not DRIVE_FRAME; folds by time need names such as 0016E5_07959")
    return parts[1], int(parts[2])


def _drives(names: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    drives: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        drive, frame = drive_and_frame(name)
        drives.setdefault(drive, []).append((frame, name))
    return drives


def _spaced(frames: list[tuple[int, str]], spacing: int) -> list[tuple[int, str]]:
    kept: list[tuple[int, str]] = []
    for frame, name in frames:
        if not kept or frame - kept[-1][0] >= spacing:
            kept.append((frame, name))
    return kept


def _is_near(drive: str, frame: int, block: list[tuple[str, int, str]], gap: int) -> bool:
    return any(drive == other and abs(frame - at) <= gap for other, at, _ in block)
