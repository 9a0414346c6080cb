"""What every section of a configuration is built of: the base class and the ranges of numbers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Side = Annotated[int, Field(ge=1, le=2**16)]
"""Pixels: longer sides are no image's."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Section(BaseModel):
    """Fields with their documentation below them; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", validate_default=True, use_attribute_docstrings=True)

    REFERENCE: ClassVar[dict[str, Any]] = {}
    """What ``method.profile=reference`` sets here, by key within the section (authors' code)."""

    READ_WITH: ClassVar[dict[str, tuple[str, tuple[Any, ...]]]] = {}
    """Fields that are read only while another field of the section has one of certain values; beside any other value a
    run says that they do nothing."""

    PAPER: ClassVar[dict[str, Any]] = {}
    """Of a method's section: what its own paper sets of what all methods share, by key below ``method.``, such as
    ``teacher.momentum_start``; filled in where the method is chosen under ``method.profile=paper``."""

    EQUAL: ClassVar[dict[str, Any]] = {}
    """What ``method.profile=equal`` sets here, by key within the section: what of a method stands for something that
    all methods share."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_other_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """Python counts with true and false; a file that says so means something else."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if _holds_truth_value(value) and not _takes_truth_value(kind):
            raise ValueError("true and false are no value of this key")
        if isinstance(value, str) and "\0" in value:
            raise ValueError("a zero byte is no text")
        return value


def _holds_truth_value(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, (list, tuple)) and any(map(_holds_truth_value, value)))


def _takes_truth_value(kind: Any) -> bool:
    return kind in (bool, Any) or any(map(_takes_truth_value, get_args(kind)))
