"""Predictions as pre-annotations: files that annotation tools import as they are."""

from semiseg.prediction.tools.write import TOOLS, Wanted, check_tool, convert_words, write_predicted

__all__ = ["TOOLS", "Wanted", "check_tool", "convert_words", "write_predicted"]
