"""Folders as people have them: a disc with a core on a ground, eight images of which five have a mask."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

COUNT, MASKS, SIDE = 8, 5, 48
GREYS = np.array([0, 128, 255], np.uint8)
COLOURS = np.array([[0, 0, 0], [230, 159, 0], [0, 114, 178]], np.uint8)
NAMED = "classes: [ground, disc, core]\n"


def scene(i: int) -> tuple[np.ndarray, np.ndarray]:
    """Image, uint8 (H, W, 3), and label, uint8 (H, W), number i."""
    rng = np.random.default_rng(i)
    cy, cx = rng.integers(SIDE // 3, 2 * SIDE // 3, 2)
    y, x = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(y - cy, x - cx)
    label = (away < SIDE / 4).astype(np.uint8) + (away < SIDE / 9).astype(np.uint8)
    base = np.array([[210, 200, 160], [150, 110, 150], [70, 40, 90]])[label]
    return (base + rng.normal(0, 12, base.shape)).clip(0, 255).astype(np.uint8), label


def outlines(i: int) -> dict[int, list[tuple[float, float]]]:
    """Corners (x, y) of the disc (1) and the core (2) of a scene."""
    rng = np.random.default_rng(i)
    cy, cx = (int(value) for value in rng.integers(SIDE // 3, 2 * SIDE // 3, 2))
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return {k: [(float(cx + r * np.cos(a)), float(cy + r * np.sin(a))) for a in angles]
            for k, r in ((1, SIDE / 4), (2, SIDE / 9))}  # fmt: skip


def put(array: np.ndarray, path: Path, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def folder(
    root: Path, images: str = "images", masks: str | None = "masks", ext: str = "png",
    mask: Callable[[np.ndarray], np.ndarray] = lambda label: label, called: str = "{}.png", image: str = "{}",
    **options: object,
) -> Path:  # fmt: skip
    """Eight images and five masks, which ``mask`` makes of labels; ``image`` and ``called`` are made of c00, c01, …"""
    for i in range(COUNT):
        picture, label = scene(i)
        put(picture, root / images / f"{image.format(f'c{i:02}')}.{ext}")
        if masks is not None and i < MASKS:
            put(mask(label), root / masks / called.format(f"c{i:02}"), **options)
    return root


def yolo(root: Path, background: bool = True) -> Path:
    folder(root, masks=None)
    first = 0 if background else 1
    (root / "labels").mkdir()
    for i in range(MASKS):
        lines = [f"{k - first} " + " ".join(f"{x / SIDE:.5f} {y / SIDE:.5f}" for x, y in points)
                 for k, points in outlines(i).items()]  # fmt: skip
        (root / "labels" / f"c{i:02}.txt").write_text("\n".join(lines) + "\n")
    names = ["ground", "disc", "core"][first:]
    (root / "data.yaml").write_text("path: .\ntrain: images\nval: images\nnames:\n"
                                    + "".join(f"  {i}: {name}\n" for i, name in enumerate(names)))  # fmt: skip
    return root


def coco(root: Path) -> Path:
    folder(root, masks=None)
    rows = [{"id": 10 * i + k, "image_id": i, "category_id": k, "iscrowd": 0, "bbox": [0, 0, SIDE, SIDE], "area": 1.0,
             "segmentation": [[value for corner in points for value in corner]]}
            for i in range(MASKS) for k, points in outlines(i).items()]  # fmt: skip
    images = [{"id": i, "file_name": f"c{i:02}.png", "width": SIDE, "height": SIDE} for i in range(COUNT)]
    kinds = [{"id": 1, "name": "disc"}, {"id": 2, "name": "core"}]
    (root / "instances.json").write_text(json.dumps({"images": images, "categories": kinds, "annotations": rows}))
    return root


def cvat(root: Path) -> Path:
    folder(root, "JPEGImages", "SegmentationClass", "jpg", lambda label: COLOURS[label])
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::", "disc:230,159,0::", "core:0,114,178::"]
    (root / "labelmap.txt").write_text("\n".join(lines) + "\n")
    return root


def roboflow(root: Path) -> Path:
    folder(root, ".", ".", "jpg", called="{}_mask.png")
    (root / "_classes.csv").write_text("Pixel Value, Class\n0, ground\n1, disc\n2, core\n")
    return root
