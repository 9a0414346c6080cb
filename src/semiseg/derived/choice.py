"""What a rule gives, and what a row of the table says."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

GIVEN = "given"


class Choice(NamedTuple):
    """A value and, in words, why it is that."""

    value: Any
    reason: str


class Row(NamedTuple):
    """A setting, its value and the reason; the value is one of the configuration, or of JSON once stored."""

    setting: str
    value: Any
    reason: str

    @property
    def text(self) -> str:
        """The value as it is typed behind ``section.key=``."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value)
