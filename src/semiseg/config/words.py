"""``section.key=value`` words: what they set, and how their values are read."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import NoneType
from typing import Any, get_args

from semiseg.config.nested import set_key
from semiseg.config.other_tools import answer
from semiseg.config.shorthand import allows_none, short_keys
from semiseg.errors import did_you_mean, value_shown
from semiseg.runtime.documents import parse_yaml

SLIP = 0.85
"""Likeness from which on a key is a known one with a slip of the finger, rather than what another tool calls it."""


def apply_word(values: dict[str, Any], word: str, fields: Mapping[str, Any]) -> str | None:
    """Set in ``values`` what ``section.key=value`` says, or say what is wrong with the word; ``fields`` by key."""
    key, equals, text = word.partition("=")
    if not equals:
        return f"{value_shown(word)} is not section.key=value; write e.g. training.iterations=1000"
    short = short_keys()
    valid = [*fields, *short]
    if key not in valid and not key.startswith("data.options."):
        return unknown_key(key, valid, text)
    try:
        value = _value(fields.get(key), text) if text else None
        for complete_key in short.get(key, [key]):
            if key not in short or value is not None or allows_none(complete_key):
                set_key(values, complete_key, value)
    except ValueError:
        return f"{value_shown(word)}: the value is not valid YAML; close its brackets, or put quotes around text"
    return None


def unknown_key(key: str, valid: list[str], value: str = "") -> str:
    """What is said of a key that does not exist: the one it is a slip of, or what it is called here."""
    slip = did_you_mean(key, valid, SLIP)
    told = None if slip else answer(key, value)
    hint = f"; {told}" if told else slip or did_you_mean(key, valid) or "; `semiseg settings` lists them"
    return f"unknown key {value_shown(key)}{hint}"


def _value(field: Any, text: str) -> Any:
    """The value that a word gives to a field; None stands for a short key.

    Where it can be nothing but text, such as a path, it is taken as it is written: in YAML ``photos #2`` is ``photos``,
    and ``2024`` a number. Text in quotes may have been written for YAML.

    Raises:
        ValueError: it is not valid YAML.
    """
    kinds = set() if field is None else set(get_args(field.annotation) or [field.annotation])
    if field is None or not kinds <= {str, NoneType}:
        return parse_yaml(text)
    if text in ("null", "~") and NoneType in kinds:
        return None
    if text[0] in "'\"":
        with suppress(ValueError):
            if isinstance(value := parse_yaml(text), str):
                return value
    return text.strip()
