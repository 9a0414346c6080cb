"""The files of predictions: their names, and the refusal to replace existing ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from semiseg.data.rasters import geotiff
from semiseg.errors import SemisegError
from semiseg.prediction.inputs import is_video


@dataclass(frozen=True)
class Targets:
    """The output files of one input; None for those not asked for."""

    mask: Path | None
    overlay: Path | None
    confidence: Path | None
    shares: Path | None
    georeferenced: bool = False
    """The input is a GeoTIFF, and so are the files."""

    @classmethod
    def of(cls, folder: Path, path: Path, overlay: bool, confidence: bool) -> Targets:
        """The files of the input ``path`` under ``folder``."""
        if is_video(path):
            video = folder / "overlays" / f"{path.stem}.mp4" if overlay else None
            return cls(None, video, None, folder / "shares" / f"{path.stem}.csv")
        placed = geotiff.reads(path)
        name = f"{path.stem}.tif" if placed else f"{path.stem}.png"
        return cls(
            mask=folder / "masks" / name,
            overlay=folder / "overlays" / name if overlay else None,
            confidence=folder / "confidence" / name if confidence else None,
            shares=None,
            georeferenced=placed,
        )

    @property
    def all(self) -> list[Path]:
        return [path for path in (self.mask, self.overlay, self.confidence, self.shares) if path is not None]


def as_grey(confidence: np.ndarray) -> np.ndarray:
    """Confidence float (H,W) in [0,1] as uint8 (H,W), 255 for 1."""
    grey = np.empty(confidence.shape, np.uint8)
    for top in range(0, len(grey), 256):
        grey[top : top + 256] = np.rint(confidence[top : top + 256] * 255)
    return grey


def refuse_clashes(inputs: Sequence[Path], targets: Sequence[Targets], table: Path | None, overwrite: bool) -> None:
    """Check the output files before anything is written.

    Raises:
        SemisegError: two inputs share one, one is itself an input, or one exists and ``overwrite`` is off.
    """
    by_file: dict[Path, Path] = {}
    for path, target in zip(inputs, targets, strict=True):
        for file in target.all:
            other = by_file.setdefault(file, path)
            if other is not path:
                raise SemisegError(
                    f"{other} and {path} would both be written to {file}; predict them into different output folders"
                )
    written = [*by_file, *([] if table is None else [table])]
    given = {path.resolve() for path in inputs}
    for file in written:
        if file.resolve() in given:
            raise SemisegError(f"the output {file} is itself one of the images; choose another output folder")
    existing = [str(file) for file in written if file.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 3} more" if len(existing) > 3 else ""
        raise SemisegError(
            f"output files exist: {', '.join(existing[:3])}{more}; choose another folder or --overwrite them"
        )


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a PNG file.

    Raises:
        SemisegError: it cannot be written; the message says why.
    """
    try:
        picture.save(path, format="PNG")
    except OSError as error:
        raise SemisegError(f"cannot write {path}: {error.strerror or error}") from error
