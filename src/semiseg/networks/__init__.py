"""Segmentation networks f_θ: DeepLabv2 and DeepLabv3+ on ResNet and other backbones (section 4.2)."""

from semiseg.networks.build import build_network
from semiseg.networks.output import Output, upsample
from semiseg.networks.segmentation import SegmentationNetwork

__all__ = ["Output", "SegmentationNetwork", "build_network", "upsample"]
