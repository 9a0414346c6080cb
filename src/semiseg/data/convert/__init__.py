"""Exports of annotation tools turned into the layout that :mod:`semiseg.data.folder` reads."""

from .run import FORMATS, Converted, convert

__all__ = ["FORMATS", "Converted", "convert"]
