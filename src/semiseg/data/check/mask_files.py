"""What keeps a folder of images and masks from being opened, file by file."""

from __future__ import annotations

from pathlib import Path

from semiseg.data.base import IGNORE
from semiseg.data.check.finding import Finding, from_error
from semiseg.data.files import LOSSY, read_mask
from semiseg.data.layouts.command import convert_command
from semiseg.data.layouts.pairs import find_pairs
from semiseg.errors import SemisegError


def check_mask_files(root: Path) -> list[Finding]:
    """Every mask of a folder that is no file of class numbers; empty where nothing is wrong with them.

    Opening such a folder stops at the first of these. Coloured masks are one finding, and so are those in a format that
    changes numbers, with the command that converts them.
    """
    try:
        pairs = find_pairs(root)
    except SemisegError:  # said by the opening of the folder
        return []
    found: list[Finding] = []
    coloured: list[Path] = []
    lossy: list[Path] = []
    for path in pairs.masks if pairs else []:
        where = str(path.relative_to(root))
        if path.suffix.lower() in LOSSY:
            lossy.append(path)
            continue
        try:
            values = read_mask(path)
        except SemisegError as error:
            found.append(from_error(where, error))
            continue
        if values.ndim == 3:
            coloured.append(path)
        elif values.max() > IGNORE or values.min() < 0:
            wrong = values.max() if values.max() > IGNORE else values.min()
            found.append(Finding("error", where, f"holds the value {wrong}",
                                 f"number the classes 0 to at most {IGNORE - 1}"))  # fmt: skip
    command = convert_command(root)
    for paths, text in ((lossy, "in a format that changes class numbers"),
                        (coloured, "colour pictures, not class numbers")):  # fmt: skip
        if paths:
            verb = "is" if len(paths) == 1 else "are"
            mask = "mask" if len(paths) == 1 else "masks"
            told = f"{len(paths)} {mask} {verb} {text}"
            found.append(Finding("error", str(paths[0].relative_to(root)), told, command, command))
    return found
