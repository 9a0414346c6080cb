"""Configuration of a run: its sections, how it is read and changed, and the table of all keys."""

from semiseg.config.keys import value_of
from semiseg.config.read import Config, fields

__all__ = ["Config", "fields", "value_of"]
