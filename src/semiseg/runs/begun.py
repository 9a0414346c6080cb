"""The data of a run that has begun: the validation images of a flat folder stay those that it began with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from semiseg.config.data import DataConfig, SourceConfig
from semiseg.data.datasets.folder import PERMUTATION
from semiseg.data.layouts.places import is_divided
from semiseg.data.run_data import open_split, source_config
from semiseg.data.splits.lists import ANY_NAME

VALIDATION, SOURCE = "validation images", "images of the source domain"
Facts = dict[str, list[Any]]
"""Of a checkpoint, by kind of images: how many there were, and the digest of their names."""


def names_digest(names: Sequence[str]) -> str:
    """Digest of names in their order."""
    return hashlib.sha256("\n".join(names).encode(errors=ANY_NAME)).hexdigest()


def data_as_begun(config: DataConfig, facts: Facts | None) -> DataConfig:
    """The data settings that give the images a run began with, where its folder was divided by an earlier rule.

    Args:
        config: as configured.
        facts: the checkpoint's; empty for those of versions that stored none, None where nothing has begun.
    """
    if facts is None:
        return config
    if _is_drawn(config) and _began_otherwise(facts, VALIDATION, lambda: open_split(config, "val").names,
                                             lambda: open_split(_formerly(config), "val").names):  # fmt: skip
        config = _formerly(config)
    source = config.source
    if _is_drawn(source) and _began_otherwise(facts, SOURCE, lambda: open_split(source_config(config), "train").names,
                                             lambda: open_split(_formerly(source), "train").names):  # fmt: skip
        config = config.model_copy(update={"source": _formerly(source)})
    return config


Part = TypeVar("Part", DataConfig, SourceConfig)
Names = Callable[[], Sequence[str]]


def _is_drawn(part: DataConfig | SourceConfig) -> bool:
    """Whether the rule of this version would choose the validation images."""
    folder = part.dataset == "folder" and part.root is not None
    return folder and "validation" not in part.options and not is_divided(Path(str(part.root)))


def _formerly(part: Part) -> Part:
    return part.model_copy(update={"options": part.options | {"validation": PERMUTATION}})


def _began_otherwise(facts: Facts, kind: str, now: Names, formerly: Names) -> bool:
    if kind not in facts:
        return not facts
    return names_digest(now()) != facts[kind][1] and names_digest(formerly()) == facts[kind][1]


def trained_on(run_dir: Path, names: Sequence[str]) -> list[str]:
    """Those of ``names`` that a run had the masks of, by its ``labelled.txt``; none where there is no such file."""
    path = run_dir / "labelled.txt"
    known = set(path.read_text(encoding="utf-8", errors=ANY_NAME).splitlines()) if path.is_file() else set()
    return [name for name in names if name in known]
