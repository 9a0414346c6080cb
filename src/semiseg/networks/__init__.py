"""Segmentation networks f_θ: DeepLabv2 and DeepLabv3+ on ResNet and other backbones (section 4.2)."""

from semiseg.networks.segmentation import Output, SegmentationNetwork, build_network

__all__ = ["Output", "SegmentationNetwork", "build_network"]
