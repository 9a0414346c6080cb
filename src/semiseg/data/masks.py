"""What mask files hold, ids or colours, turned into classes by a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from semiseg.data.base import IGNORE, Colour
from semiseg.errors import SemisegError

UNKNOWN = 254  # in a table: a value that no mask should hold


def value_table(classes: Mapping[int, int], ignored: tuple[int, ...] = ()) -> np.ndarray:
    """uint8 (256,): the class of every stored value; 255 and the values in ``ignored`` become 255."""
    table = np.full(256, UNKNOWN, np.uint8)
    table[list(classes)] = list(classes.values())
    table[[IGNORE, *ignored]] = IGNORE
    return table


def from_values(values: np.ndarray, table: np.ndarray, path: Path, expected: str) -> np.ndarray:
    """Classes, uint8 (H, W), of stored values, integers (H, W).

    Args:
        values: as read from the file; -1 is taken as 255.
        table: of :func:`value_table`.
        path, expected: the file and what it should hold, for the message.

    Raises:
        SemisegError: a value without a class, or a colour image.
    """
    if values.ndim != 2:
        raise SemisegError(f"{path} is a colour image; expected {expected}: take the mask files as downloaded")
    rows = values
    if values.dtype != np.uint8:
        rows = np.where(values == -1, IGNORE, np.where((values < 0) | (values > IGNORE), UNKNOWN, values))
    label = table[rows]
    if (label == UNKNOWN).any():
        shown = ", ".join(str(value) for value in np.unique(values[label == UNKNOWN])[:5])
        raise SemisegError(f"{path} holds values {shown}; expected {expected}: take the mask files as downloaded")
    return label


class ColourTable:
    """Classes by RGB colour, for masks saved as pictures."""

    def __init__(self, classes: Mapping[Colour, int]) -> None:
        coded = sorted((_code(np.array(colour)).item(), value) for colour, value in classes.items())
        self.codes = np.array([code for code, _ in coded])
        self.classes = np.array([value for _, value in coded], np.uint8)

    def knows(self, colours: np.ndarray) -> np.ndarray:
        """bool (...): which of the colours, uint8 (..., 3), have a class."""
        return self._look_up(colours)[1]

    def decode(self, values: np.ndarray, path: Path) -> np.ndarray:
        """Classes, uint8 (H, W), of an RGB mask, uint8 (H, W, 3).

        Raises:
            SemisegError: a colour that is not in the table; file, colour and pixel are named.
        """
        rows, known = self._look_up(values)
        if not known.all():
            y, x = np.argwhere(~known)[0]
            raise SemisegError(
                f"{path}: colour {tuple(values[y, x].tolist())} at row {y}, column {x} belongs to no class; expected "
                "the colours of the data set: take the label files as downloaded"
            )
        return self.classes[rows]

    def _look_up(self, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        codes = _code(colours)
        rows = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        return rows, self.codes[rows] == codes


def _code(colours: np.ndarray) -> np.ndarray:
    return colours.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
