"""Backbones: an image to a list of feature maps, each with its channels and stride."""
