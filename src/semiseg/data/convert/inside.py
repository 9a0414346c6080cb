"""Files that an export names must lie in the folders that the user named: links and ``../`` lead no further."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from semiseg.errors import SemisegError


class Inside:
    """The folders of a conversion. Symbolic links are followed before a place is judged."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = [folder.resolve() for folder in folders]

    def __contains__(self, path: Path) -> bool:
        try:
            real = path.resolve()
        except (OSError, RuntimeError, ValueError):  # links in a circle, names with a zero byte
            return False
        return any(real.is_relative_to(folder) for folder in self.folders)

    def check(self, path: Path) -> Path:
        """The path itself.

        Raises:
            SemisegError: it leads out of the folders.
        """
        if path not in self:
            where = " and ".join(str(folder) for folder in self.folders)
            raise SemisegError(
                f"{path} leads out of {where}, and what lies elsewhere is not copied; if it is meant, name its own "
                "folder: --images DIR"
            )
        return path
