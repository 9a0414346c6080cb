"""Configuration of a run: read, changed, checked and written. Its fields are defined in a file a section beside it.

A configuration is read from a YAML file or a preset, changed by ``section.key=value`` words and checked as a whole,
so that every mistake is reported at once. ``method.profile`` fills in what is not set by hand: what the chosen method's
paper does, the same for all methods, or the authors' code's side of the table in docs/equations.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import ValidationError, create_model, model_validator

from semiseg.config.data import DataConfig, is_permutation
from semiseg.config.evaluation import EvaluationConfig
from semiseg.config.keys import leaf_fields
from semiseg.config.method import MethodConfig, complete
from semiseg.config.nested import set_key
from semiseg.config.network import NetworkConfig
from semiseg.config.other_tools import answer
from semiseg.config.profiles import filled_in
from semiseg.config.section import Section
from semiseg.config.shorthand import short_keys, spread
from semiseg.config.training import TrainingConfig
from semiseg.config.words import apply_word, unknown_key
from semiseg.errors import UsageError, did_you_mean, value_shown
from semiseg.runtime.files import write_text

__all__ = ["Config", "fields", "is_folder"]


MOST = 20
"""Mistakes of a configuration that are told at once."""


class Config(Section):
    """A whole run. ``Config.load("toy_streets", ["training.seed=1"])`` reads a preset and changes it."""

    name: str = "custom"
    """Name shown in reports."""
    title: str = ""
    """One line about what the preset does."""
    table: str | None = None
    """Table of the paper that the preset belongs to."""
    paper_miou: float | None = None
    """The paper's figure in percent, if it has one."""
    system: str = ""
    """Whose figure that is, where not the paper's own method's."""
    needs: str = ""
    """Data that the preset needs."""
    run_dir: str = "runs/run"
    """Folder of the run; must be empty or resumed. Not given: runs/NAME, or the next free of runs/NAME-2, -3, …"""
    data: DataConfig = DataConfig()
    network: NetworkConfig = NetworkConfig()
    method: MethodConfig = MethodConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    def __new__(cls, *args: Any, **values: Any) -> Config:
        """Always of the complete class, which has the sections of all installed methods."""
        return super().__new__(_complete() if cls is Config else cls)

    def __reduce__(self) -> Any:
        return Config.parse, (self.model_dump(mode="json"),)  # the complete class is made when it is needed

    @model_validator(mode="before")
    @classmethod
    def _complete_keys(cls, values: Any) -> Any:
        """Short keys reach their methods; what the profile says is filled in below what is given by hand."""
        method = values.get("method") if isinstance(values, dict) else None
        if not isinstance(method, dict):
            return values
        values = _copy(values)
        spread(values["method"])
        for key, value in filled_in(values["method"]).items():
            set_key(values, key, value, overwrite=False)
        return values

    @model_validator(mode="after")
    def _cross_checks(self) -> Config:
        problems = []
        if self.training.precision == "fp16" and self.training.device == "cpu":
            problems.append("training.precision: fp16 is for GPUs; use fp32 or bf16 on a CPU")
        if self.method.teacher.momentum_end < self.method.teacher.momentum_start:
            problems.append("method.teacher.momentum_end must not be below momentum_start (section 4.2: 0.995 to 1)")
        if problem := _list_problem(self.data):
            problems.append(problem)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def window(self) -> tuple[int, int]:
        """(height, width) in pixels of the window of ``evaluation.mode=sliding``: the training crop unless set."""
        return self.evaluation.window or self.data.crop_size

    @classmethod
    def load(cls, source: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Config:
        """Read a preset name or a YAML file and apply ``section.key=value`` words.

        A folder stands for the preset ``folder`` with that folder as ``data.root``; ``semiseg.derived`` fits its
        settings to the images.

        Raises:
            UsageError: nothing of that name, an unknown key (the nearest is suggested) or values out of range.
        """
        return cls.parse(_read(source), overrides, str(source))

    @classmethod
    def parse(cls, values: dict[str, Any], overrides: list[str] | tuple[str, ...] = (), source: str = "") -> Config:
        """Check plain ``values`` with ``overrides`` applied; every mistake in one message."""
        values = _copy(values)
        if isinstance(values.get("method"), dict):
            spread(values["method"])  # ``bank: true`` makes room for words about the bank
        problems = [problem for word in overrides if (problem := apply_word(values, word, fields()))]
        try:
            config: Config = _complete().model_validate(values)
        except ValidationError as error:
            problems.append(_one_line(error, source))
        if problems:
            raise UsageError("; ".join(problems))
        return config

    def save(self, path: Path) -> None:
        """Write the complete configuration as YAML, readable by :meth:`load`."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_text(path, text)


@cache
def _complete() -> type[Config]:
    """``Config`` whose ``method`` has a section for every installed method."""
    method = complete()
    return create_model("Config", __base__=Config, __module__=__name__, method=(method, method()))


def fields() -> Mapping[str, Any]:
    """Every leaf key, e.g. ``training.seed``, with its pydantic field: for errors and the documentation."""
    return _fields(_complete())


@cache
def _fields(config: type[Config]) -> Mapping[str, Any]:
    return MappingProxyType(leaf_fields(config))


def is_folder(source: str | Path) -> bool:
    """Whether :meth:`Config.load` takes ``source`` for a folder of images, rather than a preset or a file."""
    from semiseg.presets import preset_names

    path = Path(source)
    return path.suffix not in (".yaml", ".yml") and str(source) not in preset_names() and path.is_dir()


def _read(source: str | Path) -> dict[str, Any]:
    from semiseg.presets import merged, preset_names, preset_path, read_yaml

    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        if str(source) in preset_names():  # before folders, which may well be called camvid
            return {"name": str(source)} | read_yaml(preset_path(str(source)))
        if is_folder(source):
            return merged(_read("folder"), {"data": {"root": str(source)}})
        key, equals, value = str(source).partition("=")
        told = answer(key, value) if equals else None
        if told is not None:
            raise UsageError(f"{value_shown(str(source))} is no preset and no folder; {told}")
        hint = did_you_mean(str(source), preset_names())
        raise UsageError(
            f"no preset {value_shown(str(source))}{hint}, no such folder; `semiseg presets` lists them, a file must "
            "end in .yaml"
        )
    if not path.is_file():
        raise UsageError(f"no file {path}; give a preset name or a YAML file")
    return read_yaml(path)


def _copy(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in values.items()}


def _list_problem(data: DataConfig) -> str | None:
    """What is wrong with ``labelled`` beside ``labelled_list``, if anything."""
    if not data.labelled_list:
        return None
    if not is_permutation(data.labelled_list):
        exclude = "data.labelled and data.labelled_list exclude each other; give one of them"
        return exclude if data.labelled != "all" else None
    if data.labelled == "all":
        return "data.labelled_list is a permutation of all images; say how many stay labelled, e.g. data.labelled=1/30"
    return None


def _one_line(error: ValidationError, source: str) -> str:
    found: dict[str, list[str]] = {}  # by what is wrong: one mistake under a short key is told once
    valid = list(fields())
    for problem in error.errors():
        # Union members ("int", "tuple") are part of pydantic's location but mean nothing to a user.
        key = ".".join(str(part) for part in problem["loc"] if str(part).isidentifier())
        key = next((k for k in sorted(valid, key=len, reverse=True) if key == k or key.startswith(k + ".")), key)
        if problem["type"] == "extra_forbidden":
            for unknown in _leaves(key, problem["input"]):
                found.setdefault(unknown_key(unknown, [*valid, *short_keys()]), [""])
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = (
                f" (given {value_shown(problem['input'])})" if key and not isinstance(problem["input"], dict) else ""
            )
            found.setdefault(message + given, []).append(key)
    parts = []
    for message, keys in found.items():
        for short, stands_for in short_keys().items():
            if len(stands_for) > 1 and set(stands_for) <= set(keys):
                keys = [short, *(key for key in keys if key not in stands_for)]
        parts += [f"{key}: {message}" if key else message for key in dict.fromkeys(keys)]
    more = [f"and {len(parts) - MOST} more"] if len(parts) > MOST else []
    return (f"{source}: " if source else "") + "; ".join([*parts[:MOST], *more])


def _leaves(key: str, value: Any) -> list[str]:
    """The keys inside an unknown section; the key itself where it is none."""
    if not isinstance(value, dict) or not value:
        return [key]
    return [leaf for name, inner in value.items() for leaf in _leaves(f"{key}.{name}", inner)]
