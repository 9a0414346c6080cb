"""What people call folders and files: of images, of masks, of training and of validation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

IMAGES = ("images", "image", "imgs", "img", "jpegimages", "leftimg8bit", "photos", "pictures", "rgb", "imagestr")
MASKS = ("masks", "mask", "labels", "label", "annotations", "annotation", "annots", "gt", "groundtruth",
         "ground_truth", "segmentationclass", "gtfine", "masks_machine", "segmentations", "segmentation", "segs",
         "seg", "targets", "target", "labelstr")  # fmt: skip
"""Names of folders, in small letters; the first is ours."""
SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev")}

MASK_ENDING = re.compile(
    r"[ _.\-](?:gt(?:fine|coarse)?[_\-])?(?:masks?|segm?|segmentations?|labels?|labelids|labeltrainids|gt|"
    r"ground[ _\-]?truth|annotations?|annot?|targets?|manual\d*|matte)\Z",
    re.IGNORECASE,
)
"""What a mask's stem has behind that of its image."""
IMAGE_ENDINGS = ("_leftimg8bit", "_rgb", "_image", "_img", "_training", "_sat", "_0000")
"""What an image's stem may have behind the part that its mask shares: Cityscapes, Potsdam, DRIVE, nnU-Net."""
SEPARATORS = (" ", "_", ".", "-")


def folders(above: Path, words: Iterable[str]) -> list[Path]:
    """Folders in ``above`` that have one of these names in any case, in the order of the words."""
    if not above.is_dir():
        return []
    order = {word: i for i, word in enumerate(words)}
    found = [path for path in above.iterdir() if path.name.casefold() in order and path.is_dir()]
    return sorted(found, key=lambda path: (order[path.name.casefold()], path.name != path.name.lower(), path.name))


def splits(above: Path) -> dict[str, Path]:
    """The folders of training and validation images in ``above``; one of our own names goes before others."""
    return {split: found[0] for split, words in SPLITS.items() if (found := folders(above, words))}
