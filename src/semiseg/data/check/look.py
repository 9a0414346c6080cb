"""What is kept of one image and its mask once they have been read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from semiseg.data.base import Colour, ImageSet, Size
from semiseg.data.check.finding import Finding, from_error
from semiseg.data.datasets.folder import Folder
from semiseg.data.files import ImageFiles, read_mask
from semiseg.data.layouts.command import convert_command
from semiseg.data.palettes import used_colours
from semiseg.data.pictures import DEEP_DATA, is_deep, opened, upright_size
from semiseg.errors import SemisegError


@dataclass
class Look:
    """Of an image its size and a digest of its pixels, of its mask the values and a digest; or what is wrong.

    ``size`` is None where the image cannot be used, ``present`` where there is no mask that can. ``palette`` is the
    colour of each value of a palette file, ``blank`` the share of pixels that are no content.
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    size: Size | None = None
    digest: str = ""
    present: list[int] | None = None
    truth: str = ""
    palette: dict[int, Colour] = field(default_factory=dict)
    blank: float = 0.0

    def to_json(self) -> list[Any]:
        """Everything but the findings."""
        return [self.name, self.size, self.digest, self.present, self.truth, list(self.palette.items()), self.blank]

    @classmethod
    def from_json(cls, row: list[Any]) -> Look:
        """Undo :meth:`to_json`."""
        name, size, digest, present, truth, palette, blank = row
        return cls(name, [], tuple(size), digest, present, truth, {i: tuple(c) for i, c in palette}, blank)


def look_at(images: ImageSet, split: str, i: int, whole: bool, mask: bool, blanks: bool) -> Look:
    """Read image i of a split.

    Args:
        images, split, i: the image; errors are found at ``split/NAME``.
        whole: decode it; otherwise its file's header is enough where there are files.
        mask: read its mask too, if it has one.
        blanks: see which pixels are no content.
    """
    look = Look(images.names[i])
    where = f"{split}/{look.name}"
    try:
        if whole or not isinstance(images, ImageFiles):
            picture = images.image(i)
            look.size = (picture.shape[0], picture.shape[1])
            look.digest = _digest(picture)
        else:
            look.size = _header_size(images, i)
        blank = images.blank(i) if blanks else None
        look.blank = 0.0 if blank is None else float(blank.mean())
    except SemisegError as error:
        look.findings.append(_mended(from_error(where, error, "replace or remove the file"), images))
        look.size = None
        return look
    if mask:
        _look_at_mask(look, images, where, i)
    return look


def _mended(finding: Finding, images: ImageSet) -> Finding:
    """With the command that brings images of more than 8 bits to 8, where that is the fault."""
    if not isinstance(images, Folder) or DEEP_DATA.rpartition("; ")[2] != finding.remedy:
        return finding
    command = convert_command(images.root)
    return replace(finding, remedy=f"{finding.remedy}, or bring grey ones of 10 to 16 bits to 8 all alike: {command}",
                   command=command)  # fmt: skip


def _header_size(images: ImageFiles, i: int) -> Size:
    if images.pixels is not None:
        return images.size_of(i)
    path = images.files[images.names[i]]
    try:
        with opened(path) as image:
            if is_deep(image):
                raise SemisegError(f"{path} {DEEP_DATA}")
            return upright_size(image)
    except SemisegError:
        raise
    except Exception as error:  # damaged files raise nearly anything
        raise SemisegError(f"{path} cannot be read as an image ({error}); replace or remove it") from None


def _look_at_mask(look: Look, images: ImageSet, where: str, i: int) -> None:
    try:
        label = images.label(i)
    except SemisegError as error:
        look.findings.append(from_error(where, error, "correct the mask"))
        return
    if label is None:
        return
    if label.shape != look.size:  # of files, reading says so already
        look.findings.append(Finding("error", where, f"mask of {label.shape}, image of {look.size} (height, width)",
                                     "make the mask as large as its image"))  # fmt: skip
        return
    look.present = np.flatnonzero(np.bincount(label.ravel())).tolist()
    look.truth = _digest(label)
    if isinstance(images, Folder) and not images.by_colour:
        path = images.masks[look.name]
        look.palette = used_colours(path, read_mask(path), images.ignored)
    if look.present == [images.info.ignore_index]:
        look.findings.append(
            Finding("warning", where, "every pixel of the mask is ignored", "it teaches nothing; label it")
        )


def _digest(array: np.ndarray) -> str:
    shape = repr(array.shape).encode()
    return hashlib.sha1(shape + np.ascontiguousarray(array).tobytes(), usedforsecurity=False).hexdigest()
