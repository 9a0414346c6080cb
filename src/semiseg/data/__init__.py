"""Images and masks: data sets, splits, checks, and the crops that training takes from them."""

from semiseg.data.base import DatasetInfo, ImageSet

__all__ = ["DatasetInfo", "ImageSet"]
