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
        raise SemisegError(
            f"{name!r} of {group} comes from the package {_package(point)}, which cannot be imported "
            f"({first_line(error)}); repair or uninstall it"
        ) from error


def _package(point: EntryPoint) -> str:
    """What to install or uninstall: the distribution, or the module where it is in none."""
    return point.dist.name if point.dist is not None else point.module


@cache
def method_names() -> tuple[str, ...]:
    """Names of all methods: the files of ``semiseg/methods/``, then what installed packages add; nothing is imported.

    What methods share lies in sub-packages, so that a new file there is a new method and nothing else has to know it.
    """
    shipped = sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]) if not module.ispkg)
    return (*shipped, *(name for name in installed(METHODS) if name not in shipped))


def method_package(name: str) -> str | None:
    """The package that adds a method; None for those of ``semiseg/methods/``, and where none is installed."""
    return None if _is_shipped(name) or name not in installed(METHODS) else _package(installed(METHODS)[name])


def method_class(name: str) -> Any:
    """The class of a method, imported here, since a configuration needs its settings: ``METHOD`` of the file.

    Raises:
        SemisegError: an installed package brings it and cannot be imported, or names something else than a method.
    """
    if _is_shipped(name):
        return importlib.import_module(f"semiseg.methods.{name}").METHOD
    found = load(METHODS, name)
    if not (isinstance(found, type) and hasattr(found, "settings") and hasattr(found, "losses")):
        point = installed(METHODS)[name]
        raise SemisegError(
            f"the package {_package(point)} calls {point.value} a method, which is no class derived from Method; write "
            f'{name} = "module:Class" in its pyproject.toml, or uninstall it'
        )
    return found


def _is_shipped(name: str) -> bool:
    return (FOLDER / f"{name}.py").is_file()
