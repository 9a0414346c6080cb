"""What a comparison under ``--profile paper`` gives each method on top of what all of its runs share."""

from __future__ import annotations

import json
from typing import Any

from semiseg.config.keys import used_fields, value_of
from semiseg.config.read import Config, fields
from semiseg.errors import UsageError

PROFILES = ("equal", "paper")


def recipe(source: str, method: str, words: list[str]) -> list[str]:
    """The words by which a method's own paper differs from what all methods share; those given by hand stay.

    Raises:
        UsageError: the settings follow the authors' code, which is no method's paper.
    """
    equal, paper = (Config.load(source, [*words, f"method.name={method}", f"method.profile={p}"]) for p in PROFILES)
    if Config.load(source, words).method.profile == "reference":
        raise UsageError("method.profile=reference and --profile paper exclude each other; leave one of them out")
    keys = [key for key in used_fields(paper, fields()) if value_of(paper, key) != value_of(equal, key)]
    rest = [key for key in keys if key != "method.profile"]
    return ["method.profile=paper", *(f"{key}={_word(value_of(paper, key))}" for key in rest)]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
