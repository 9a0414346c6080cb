"""Configuration of a run: its sections, how it is read and changed, and the table of all keys."""

from semiseg.config.read import Config, fields, suggest, value_of

__all__ = ["Config", "fields", "suggest", "value_of"]
