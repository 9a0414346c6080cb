"""Several images at once: pictures to look at, and their masks in one file."""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from semiseg.app.image import Shown, describe
from semiseg.errors import SemisegError
from semiseg.prediction.class_shares import SharesTable
from semiseg.prediction.predictor import Predictor
from semiseg.prediction.stored import mask_picture
from semiseg.visualise import overlay

MOST = 100
"""Images of one call: their pictures are held in memory until the page has shown them."""
COMMON = 3
"""Classes that the line below a picture names."""


def predict_several(
    predictor: Predictor, paths: Sequence[str], folder: Path, told: Callable[[int, int], None] | None = None
) -> tuple[list[tuple[Image.Image, str]], Path | None, list[str]]:
    """Predict images one after the other.

    Args:
        predictor: the network.
        paths: of the images.
        folder: where the file is written, under a folder of its own.
        told: called with (images done, all).

    Returns:
        Overlays with a line each; a ZIP with ``masks/STEM.png`` as ``semiseg predict`` writes them and ``shares.csv``,
        or None where no image could be read; and a line for each image that was left out.
    """
    pictures: list[tuple[Image.Image, str]] = []
    left_out: list[str] = []
    masks: dict[str, bytes] = {}
    target = folder / uuid.uuid4().hex / "masks.zip"
    target.parent.mkdir(parents=True)
    table_path = target.with_name("shares.csv")
    with SharesTable(table_path, predictor.info.classes) as table:
        for done, path in enumerate(paths, 1):
            name = Path(path).name
            if done > MOST:
                left_out.append(f"{name}: {MOST} images are shown at once; semiseg predict takes any number")
            else:
                try:
                    shown = describe(predictor, path)
                except SemisegError as error:
                    left_out.append(f"{name}: {str(error).replace(path, 'the file')}")
                else:
                    stem = _unused(Path(path).stem, masks)
                    masks[stem] = mask_file(shown.whole, predictor)
                    table.add([stem], shown.shares)
                    blended = overlay(shown.picture, shown.classes, shown.colours, 0.5)
                    pictures.append((Image.fromarray(blended), f"{name}: {common(shown)}"))
            if told is not None:
                told(done, len(paths))
    if not masks:
        return pictures, None, left_out
    with zipfile.ZipFile(target, "w") as archive:  # PNG is compressed already
        for stem, content in masks.items():
            archive.writestr(f"masks/{stem}.png", content)
        archive.write(table_path, "shares.csv")
    return pictures, target, left_out


def mask_file(mask: np.ndarray, predictor: Predictor) -> bytes:
    """A mask as the file that ``semiseg predict`` writes: values of the training masks, colours of their classes."""
    buffer = io.BytesIO()
    mask_picture(mask, predictor.info).save(buffer, format="PNG")
    return buffer.getvalue()


def common(shown: Shown) -> str:
    """``road 41 %, sky 22 %``."""
    first = sorted(shown.shares.items(), key=lambda item: -item[1])[:COMMON]
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in first if share)


def _unused(stem: str, taken: dict[str, bytes]) -> str:
    found, number = stem, 2
    while found in taken:
        found, number = f"{stem}-{number}", number + 1
    return found
