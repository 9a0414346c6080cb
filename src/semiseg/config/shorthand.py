"""Keys without a method's name: ``method.weights.pseudo`` stands for it in every method that has ``weights.pseudo``.

So one word sets the same thing for all methods of a comparison, and files written before each method had a section of
its own say what they always said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from semiseg.config.keys import leaf_fields
from semiseg.config.method import MethodConfig, method_sections
from semiseg.config.nested import set_key

PREFIX = "method."
BANK = "method.bank"  # true or false for its whole section


def short_keys() -> dict[str, list[str]]:
    """Every short key, ``method.weights.pseudo`` for one, with the complete keys that it stands for."""
    shared = leaf_fields(MethodConfig)
    found: dict[str, list[str]] = {BANK: [f"{BANK}.enabled"]}
    for name, section in method_sections().items():
        for path in leaf_fields(section):
            if path not in shared:
                found.setdefault(PREFIX + path, []).append(f"{PREFIX}{name}.{path}")
    return found


def allows_none(key: str) -> bool:
    """Whether None is a value of a method's complete key; where it is not, it stands for "the usual"."""
    name, _, path = key.removeprefix(PREFIX).partition(".")
    return name in method_sections() and leaf_fields(method_sections()[name])[path].default is None


def spread(method: dict[str, Any]) -> None:
    """Move the short keys of ``method``, in place, to every method that has them; complete keys go before short ones.

    None is left out where a method has a default that is no None: files of earlier versions hold it for "the usual".
    """
    stands_for = short_keys()
    for path, holder, last in list(_leaves(method)):
        if PREFIX + path not in stands_for:
            continue  # shared, or unknown, which the check of the whole configuration names
        value = holder.pop(last)
        for key in stands_for[PREFIX + path]:
            if value is not None or allows_none(key):
                set_key(method, key.removeprefix(PREFIX), value, overwrite=False)
    for section in [key for key, value in method.items() if value == {}]:
        del method[section]


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any], str]]:
    """Path of every leaf, the dict that holds it and its last word; methods' own sections are passed over."""
    for key, value in values.items():
        if isinstance(value, dict) and not (prefix == "" and key in method_sections()):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + str(key), values, key
