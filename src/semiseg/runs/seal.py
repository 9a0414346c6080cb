"""A digest at the end of a checkpoint, so that no changed bit of it is used in silence.

A checkpoint is a ZIP archive. The digest is the archive's comment, which other readers of such files pass over.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from pathlib import Path

MARK = b"semiseg sha256 "
_DIGEST = hashlib.sha256().digest_size * 2  # in hexadecimal digits


def seal(path: Path) -> None:
    """Append the digest of all bytes before it to an archive that has no comment yet."""
    with path.open("r+b") as file:
        file.seek(-2, os.SEEK_END)  # the length of the comment
        file.write(struct.pack("<H", len(MARK) + _DIGEST) + MARK)
    digest = _digest(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(digest)


def fault(path: Path) -> str | None:
    """What is wrong with an archive, or None. One of an earlier version has no seal, but a sum in each of its parts."""
    size = path.stat().st_size
    if size == 0:
        return "it is empty"
    with path.open("rb") as file:
        file.seek(max(0, size - _DIGEST - len(MARK)))
        end = file.read()
    if end.startswith(MARK):
        return None if _digest(path, size - _DIGEST) == end[-_DIGEST:] else "its checksum is wrong"
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.comment or archive.testzip()
    except Exception as error:  # archives that are cut off fail in many ways
        return str(error) or type(error).__name__
    return "its checksum is wrong" if wrong else None


def _digest(path: Path, length: int) -> bytes:
    """SHA-256 of the first ``length`` bytes of a file, in hexadecimal digits."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while length > 0 and (piece := file.read(min(length, 1 << 20))):
            found.update(piece)
            length -= len(piece)
    return found.hexdigest().encode()
