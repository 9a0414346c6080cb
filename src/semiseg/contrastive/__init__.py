"""The contrastive module of section 3.4, for any training loop: its parts, its settings and what it costs."""

from semiseg.config.contrastive import ContrastiveConfig
from semiseg.contrastive.maps import downsample_labels, rows
from semiseg.contrastive.module import ContrastiveModule
from semiseg.contrastive.quality import admitted_labels, quality_quantile_filter

__all__ = [
    "ContrastiveConfig",
    "ContrastiveModule",
    "admitted_labels",
    "downsample_labels",
    "quality_quantile_filter",
    "rows",
]
