"""Decoders: feature maps of a backbone to the features V that a classifier reads."""
