"""What files beside the images say of the classes: our ``dataset.yaml``, or what other tools leave."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from semiseg.data.base import IGNORE
from semiseg.data.colour_table import read_colours
from semiseg.data.datasets.description import Description, class_names, read_description
from semiseg.data.layouts.words import splits
from semiseg.errors import SemisegError
from semiseg.runtime.documents import parse_json, read_yaml_file

Reader = Callable[[Path], Description]


def describe(root: Path) -> tuple[Description, Path | None]:
    """The description of a folder, and the file that names its classes; None where none does.

    ``dataset.yaml`` comes first. Where it names no classes, those of ultralytics' ``data.yaml``, Roboflow's
    ``_classes.csv``, CVAT's ``labelmap.txt`` or nnU-Net's ``dataset.json`` count.

    Raises:
        SemisegError: such a file makes no sense.
    """
    said = read_description(root / "dataset.yaml")
    if said.classes or said.colours:
        return said, root / "dataset.yaml"
    for name, reader in READERS.items():
        path = next((place / name for place in (root, *splits(root).values()) if (place / name).is_file()), None)
        if path is None:
            continue
        found = reader(path)
        if found.classes:
            return replace(said, classes=found.classes, ids=found.ids, colours=found.colours,
                           ignored=(*said.ignored, *found.ignored)), path  # fmt: skip
    return said, None


def _of_ultralytics(path: Path) -> Description:
    try:
        given: Any = read_yaml_file(path)
    except ValueError as error:
        raise SemisegError(f"{path} is not YAML ({error}); correct it") from None
    if not isinstance(given, dict) or not given.get("names"):
        return Description()
    classes, ids = class_names(given["names"], path)
    return Description(classes=classes, ids=ids)


def _of_roboflow(path: Path) -> Description:
    rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines(), skipinitialspace=True))
    found = {int(row[0]): row[1].strip() for row in rows if len(row) > 1 and row[0].strip().isdecimal()}
    if len(found) < 2:
        return Description()
    classes, ids = class_names(found, path)
    return Description(classes=classes, ids=ids)


def _of_cvat(path: Path) -> Description:
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    if not any(re.fullmatch(r".+:\d+,\d+,\d+:.*", line) for line in lines):
        return Description()
    colours = read_colours(path)
    classes, _ = class_names(list(colours), path)
    return Description(classes=classes, colours=tuple(colours.values()))


def _of_nnunet(path: Path) -> Description:
    try:
        given = parse_json(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return Description()
    labels = given.get("labels") if isinstance(given, dict) else None
    if not isinstance(labels, dict):
        return Description()
    if all(str(key).isdecimal() for key in labels):  # nnU-Net's first version: "1": "tumour"
        labels = {name: int(key) for key, name in labels.items()}
    known = {name: value for name, value in labels.items() if type(value) is int and name != "ignore"}
    ignored = labels.get("ignore")
    if len(known) < 2:
        return Description()
    classes, ids = class_names(known, path)
    return Description(classes=classes, ids=ids,
                       ignored=(ignored,) if type(ignored) is int and ignored != IGNORE else ())  # fmt: skip


READERS: dict[str, Reader] = {
    "data.yaml": _of_ultralytics,
    "_classes.csv": _of_roboflow,
    "labelmap.txt": _of_cvat,
    "dataset.json": _of_nnunet,
}
