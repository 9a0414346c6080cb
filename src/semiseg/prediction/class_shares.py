"""Class shares: the fraction of the pixels of an image that each class has, and the table of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from semiseg.data.splits.lists import ANY_NAME
from semiseg.runtime import distributed


def class_shares(mask: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Fractions of the pixels of a uint8 (H,W) mask by class name; they sum to 1. Pixels of 255 are not counted."""
    counts = np.zeros(256, np.int64)
    for top in range(0, len(mask), 256):  # bincount() would make 64-bit numbers of all bytes at once
        counts += np.bincount(mask[top : top + 256].ravel(), minlength=256)
    return dict(zip(classes, (counts[: len(classes)] / max(1, counts[:255].sum())).tolist(), strict=True))


class SharesTable:
    """A CSV file with a row for every image, written one by one; each of several processes writes a part of it.

    The first columns are ``heads``, then one for each class.
    """

    def __init__(
        self, path: Path, classes: Sequence[str], heads: Sequence[str] = ("image",), across_processes: bool = False
    ) -> None:
        self.path, self.heads, self.classes = path, list(heads), list(classes)
        self.world = distributed.world() if across_processes else 1
        self.parts = [path.with_name(f".{path.stem}-{r}of{self.world}.csv") for r in range(self.world)]
        written = path if self.world == 1 else self.parts[distributed.rank()]
        self.file = written.open("w", newline="", encoding="utf-8", errors=ANY_NAME)
        self.writer = csv.writer(self.file)
        self.writer.writerow([*self.heads, *self.classes])

    def add(self, head: Sequence[object], shares: Mapping[str, float]) -> None:
        """Append a row; it is on disk when this returns."""
        self.writer.writerow([*map(str, head), *(f"{shares[name]:.6f}" for name in self.classes)])
        self.file.flush()

    def join(self, order: Sequence[str]) -> None:
        """Close the file; every one of several processes must call this, and the first joins the parts.

        ``order`` lists the first cells of the rows in the order of the joined table.
        """
        self.file.close()
        if self.world == 1:
            return
        distributed.barrier()
        if distributed.is_main():
            rows = {}
            for part in self.parts:
                with part.open(newline="", encoding="utf-8", errors=ANY_NAME) as file:
                    rows.update({row[0]: row for row in list(csv.reader(file))[1:]})
            with self.path.open("w", newline="", encoding="utf-8", errors=ANY_NAME) as file:
                csv.writer(file).writerows([[*self.heads, *self.classes], *(rows[n] for n in order if n in rows)])
            for part in self.parts:
                part.unlink()

    def __enter__(self) -> SharesTable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.close()
