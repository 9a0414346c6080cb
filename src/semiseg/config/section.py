"""What every section of a configuration is built of: the base class and the ranges of numbers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Fields with their documentation below them; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", validate_default=True, use_attribute_docstrings=True)

    REFERENCE: ClassVar[dict[str, Any]] = {}
    """What ``method.profile=reference`` sets here, by key within the section (authors' code)."""
