"""Exports of annotation tools turned into the layout that :mod:`semiseg.data.datasets.folder` reads."""

from semiseg.data.convert.run import FORMATS, Converted, convert

__all__ = ["FORMATS", "Converted", "convert"]
