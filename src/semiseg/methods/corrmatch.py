"""CorrMatch (Sun et al., CVPR 2024): correlation maps carry pseudo-labels to pixels and regions that resemble them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from semiseg.config.read import Config
from semiseg.config.section import Count, NotNegative, Probability
from semiseg.data.base import IGNORE
from semiseg.losses import kl_divergence, unlabelled_cross_entropy, valid_mean
from semiseg.methods.base import ParameterGroup, Step, StepCost, Weights, probabilities
from semiseg.methods.unimatch import UniMatch, UniMatchPseudo, UniMatchSettings
from semiseg.networks import Output, SegmentationNetwork, upsample
from semiseg.networks.correlation import Correlation, cells_shown, propagate
from semiseg.networks.regions import region_labels
from semiseg.pseudo_labels import MovingThreshold
from semiseg.runtime.distributed import mean
from semiseg.runtime.flops import count_flops


class CorrMatchWeights(Weights):
    correlation: NotNegative = 1.0
    """Weight of the labelled crops' carried logits beside their own (public description: 1)."""


class CorrMatchPseudo(UniMatchPseudo):
    confidence_threshold: Probability = 0.85
    """Where the threshold of confidence begins, which then moves (public description: 0.85)."""
    threshold_momentum: Probability = 0.999
    """Share of the threshold that a step leaves as it was (public description: 0.999)."""
    strong: NotNegative = 0.25
    """Weight of the strong view within L_u (public description: ¼)."""
    soft: NotNegative = 0.25
    """Weight of the divergence of the strong view's distribution from the weak one's within L_u (likewise: ¼)."""
    features: NotNegative = 0.25
    """Weight of the perturbed features within L_u (likewise: ¼)."""
    correlation: NotNegative = 0.25
    """Weight of the carried logits within L_u (likewise: ¼)."""
    regions: Count = 128
    """Correlation maps a crop that are looked at for regions (public description: 128)."""


class CorrMatchSettings(UniMatchSettings):
    weights: CorrMatchWeights = CorrMatchWeights()
    pseudo: CorrMatchPseudo = CorrMatchPseudo()


