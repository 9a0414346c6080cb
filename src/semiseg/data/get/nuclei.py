"""Cell nuclei under several microscopes: the training images of the Data Science Bowl 2018, stage 1.

Image set BBBC038v1 of the Broad Bioimage Benchmark Collection (Caicedo et al., Nature Methods 16, 2019), CC0: 670
images, as published, without the corrections of masks that participants made later. Many are neighbouring windows of
one larger picture, which the split does not keep together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import numpy as np
from PIL import Image

from semiseg.data.convert.writing import new_folder, write_description, write_mask
from semiseg.data.resizing import resize_image, resize_label
from semiseg.errors import UsageError
from semiseg.runtime.downloads import cached, fetch

ADDRESS = "https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip"
SHA256 = "dcb6edc2690f137406638b2309581a71522c4dff19157d118453b448dcddcb68"
"""Of the 82 923 446 bytes behind ``ADDRESS``. The Broad Institute publishes none; this one stands in five public
repositories that do not build on each other, among them a Git LFS pointer to the file and a loader that checks it."""
KIND = "datasets"  # folder of the cache

CLASSES = ("background", "nucleus", "border")
COLOURS = ((0, 0, 0), (90, 160, 255), (255, 200, 0))
NUCLEUS, BORDER = 1, 2
BORDER_WIDTH = 2  # pixels, before an image is halved
LONGEST = 400  # pixels; images with a longer side are halved, which is enough for nuclei and much quicker to train on
VAL_EVERY = 4  # one image in four is for validation
STEM = 12  # of the 64 hexadecimal digits of an image's name; enough to tell 670 apart


@dataclass(frozen=True)
class Got:
    """The new folder, its numbers of images, and where the download is kept."""

    folder: Path
    train: int
    val: int
    archive: Path


def get_nuclei(
    output: str | Path,
    images: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    address: str = ADDRESS,
    sha256: str = SHA256,
) -> Got:
    """Write the nuclei as images/{train,val}, masks/{train,val} and dataset.yaml; the download is made once.

    Masks hold 0 background, 1 nucleus, 2 border: the two outer pixels of each nucleus, so that nuclei that touch come
    apart. Images with a side above 400 pixels are halved, after that. Sorted by the SHA-256 of their name, every
    fourth image is for validation: 503 to train on, 167 for validation, the same at every call.

    Args:
        output: a folder that does not exist yet, or is empty.
        images: how many in all, the first in that order; a larger choice holds a smaller one, split alike. All if None.
        progress: called with (images done, images in all).
        address, sha256: of the archive.

    Raises:
        UsageError: the output exists, or fewer than four images, which leaves none for validation.
        SemisegError: no download and none in the cache.
    """
    if images is not None and images < VAL_EVERY:
        raise UsageError(f"--images {images}: choose at least {VAL_EVERY}, so that one is left for validation")
    with new_folder(Path(output)) as folder:
        archive = fetch(address, sha256, KIND, "and run the same command again")
        for part in ("images", "masks"):
            for split in ("train", "val"):
                (folder / part / split).mkdir(parents=True)
        counts = {"train": 0, "val": 0}
        with ZipFile(archive) as file:
            chosen = list(_contents(file).items())[:images]
            for done, (name, (picture, masks)) in enumerate(chosen, start=1):
                split = "val" if done % VAL_EVERY == 0 else "train"
                counts[split] += 1
                image, mask = _read(file, picture, masks)
                Image.fromarray(image).save(folder / "images" / split / f"{name[:STEM]}.png")
                write_mask(mask, COLOURS, folder / "masks" / split / f"{name[:STEM]}.png")
                if progress is not None:
                    progress(done, len(chosen))
        write_description(folder, "nuclei", CLASSES, COLOURS)
    return Got(Path(output), counts["train"], counts["val"], cached(address, KIND))


def outer_pixels(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of ``mask``, bool (H, W), that are ``width`` steps or fewer, up, down, left or right, from its outside.

    What lies beyond the edges counts as outside.
    """
    core = mask
    for _ in range(width):
        padded = np.pad(core, 1)
        core = core & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    found: np.ndarray = mask & ~core
    return found


def _contents(file: ZipFile) -> dict[str, tuple[str, list[str]]]:
    """Image and masks, one a nucleus, by the image's name, in the order of the hash of that name.

    Files lie as NAME/images/NAME.png and NAME/masks/*.png.
    """
    pictures: dict[str, str] = {}
    masks: dict[str, list[str]] = {}
    for path in file.namelist():
        kind, name = PurePosixPath(path).parent.name, PurePosixPath(path).parent.parent.name
        if not path.endswith(".png"):
            continue  # a folder
        if kind == "images":
            pictures[name] = path
        else:
            masks.setdefault(name, []).append(path)
    order = sorted(pictures, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return {name: (pictures[name], masks[name]) for name in order}


def _read(file: ZipFile, picture: str, masks: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Image, uint8 (H, W, 3), and classes, uint8 (H, W), halved where that is wanted."""
    with file.open(picture) as stream:
        image = np.array(Image.open(stream).convert("RGB"))
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    for path in masks:
        with file.open(path) as stream:
            drawn = Image.open(stream).convert("L")
        if (box := drawn.getbbox()) is None:
            continue
        left, top, right, bottom = box
        nucleus = np.array(drawn.crop(box)) > 0
        window = mask[top:bottom, left:right]
        window[nucleus] = NUCLEUS
        window[outer_pixels(nucleus, BORDER_WIDTH)] = BORDER
    if max(height, width) > LONGEST:
        size = height // 2, width // 2
        image, mask = resize_image(image, size), resize_label(mask, size)
    return image, mask
