"""The four terms of eq. 1: weighted cross-entropy (eqs. 3, 4, 6), entropy (eq. 7), contrastive (eqs. 8-11).

And those of the compared methods: consistency (French et al., 2020), the verdict of a critic (Hung et al., 2018),
feature matching (Mittal et al., 2021), the dynamic weights of pseudo-labels (Feng et al., 2020 and 2022), and
cross-entropy with the sure ones of the pseudo-labels (Yang et al., 2023), InfoNCE by class and ReCo (Liu et al., 2022),
and divergence (Sun et al., 2024).
"""

from semiseg.losses.against_bank import contrast_against_bank
from semiseg.losses.consistency import consistency, valid_mean
from semiseg.losses.contrastive import (
    class_means,
    contrastive_loss,
    effective_share,
    lost_share,
    normalised_weights,
)
from semiseg.losses.cross_entropy import weighted_cross_entropy
from semiseg.losses.directional import directional_contrast
from semiseg.losses.divergence import kl_divergence
from semiseg.losses.dynamic import dynamic_weights, mutual_weights
from semiseg.losses.entropy import entropy
from semiseg.losses.feature_matching import feature_matching
from semiseg.losses.hard_pixels import hard_labels
from semiseg.losses.info_nce import drawn, info_nce
from semiseg.losses.quantile import valid_quantile
from semiseg.losses.regional_contrast import regional_contrast
from semiseg.losses.similar_keys import similar_keys
from semiseg.losses.unlabelled import unlabelled_cross_entropy
from semiseg.losses.unlikely import unlikely
from semiseg.losses.verdict import verdict

__all__ = [
    "class_means",
    "consistency",
    "contrast_against_bank",
    "contrastive_loss",
    "directional_contrast",
    "drawn",
    "dynamic_weights",
    "effective_share",
    "entropy",
    "feature_matching",
    "hard_labels",
    "info_nce",
    "kl_divergence",
    "lost_share",
    "mutual_weights",
    "normalised_weights",
    "regional_contrast",
    "similar_keys",
    "unlabelled_cross_entropy",
    "unlikely",
    "valid_mean",
    "valid_quantile",
    "verdict",
    "weighted_cross_entropy",
]
