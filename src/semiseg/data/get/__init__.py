"""Public data sets fetched and arranged as folders, for a first run on real images."""

from semiseg.data.get.nuclei import Got, get_nuclei

__all__ = ["Got", "get_nuclei"]
