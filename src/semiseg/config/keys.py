"""Keys of a configuration, such as ``training.seed``: their values, and which of them change no result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from semiseg.config.method import method_sections

DESCRIPTION = {"name", "title", "table", "paper_miou", "system", "needs"}
"""Words for people, which no run reads."""

# What may change between a run and its continuation without changing the result.
FREE_ON_RESUME = DESCRIPTION | {
    "run_dir", "data.root", "data.source.root", "data.workers", "data.cache", "data.shown", "training.device",
    "training.log_every", "training.checkpoint_every", "training.save_minutes", "training.tensorboard",
    "training.loggers", "training.validate_teacher",
}  # fmt: skip

MENDS_ON_RESUME = {"evaluation.mode", "evaluation.window", "evaluation.stride", "evaluation.batch_size"}
"""What else a continuation may change, since otherwise a run that cannot validate could not go on."""

MEASURED = "data.ranges"
"""What a run measures where it is not given, and writes into its own configuration."""


def leaf_fields(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Every leaf key of a model, e.g. ``training.seed``, with its pydantic field."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found.update(leaf_fields(inner, f"{prefix}{name}."))
        else:
            found[prefix + name] = field
    return found


def value_of(config: BaseModel, key: str) -> Any:
    """Value of a key such as ``training.seed``."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def used_fields(config: BaseModel, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``fields`` that this run reads: other methods' own sections are left out."""
    method = value_of(config, "method")
    others = tuple(f"method.{name}." for name in method_sections() if name != method.name)
    return {key: field for key, field in fields.items() if not key.startswith(others)}
