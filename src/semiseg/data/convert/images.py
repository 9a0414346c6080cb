"""Where the images of an export lie."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from semiseg.data.convert.inside import Inside
from semiseg.data.files import SUFFIXES
from semiseg.data.pairing import spelling
from semiseg.errors import SemisegError


class Images:
    """Files below a folder, found by the path that an export gives.

    Links to files elsewhere are refused, but for ``more`` folders that the user has named.

    Raises:
        SemisegError: no such folder.
    """

    def __init__(self, folder: Path, *more: Path) -> None:
        if not folder.is_dir():
            raise SemisegError(f"no folder {folder} with the images; give it with --images DIR")
        self.folder, self.inside = folder, Inside([folder, *more])
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        self.pictures: list[Path] = []
        for path in sorted(folder.rglob("*")):
            if any(part.startswith(".") for part in path.relative_to(folder).parts) or not path.is_file():
                continue
            self.by_name[spelling(path.name)].append(path)
            if path.suffix.lower() in SUFFIXES:
                self.pictures.append(path)

    def find(self, name: str) -> Path | None:
        """The file whose path ends most like ``name`` (with / or \\), and has the same file name; None without one.

        Of several that end alike, the one whose whole path does is taken, then the one spelt alike in case and accents.

        Raises:
            SemisegError: several end alike, or it is a link that leads out of the folders.
        """
        wanted = name.replace("\\", "/").split("/")
        alike: dict[tuple[int, bool, bool], list[Path]] = defaultdict(list)
        for path in self.by_name.get(spelling(wanted[-1]), []):
            parts = path.relative_to(self.folder).parts
            shared = 0
            for one, other in zip(reversed(parts), reversed(wanted), strict=False):
                if spelling(one) != spelling(other):
                    break
                shared += 1
            alike[shared, shared == len(parts), path.name == wanted[-1]].append(path)
        if not alike:
            return None
        best = alike[max(alike)]
        if len(best) > 1:
            raise SemisegError(
                f"{name} may be {best[0]} or {best[1]}; give the folder that holds only one: --images DIR"
            )
        return self.inside.check(best[0])

    def others(self, taken: set[Path]) -> list[Path]:
        """Images that are not among ``taken`` (resolved paths).

        Raises:
            SemisegError: one is a link that leads out of the folders.
        """
        return [self.inside.check(path) for path in self.pictures if path.resolve() not in taken]


def not_found(missing: list[str], total: int, looked_in: Path) -> SemisegError:
    """The error for images that an export names and no folder holds."""
    return SemisegError(
        f"{len(missing)} of {total} images are not below {looked_in}, e.g. {missing[0]}; give their folder with "
        "--images DIR, or --skip-missing"
    )
