"""The four terms of eq. 1: weighted cross-entropy (eqs. 3, 4, 6), entropy (eq. 7), contrastive (eqs. 8-11).

And those of the compared methods: consistency (French et al., 2020), InfoNCE by class and ReCo (Liu et al., 2022).
"""

from semiseg.losses.consistency import consistency, valid_mean
from semiseg.losses.contrastive import (
    class_means,
    contrastive_loss,
    effective_share,
    lost_share,
    normalised_weights,
)
from semiseg.losses.cross_entropy import weighted_cross_entropy
from semiseg.losses.entropy import entropy
from semiseg.losses.info_nce import drawn, info_nce
from semiseg.losses.quantile import valid_quantile
from semiseg.losses.regional_contrast import regional_contrast
from semiseg.losses.unlikely import unlikely

__all__ = [
    "class_means",
    "consistency",
    "contrastive_loss",
    "drawn",
    "effective_share",
    "entropy",
    "info_nce",
    "lost_share",
    "normalised_weights",
    "regional_contrast",
    "unlikely",
    "valid_mean",
    "valid_quantile",
    "weighted_cross_entropy",
]
