"""What a prediction of files returns: one record for each input, predicted or skipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PredictedImage:
    """One image's prediction: its files, and the fraction of its pixels of every class (summing to 1)."""

    path: Path
    mask_path: Path
    overlay_path: Path | None
    shares: dict[str, float]
    confidence_path: Path | None = None


@dataclass(frozen=True)
class PredictedVideo:
    """One video's prediction: overlay video, CSV file and number of the frames, and their mean class shares."""

    path: Path
    overlay_path: Path | None
    shares_path: Path
    frames: int
    shares: dict[str, float]


@dataclass(frozen=True)
class FailedImage:
    """An image or video that was skipped, and why, in one line."""

    path: Path
    reason: str
