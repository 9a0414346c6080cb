"""What installed packages add by entry points: methods, data sets and backbones, each under a name.

Only installed code is found: a configuration file names an entry point, never a module to import.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from semiseg.errors import SemisegError
from semiseg.runtime.extras import first_line

METHODS, DATASETS, BACKBONES = "semiseg.methods", "semiseg.datasets", "semiseg.backbones"
FOLDER = Path(__file__).parents[1] / "methods"


@cache
def installed(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group, ``semiseg.methods`` for one, by name; nothing is imported yet."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def load(group: str, name: str) -> Any:
    """The object behind an entry point.

    Raises:
        SemisegError: the package that brings it cannot be imported; names the package and the reason.
    """
    point = installed(group)[name]
    try:
        return point.load()
    except Exception as error:  # another package's import may fail in any way
        package = point.dist.name if point.dist is not None else point.value
        raise SemisegError(
            f"{name!r} of {group} comes from the package {package}, which cannot be imported ({first_line(error)}); "
            "repair or uninstall it"
        ) from error


@cache
def method_names() -> tuple[str, ...]:
    """Names of all methods: the files of ``semiseg/methods/``, then what installed packages add; nothing is imported.

    What methods share lies in sub-packages, so that a new file there is a new method and nothing else has to know it.
    """
    shipped = sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]) if not module.ispkg)
    return (*shipped, *(name for name in installed(METHODS) if name not in shipped))


def method_class(name: str) -> Any:
    """The class of a method, imported here, since a configuration needs its settings: ``METHOD`` of the file.

    Raises:
        SemisegError: an installed package brings it and cannot be imported.
    """
    if (FOLDER / f"{name}.py").is_file():
        return importlib.import_module(f"semiseg.methods.{name}").METHOD
    return load(METHODS, name)
