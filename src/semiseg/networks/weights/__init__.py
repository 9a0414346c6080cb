"""Weights that others publish: files, downloads, and how their names map to ours."""
