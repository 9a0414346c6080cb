"""Miniature copies of the downloaded data sets, written in the official layouts."""

from pathlib import Path

import numpy as np
from PIL import Image

from semiseg.data.datasets.street_classes import GTA5_ID_COLOURS
from semiseg.data.datasets.voc import voc_colour

CITYSCAPES = {
    "train": ["zurich_000001_000019", "aachen_000000_000019", "aachen_000001_000019"],
    "val": ["frankfurt_000000_000294"],
    "test": ["berlin_000000_000019"],
}
STREET_IDS = np.arange(34, dtype=np.uint8).reshape(2, 17)
VOC_TRAIN, VOC_VAL, VOC_SBD = ["2007_000032", "2007_000039"], ["2007_000033"], ["2008_000008", "2011_003276"]
VOC_OTHER = ["2012_004331"]  # an image of the other tasks
VOC_MASK = np.array([[0, 1, 20], [255, 15, 0]], np.uint8)
GTA5_IDS = np.arange(35, dtype=np.uint8).reshape(5, 7)


def write_cityscapes(root: Path, size: tuple[int, int] = (2, 17)) -> Path:
    """Three training images, one for validation and one for testing, beside the other files of the archives."""
    ids = np.resize(STREET_IDS, size)
    for split, frames in CITYSCAPES.items():
        for frame in frames:
            city = frame.partition("_")[0]
            images, masks = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
            images.mkdir(parents=True, exist_ok=True)
            masks.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(images / f"{frame}_leftImg8bit.png")
            blank = split == "test"  # published without truth
            Image.fromarray(np.zeros(size, np.uint8) if blank else ids).save(masks / f"{frame}_gtFine_labelIds.png")
            Image.fromarray(ids.astype(np.uint16) * 1000).save(masks / f"{frame}_gtFine_instanceIds.png")
            Image.fromarray(np.zeros((*size, 4), np.uint8)).save(masks / f"{frame}_gtFine_color.png")
            (masks / f"{frame}_gtFine_polygons.json").write_text("{}")
    (root / "leftImg8bit" / "train" / "aachen" / "._aachen_000000_000019_leftImg8bit.png").write_bytes(b"Mac OS X")
    (root / "README").write_text("Cityscapes")
    return root


def write_voc(root: Path) -> Path:
    """``root/VOCdevkit/VOC2012``: VOC's own masks are palette files, SBD's grey, for more images and with another 2."""
    base = root / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "SegmentationObject", "Annotations",
                   "ImageSets/Segmentation", "ImageSets/Main"):  # fmt: skip
        (base / folder).mkdir(parents=True)
    for name in (*VOC_TRAIN, *VOC_VAL, *VOC_SBD, *VOC_OTHER):
        Image.fromarray(np.full((2, 3, 3), 60, np.uint8)).save(base / "JPEGImages" / f"{name}.jpg")
    for name in (*VOC_TRAIN, *VOC_VAL):
        palette_file(base / "SegmentationClass" / f"{name}.png", VOC_MASK, [voc_colour(k) for k in range(256)])
    for name in (*VOC_TRAIN, *VOC_VAL, *VOC_SBD):
        grey = VOC_MASK.copy()
        grey[0, 0] = 2
        Image.fromarray(grey).save(base / "SegmentationClassAug" / f"{name}.png")
    write_voc_lists(base, train=VOC_TRAIN, val=VOC_VAL, trainval=VOC_TRAIN + VOC_VAL)
    return root


def write_voc_lists(base: Path, **lists: list[str]) -> None:
    for name, lines in lists.items():
        (base / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def palette_file(path: Path, values: np.ndarray, colours: list[tuple[int, int, int]]) -> None:
    """Indices (H, W) as a palette PNG."""
    picture = Image.frombytes("P", (values.shape[1], values.shape[0]), values.tobytes())
    picture.putpalette([channel for colour in colours for channel in colour])
    picture.save(path)


def write_gta5(root: Path, count: int = 3, values: np.ndarray = GTA5_IDS) -> Path:
    """``count`` images; the labels are palette files."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for i in range(1, count + 1):
        Image.fromarray(np.full((*values.shape, 3), i, np.uint8)).save(root / "images" / f"{i:05d}.png")
        palette_file(root / "labels" / f"{i:05d}.png", values, list(GTA5_ID_COLOURS))
    return root