class CorrMatch(UniMatch):
    """L = (λ_sup (L_sup + λ_c L_sup,c) / (1 + λ_c) + λ_pseudo L_u) / (λ_sup + λ_pseudo), with
    L_u = (L_s + L_kl + L_fp + L_c) / 4.

    Logits are carried to each position from those whose features it resembles (``networks/correlation.py``): L_sup,c
    learns from labels, L_c from pseudo-labels, and no gradient reaches what is carried. Regions of the maps whose
    pixels mostly agree take one label altogether (``networks/regions.py``), which L_s and L_fp learn from. L_kl is
    KL(p_weak ‖ p_strong), the weak distribution mixed as the strong view is. A pixel counts above a threshold that
    follows the mean of the highest confidence of each class that is there. Other words are UniMatch's.

    Not as in the public code: C is the data's; padding is a place to carry neither from nor to. Not verified: that L_c
    keeps the labels without regions, of which pixels a region's shares are (all), which of several regions a pixel
    takes (the most unanimous), and over which positions the softmax runs (so that carried logits are means). What
    correlates learns at ``training.lr_multipliers.heads``. A bank beside it contrasts the backbone's last map,
    which it shows, whatever ``method.bank.tap`` says.
    """

    settings = CorrMatchSettings
    further_rates = ("heads",)
    terms: ClassVar[tuple[str, ...]] = (
        "supervised", "supervised_correlation", "strong", "soft", "features", "correlation"
    )  # fmt: skip
    watched: ClassVar[tuple[str, ...]] = ("confident", "threshold", "in_regions")
    strong_views = 1

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        student.tap = "backbone"  # its last map stands beside the logits
        super().__init__(config, student, labelled)
        self.correlation = Correlation(student.feature_dim)
        pseudo = self.options.pseudo
        self.threshold = MovingThreshold(pseudo.confidence_threshold, pseudo.threshold_momentum)

    def losses(self, step: Step) -> dict[str, Tensor]:
        pseudo, weights = self.options.pseudo, self.options.weights
        view = self.labelled_view(step)
        x_l, y_l = view.images, view.labels
        x_u, inside = self.views.geometry(step)
        weak, perturbed = self.decoded_twice(step, x_u)
        p_w = probabilities(weak.logits.detach(), x_u.shape[-2:])
        confidence, y_u = p_w.max(dim=1)
        y_u = y_u.where(inside, IGNORE)
        threshold = self.threshold(y_u, confidence, self.num_classes)
        beta = (confidence >= threshold).to(confidence.dtype)
        size = weak.features.shape[-2], weak.features.shape[-1]
        alike, carried = self.carried(step, weak, cells_shown(inside, size))
        y_r, in_region = region_labels(alike, y_u, beta, threshold, size, self.num_classes, step.draws, pseudo.regions)
        beta_r = torch.maximum(beta, in_region.to(beta))

        student, logits_s, mixed = self.on_views(step, x_l, x_u, y_r, beta_r, p_w, beta)
        output_l = student.part(slice(len(x_l)))
        y_s, beta_s, p_s, sure_s = mixed
        _, carried_l = self.carried(step, output_l, torch.ones_like(output_l.features[:, 0], dtype=torch.bool))
        terms = {
            "supervised": self.supervised(output_l.logits, y_l, step.iteration),
            "supervised_correlation": self.supervised(carried_l, y_l, step.iteration),
            "strong": unlabelled_cross_entropy(logits_s, y_s, beta_s),
            "soft": kl_divergence(logits_s, p_s, sure_s, y_s != IGNORE),
            "features": unlabelled_cross_entropy(perturbed, y_r, beta_r),
            "correlation": unlabelled_cross_entropy(upsample(carried, y_u.shape[-2:]), y_u, beta),
        }
        labelled = terms["supervised"] + weights.correlation * terms["supervised_correlation"]
        parts = [getattr(pseudo, name) * terms[name] for name in ("strong", "soft", "features", "correlation")]
        share = self.pseudo_weight(step.iteration)
        loss = weights.supervised * labelled / (1 + weights.correlation) + share * torch.stack(parts).sum()
        shares = {"confident": mean(valid_mean(beta, inside)), "in_regions": mean(valid_mean(in_region, inside))}
        terms |= {"loss": loss / max(weights.supervised + share, 1e-12), **shares, "threshold": threshold}
        return self.with_bank(step, view, student, y_s.where(beta_s > 0, IGNORE), terms)

    def carried(self, step: Step, output: Output, shown: Tensor) -> tuple[Tensor, Tensor]:
        """The correlation (B, N, N) of what the student gave, and its logits carried along (B, C, h, w)."""
        features = output.features
        correlation = self.correlation(features, shown, step.draws if self.training else None)
        return correlation, propagate(correlation, upsample(output.logits, features.shape[-2:]))

    def groups(self) -> list[ParameterGroup]:
        parameters, rate = list(self.correlation.parameters()), self.training_config.lr_multipliers.heads
        return [*super().groups(), ParameterGroup("correlation", parameters, rate)]

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        """What UniMatch's costs, with one strong view, and the correlation of the weak view and the labelled crops."""
        step = super().cost(labelled, unlabelled)

        def correlate(output: Output) -> Tensor:
            features = output.features
            shown = torch.ones_like(features[:, 0], dtype=torch.bool)
            return propagate(self.correlation(features, shown), upsample(output.logits, features.shape[-2:]))

        return step._replace(
            modules={"correlation": self.correlation},
            flops=lambda output, size: {"correlation": 2 * count_flops(lambda: correlate(output))},
            losses=lambda output, size: (
                step.losses(output, size) + correlate(output.part(slice(labelled + unlabelled))).sum()
            ),
        )


METHOD = CorrMatch
