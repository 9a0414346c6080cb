"""Images, labelme files and masks for the tests of conversion."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 20, 30


def photo(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH), value: int = 80) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
    return path


def stored(root: Path, stem: str) -> np.ndarray:
    with Image.open(root / "masks" / f"{stem}.png") as mask:
        assert mask.mode == "P"
        return np.array(mask)


def expect(*areas: tuple[int, slice, slice], blank: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    mask = np.full(size, blank, np.uint8)
    for value, rows, columns in areas:
        mask[rows, columns] = value
    return mask


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_array_equal(found, wanted)


def shape(
    label: str, points: Sequence[Sequence[float]], kind: str = "polygon", mask: str | None = None
) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "description": "", "shape_type": kind, "flags": {},
            "mask": mask}  # fmt: skip


def labelme(path: Path, shapes: list[dict[str, Any]], image: str | None = None, data: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image or f"{path.stem}.png",
             "imageData": data, "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
    path.write_text(json.dumps(sheet), encoding="utf-8")


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
