"""What ``labelme_json_to_dataset`` writes: a folder for every image with img.png, label.png and label_names.txt."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semiseg.data.base import Size
from semiseg.data.convert.export import Export, Picture, Plan, sorted_labels
from semiseg.data.convert.inside import Inside
from semiseg.data.files import read_mask
from semiseg.errors import SemisegError


def read_labelme_dataset(source: Path, images: Path | None, skip_missing: bool) -> Export:
    """Every such folder below ``source``; each numbers its labels by itself, so that they are joined by name.

    Raises:
        SemisegError: none, or one that lacks its image.
    """
    known = Inside([source])
    pictures = []
    for listed in sorted(source.rglob("label_names.txt")):
        folder = listed.parent
        image, label = folder / "img.png", folder / "label.png"
        if not image.is_file() or not label.is_file():
            raise SemisegError(f"{folder} lacks {image.name if not image.is_file() else label.name}; make it anew with "
                               "labelme_json_to_dataset, or convert the JSON files: --from labelme")  # fmt: skip
        names = known.check(listed).read_text(encoding="utf-8-sig").splitlines()
        name = f"{folder.relative_to(source).as_posix().removesuffix('_json')}.png"
        pictures.append(Picture(known.check(image), name, _Numbered(known.check(label), names)))
    if not pictures:
        raise SemisegError(f"no label_names.txt below {source}: expected folders of labelme_json_to_dataset")
    return Export(pictures, sorted_labels([*pictures]))


class _Numbered:
    """Truth of a mask whose values count the lines of a list of labels."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self.path, self.names = path, names

    def labels(self) -> set[str]:
        return set(self.names)

    def draw(self, plan: Plan, size: Size) -> np.ndarray:
        values = read_mask(self.path)
        if values.shape != size or values.min() < 0 or values.max() >= len(self.names):
            raise SemisegError(
                f"{self.path} is {values.shape} with values up to {values.max()}; expected {size} and the "
                f"{len(self.names)} labels of label_names.txt: make it anew with labelme_json_to_dataset"
            )
        found: np.ndarray = np.array([plan.number[name] for name in self.names], np.uint8)[values]
        return found
