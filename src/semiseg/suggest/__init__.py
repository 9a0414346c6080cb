"""Which images to label next: ranked, chosen so that they differ, and written down for the annotation tool."""

from semiseg.suggest.ranking import By, Suggestion, suggest

__all__ = ["By", "Suggestion", "suggest"]
