"""YAML and JSON that somebody else wrote: read without letting a few lines become gigabytes, or an endless loop."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

import yaml

MOST_YAML = 2**19
"""Bytes of a YAML file: reading takes a second or two for as many. Descriptions and configurations have a few kB."""
MOST_NODES = 100_000
"""Values of a YAML document, each counted as often as aliases repeat it."""


def read_yaml_file(path: Path) -> Any:
    """Content of a YAML file in UTF-8; None where it is empty.

    Raises:
        ValueError: it is none, or more than a description of anything; the message is one line.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if size > MOST_YAML:
        raise ValueError(f"{size} bytes; at most {MOST_YAML} are read")
    return parse_yaml(path.read_text(encoding="utf-8-sig"))


def parse_yaml(text: str) -> Any:
    """Value of YAML text. Aliases may repeat a part, but not each other until nothing could hold the result.

    Raises:
        ValueError: it is no YAML, it holds itself, or it is too deep or too large; the message is one line.
    """
    if len(text) > MOST_YAML:
        raise ValueError(f"{len(text)} characters; at most {MOST_YAML} are read")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > MOST_NODES:
            raise ValueError(f"aliases (*name) make more than {MOST_NODES} values of it")
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("brackets within brackets, too deep to be meant") from None
    except (TypeError, AttributeError, KeyError, OverflowError) as error:  # of tags such as !!timestamp or !!set
        raise ValueError(str(error)) from None


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Values that a node stands for, with every alias written out."""
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError("an alias (*name) stands inside what it names")
        return known[id(node)]
    known[id(node)] = 0  # under way
    count = 1
    if isinstance(node, yaml.SequenceNode):
        count += sum(_values(part, known) for part in node.value)
    elif isinstance(node, yaml.MappingNode):
        count += sum(_values(key, known) + _values(value, known) for key, value in node.value)
    known[id(node)] = count
    return count


def parse_json(text: str) -> Any:
    """Value of JSON text; NaN, infinity and numbers beyond a float are errors, as in the standard.

    Raises:
        ValueError: it is no JSON, or too deep.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("brackets within brackets, too deep to be meant") from None


def dump_json(value: Any, indent: int | None = None) -> str:
    """JSON text as the standard has it: numbers that are not finite are null."""
    return json.dumps(_without_nan(value), indent=indent, allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return [_without_nan(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _finite(word: str) -> float:
    value = float(word)
    return value if math.isfinite(value) else _no_number(word)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word[:40]} for a number")
