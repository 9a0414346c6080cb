"""One split as the check goes through it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from semiseg.data.base import ImageSet, Resize, Size, resized
from semiseg.data.check.cache import LookCache
from semiseg.data.check.finding import Finding
from semiseg.data.check.look import Look, look_at
from semiseg.data.files import ImageFiles

QUICK = 20  # images without a mask that a quick check decodes; of the others it reads the headers
READERS = min(8, os.cpu_count() or 1)


class Part:
    """One split as it is gone through, and what has been seen of it.

    Args:
        images, split: the image set, and ``train``, ``val`` or ``source``.
        resize: before cropping.
        keeps_mask: names of the images whose masks are used.
    """

    def __init__(self, images: ImageSet, split: str, resize: Resize | None, keeps_mask: set[str]) -> None:
        self.images, self.split, self.resize, self.keeps_mask = images, split, resize, keeps_mask
        self.small: list[str] = []
        self.blank: list[float] = []
        self.truths: dict[str, str] = {}
        self.largest: Size | None = None
        self.shown = np.zeros(images.info.num_classes, bool)
        self.ignores = False  # some pixel of a mask is ignored
        self.bad = False  # some mask or image cannot be used, or was not looked at

    @property
    def any_class(self) -> bool | None:
        """Whether a pixel of the masks has a class; None where there is no mask, or one that cannot be read."""
        return None if self.bad or not self.truths else bool(self.shown.any())

    def wanted(self, quick: bool) -> list[int]:
        """Which images are looked at: all, or all but the later ones of a set without files."""
        if not quick or isinstance(self.images, ImageFiles):
            return list(range(len(self.images)))
        skipped = set(self._others()[QUICK:])
        self.bad = bool(skipped) and self.split != "train"
        return [i for i in range(len(self.images)) if i not in skipped]

    def _others(self) -> list[int]:
        """Images that a quick check need not decode: those that teach nothing, and those of validation and source."""
        teaches = self.keeps_mask if self.split == "train" else set()
        return [i for i, name in enumerate(self.images.names) if name not in teaches]

    def looks(self, indices: list[int], quick: bool) -> Iterator[Look]:
        """Looks at the images, in order; decoding in threads releases the lock, and what is kept is small."""
        kept, header_only = LookCache(self.images), set(self._others()[QUICK:]) if quick else set()

        def look(i: int) -> Look:
            whole, mask = i not in header_only, self.images.names[i] in self.keeps_mask
            how = f"{whole:d}{mask:d}{quick:d}"
            known = kept.get(i, how)
            if known is not None:
                return known
            found = look_at(self.images, self.split, i, whole, mask, blanks=not quick)
            kept.put(i, how, found)
            return found

        with ThreadPoolExecutor(READERS) as pool:
            yield from pool.map(look, indices)
        kept.save()

    def take(self, look: Look, crop: Size) -> None:
        """Add up what a look at a usable image has shown."""
        assert look.size is not None
        height, width = resized(look.size, self.resize)
        if self.split != "val" and (height < crop[0] or width < crop[1]):
            self.small.append(look.name)
        if look.blank:
            self.blank.append(look.blank)
        self.bad |= any(finding.level == "error" for finding in look.findings)
        if look.present is not None:
            self.truths[look.name] = look.truth
            self.largest = max(self.largest or look.size, look.size, key=lambda size: size[0] * size[1])
            classes = [value for value in look.present if value != self.images.info.ignore_index]
            self.shown[classes] = True
            self.ignores |= len(classes) < len(look.present)

    def remarks(self, crop: Size) -> list[Finding]:
        """What is to be said of the split as a whole."""
        found = [Finding("warning", self.split, text, "check that this is what you meant")
                 for text in self.images.remarks]  # fmt: skip
        if self.small:
            found.append(
                Finding("warning", f"{self.split}/{self.small[0]}",
                        f"{len(self.small)} images are smaller than the crop {crop}",
                        "their border is padded and ignored; or choose a smaller data.crop")
            )  # fmt: skip
        if self.blank:
            share = 100 * sum(self.blank) / len(self.blank)
            text = f"{len(self.blank)} images have transparent or no-data pixels, {share:.0f} % of theirs on average"
            found.append(Finding("info", self.split, text, "they are ignored; save without alpha if they are content"))
        if whole := sum(share == 1 for share in self.blank):
            found.append(Finding("warning", self.split, f"{whole} images are transparent or no data all over",
                                 "they teach nothing; save without alpha if they are content"))  # fmt: skip
        if self.any_class is False:
            what = {"train": "labelled", "val": "validation", "source": "source"}[self.split]
            found.append(Finding("error", self.split, f"no {what} pixel has a class: all are ignored",
                                 "label some, or correct the masks' values or ignore: in dataset.yaml"))  # fmt: skip
        return found
