"""What keeps a folder of images and masks from being opened, file by file."""

from __future__ import annotations

from pathlib import Path

from semiseg.data.base import IGNORE
from semiseg.data.check.finding import Finding, from_error
from semiseg.data.files import LOSSY, SUFFIXES, read_mask
from semiseg.data.masks import convert_command
from semiseg.errors import SemisegError


def check_mask_files(root: Path) -> list[Finding]:
    """Every mask below ``root``/masks that is no file of class numbers; empty where nothing is wrong with them.

    Opening such a folder stops at the first of these. Coloured masks are one finding, with the command that converts
    them.
    """
    found: list[Finding] = []
    coloured: list[Path] = []
    masks = root / "masks"
    for path in sorted(masks.rglob("*")) if masks.is_dir() else []:
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        where = str(path.relative_to(root))
        if path.suffix.lower() in LOSSY:
            found.append(Finding("error", where, "this format changes class numbers", "save masks as PNG"))
            continue
        try:
            values = read_mask(path)
        except SemisegError as error:
            found.append(from_error(where, error))
            continue
        if values.ndim == 3:
            coloured.append(path)
        elif values.max() > IGNORE:
            found.append(Finding("error", where, f"holds the value {values.max()}",
                                 f"number the classes 0 to at most {IGNORE - 1}"))  # fmt: skip
    if coloured:
        text = f"{len(coloured)} masks are colour pictures, not class numbers"
        found.append(Finding("error", str(coloured[0].relative_to(root)), text, convert_command(coloured[0])))
    return found
