"""What every reader makes of an export: pictures, each with its truth, and the classes in the tool's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from semiseg.data.base import Colour, Size
from semiseg.data.convert.regions import Patch
from semiseg.errors import SemisegError
from semiseg.runtime.documents import parse_json

# Labels that mean the same in every format; the names are labelme's.
IGNORED = "__ignore__"
BACKGROUND = "_background_"


@dataclass(frozen=True)
class Plan:
    """How labels become numbers.

    ``number``: value by label; ``blank``: value of pixels in no region; ``smaller_on_top``: where regions overlap, the
    smaller counts, otherwise the later; ``fill_empty``: an annotated picture without regions is blank all over instead
    of unlabelled.
    """

    number: Mapping[str, int]
    blank: int
    smaller_on_top: bool = False
    fill_empty: bool = False


class Truth(Protocol):
    """What is known of a picture's pixels."""

    def labels(self) -> set[str]:
        """Labels that occur."""
        ...

    def draw(self, plan: Plan, size: Size) -> np.ndarray | None:
        """Mask of a picture of ``size`` (height, width): uint8 (H, W), or None when it says nothing."""
        ...


@dataclass(frozen=True)
class Shape:
    """A region of one class; ``region`` finds its pixels in a picture of the given (height, width)."""

    label: str
    region: Callable[[Size], Patch]


@dataclass(frozen=True)
class Shapes:
    """Truth as a list of regions, in the order in which the tool holds them."""

    shapes: list[Shape]

    def labels(self) -> set[str]:
        return {shape.label for shape in self.shapes}

    def draw(self, plan: Plan, size: Size) -> np.ndarray | None:
        if not self.shapes and not plan.fill_empty:
            return None
        mask = np.full(size, plan.blank, np.uint8)
        patches = [(shape.label, shape.region(size)) for shape in self.shapes]
        if plan.smaller_on_top:
            patches.sort(key=lambda found: -int(found[1].mask.sum()))
        for label, patch in patches:
            patch.window(mask)[patch.mask] = plan.number[label]
        return mask


@dataclass(frozen=True)
class Picture:
    """An image of an export.

    ``file`` is where it lies, or its bytes; ``name`` its path as the tool gives it; ``truth`` is None where nobody has
    annotated; ``size`` the (height, width) that was annotated, where the export says so; ``split`` train, val or "".
    """

    file: Path | bytes
    name: str
    truth: Truth | None = None
    size: Size | None = None
    split: str = ""


@dataclass
class Export:
    """``classes`` in the order of the tool; ``full``: every pixel has a label, so no background class is added;
    ``blank``: the class of pixels in no region, where the export says which."""

    pictures: list[Picture]
    classes: list[str]
    colours: dict[str, Colour] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    full: bool = False
    blank: str | None = None


def load_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        SemisegError: it is none.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # also of the decoding
        raise SemisegError(f"{path} is not JSON ({error}); export it again") from None


def sorted_labels(pictures: list[Picture]) -> list[str]:
    """Labels of all pictures in alphabetical order, without those that mean ignored and background."""
    used = {label for picture in pictures if picture.truth for label in picture.truth.labels()}
    return sorted(used - {IGNORED, BACKGROUND})
