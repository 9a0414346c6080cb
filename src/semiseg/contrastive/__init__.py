"""The contrastive module of section 3.4, for any training loop: its parts, its settings and what it costs."""

from semiseg.contrastive.config import ContrastiveConfig
from semiseg.contrastive.module import ContrastiveModule, downsample_labels, rows

__all__ = ["ContrastiveConfig", "ContrastiveModule", "downsample_labels", "rows"]
