"""What was seen of files, kept by their size and time of change, so that a second start need not read them again."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from semiseg import __version__
from semiseg.data.base import ImageSet
from semiseg.data.check.look import Look
from semiseg.data.files import ImageFiles

FRESH = 2 * 10**9  # nanoseconds: a file changed so lately could change again without another time of change


def folder() -> Path:
    """Where results are kept: ``semiseg/`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "semiseg" / "checked"


class LookCache:
    """Looks at the files of an image set that were without findings.

    Nothing is kept of sets that are not made of files or come from other packages, whose reading may change unseen.
    A result is of one version of this package, and of one description of the classes.
    """

    def __init__(self, images: ImageSet) -> None:
        self.images = images if isinstance(images, ImageFiles) else None
        if self.images is None or not type(images).__module__.startswith("semiseg.") or not images.names:
            self.images = None
            return
        means = [getattr(images, name, None) for name in ("ignored", "by_colour", "drawn")]
        if self.images.pixels is not None:
            means.append(self.images.pixels.settings)
        first = str(next(iter(self.images.files.values())).absolute().parent)
        key = repr((__version__, type(images).__qualname__, images.info, means, first))
        self.path = folder() / f"{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:32]}.json"
        self.rows: dict[str, list[object]] = {}
        self.new: dict[str, list[object]] = {}
        with suppress(OSError, ValueError):
            rows = json.loads(self.path.read_text(encoding="utf-8"))
            self.rows = rows if isinstance(rows, dict) else {}

    def get(self, i: int, how: str) -> Look | None:
        """The look at image i if neither its file nor its mask has changed since."""
        key = self._key(i, how)
        row = None if key is None else self.rows.get(key)
        if key is None or row is None:
            return None
        with suppress(TypeError, ValueError):  # a damaged file is no result
            self.new[key] = row
            return Look.from_json(row)
        return None

    def put(self, i: int, how: str, look: Look) -> None:
        """Keep a look, unless something was wrong."""
        key = self._key(i, how)
        if key is not None and not look.findings:
            self.new[key] = look.to_json()

    def save(self) -> None:
        """Write what is known of the files there are now; a home that cannot be written keeps nothing."""
        if self.images is None or self.new.items() <= self.rows.items():
            return
        # Other folds of a folder share its results; what has long changed goes.
        rows = self.rows | self.new if len(self.rows) < 4 * len(self.new) + 1000 else self.new
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            number, partial = tempfile.mkstemp(dir=self.path.parent)
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump(rows, file)
            os.replace(partial, self.path)

    def _key(self, i: int, how: str) -> str | None:
        """What names a result: the files with size and time of change; None for files that have just changed."""
        if self.images is None:
            return None
        name, parts = self.images.names[i], [how]
        for path in (self.images.files[name], self.images.masks.get(name)):
            try:
                facts = None if path is None else path.stat()
            except OSError:
                return None
            if facts is not None and abs(time.time_ns() - facts.st_mtime_ns) < FRESH:
                return None
            parts.append("" if facts is None else f"{path} {facts.st_size} {facts.st_mtime_ns}")
        return "|".join(parts)
