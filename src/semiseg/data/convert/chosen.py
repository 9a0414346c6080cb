"""Which reader a source wants, where nobody says."""

from __future__ import annotations

from pathlib import Path

from semiseg.data.layouts.pairs import find_pairs
from semiseg.data.layouts.recognise import recognise
from semiseg.errors import SemisegError, UsageError


def choose(source: Path, images: Path | None) -> tuple[str, Path, Path | None]:
    """The word for ``--from``, the file or folder to read, and the folder of the images, if it is another.

    Raises:
        UsageError: nothing is recognised, or several things are; the message says what to give.
    """
    found = recognise(source)
    pairs = find_pairs(source) if source.is_dir() else None
    painted = pairs is not None and bool(pairs.masks)
    if painted and found:
        raise UsageError(f"{source} holds masks and {found[0].told}; choose one of them with --from colour or --from "
                         f"{found[0].form}")  # fmt: skip
    if painted or (source.is_dir() and images is not None and not found):
        return "colour", source, images
    if not found:
        raise UsageError(f"nothing says what {source} holds; say so with --from, e.g. --from coco, and where the "
                         "images are with --images DIR")  # fmt: skip
    if found[0].instead:
        raise SemisegError(f"{source} holds {found[0].told}; {found[0].instead}")
    if len(found) > 1 and found[1].sure == found[0].sure:
        words = ", ".join(f"--from {one.form} ({one.told})" for one in found)
        raise UsageError(f"{source} may be several things; choose one: {words}")
    return found[0].form, found[0].source, images or found[0].images
