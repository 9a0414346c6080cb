"""Patch-wise contrastive adaptation (Liu et al. 2021, arXiv 2104.11056): patches of one layout meet across domains."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from semiseg.config.section import Count, NotNegative, Positive, Probability, Section
from semiseg.contrastive.maps import downsample_labels
from semiseg.data.base import IGNORE
from semiseg.losses import valid_mean
from semiseg.losses.layout import contrast_of_alike, layouts
from semiseg.methods.base import Method, Needs, Step, StepCost
from semiseg.methods.base.domains import labels_of_domains
from semiseg.methods.base.projected import Projected
from semiseg.pseudo_labels import pseudo_labels
from semiseg.runtime.distributed import mean

LEAST_KNOWN = 0.5  # share of a patch's pixels whose class is known, below which it has no layout


class PatchContrastWeights(Section):
    supervised: NotNegative = 1.0
    """λ_sup, of the labelled crops of both domains (not verified)."""
    contrastive: NotNegative = 0.1
    """λ_contr (not verified)."""


class Patches(Section):
    patch: Count = 64
    """Side of a patch in pixels; crops are divided into the nearest whole number of patches (not verified)."""
    levels: Annotated[int, Field(ge=1, le=6)] = 3
    """Levels of the pyramid: 3 compare patches, their quarters and their sixteenths (not verified)."""
    alike: Probability = 0.25
    """Layouts no further apart than this are alike; 0: the same, 1: nothing in common (not verified)."""
    confidence_threshold: Probability = 0.9
    """Least confidence of a pseudo-label; pixels below are unknown (not verified)."""
    temperature: Positive = 0.1
    """T (not verified)."""
    dim: Count = 128
    """Width of the projected features (not verified)."""


class PatchContrastSettings(Section):
    weights: PatchContrastWeights = PatchContrastWeights()
    contrastive: Patches = Patches()


class PatchContrast(Projected):
    """L = L_sup + λ_contr · ½ Σ_{(a, k)} -log(Σ_{k alike a} e^(cos(z_a, z_k)/T) / Σ_k e^(cos(z_a, z_k)/T)).

    Patches a of the target and k of the source, then the other way round. They are alike where histograms of their
    classes, of the whole and of its parts, are (``losses/layout.py``): arrangement counts, not content alone. z is the
    projected mean of the features in a patch. True labels tell the layout of labelled crops; of unlabelled ones the
    teacher's do, where it is sure. A patch of which less than half is known takes no part. The term rests during the
    warm-up, when pseudo-labels are noise.

    Only abstract and introduction of the paper were at hand: the pyramid of histograms, patches of both domains and the
    contrast across them are its; every number here, and a teacher as the source of pseudo-labels, is our choice. Each
    process compares its own patches. Without ``data.source`` the labelled crops stand for the source.
    """

    settings = PatchContrastSettings
    needs = Needs(context=True)
    terms = ("supervised", "contrastive")
    watched = ("confident", "alike")

    def losses(self, step: Step) -> dict[str, Tensor]:
        weights, view = self.options.weights, self.labelled_view(step)
        x_u, inside = self.views.geometry(step)
        y_u, confidence = pseudo_labels(self.teacher_logits(x_u))
        sure = inside & (confidence >= self.options.contrastive.confidence_threshold)
        output = self.pass_student(view.images, x_u)
        logits_l, labelled = output.logits[: len(view.images)], output.features[: len(view.images)]
        supervised = self.supervised(logits_l, view.labels, step.iteration)

        y_s, y_t = labels_of_domains(step.labelled, view)
        labels = torch.cat([y_s, y_t, y_u.where(sure, IGNORE)])
        shown = torch.cat([y_s != IGNORE, y_t != IGNORE, inside])
        contrastive, alike = self.contrastive(torch.cat([labelled, output.features]), labels, shown, len(y_s))
        contrastive = contrastive * (step.iteration >= self.warmup)
        loss = weights.supervised * supervised + weights.contrastive * contrastive
        confident = mean(valid_mean(sure, inside))
        return {
            "loss": loss, "supervised": supervised, "contrastive": contrastive, "confident": confident, "alike": alike,
        }  # fmt: skip

    def contrastive(self, features: Tensor, labels: Tensor, shown: Tensor, source: int) -> tuple[Tensor, Tensor]:
        """L_contr and the share of pairs that are alike.

        Args:
            features: (B, D, h, w), the ``source`` ones first, then the target's.
            labels: (B, H, W) int64, 255 where unknown.
            shown: (B, H, W) bool: pixels of the domain, of whatever class; the others have no part in a feature.
            source: how many of them are of the source.
        """
        o = self.options.contrastive
        grid = max(1, round(labels.shape[-2] / o.patch)), max(1, round(labels.shape[-1] / o.patch))
        histograms, known = layouts(labels, self.num_classes, grid, o.levels)
        valid = known >= LEAST_KNOWN
        z = self.vectors(patch_means(features, shown, grid), valid)
        first = source * grid[0] * grid[1]
        alike = torch.cdist(histograms[first:], histograms[:first], p=1) <= o.alike
        compared = valid[first:, None] & valid[:first]
        pairs = mean(torch.stack([(alike & compared).sum(), compared.sum()]).to(z.dtype))
        there = contrast_of_alike(z[first:], z[:first], alike, compared, o.temperature)
        back = contrast_of_alike(z[:first], z[first:], alike.T, compared.T, o.temperature)
        return (there + back) / 2, pairs[0] / pairs[1].clamp_min(1e-12)

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        return Method.cost(self, labelled, unlabelled)


def patch_means(features: Tensor, shown: Tensor, grid: tuple[int, int]) -> Tensor:
    """Features (B, D, h, w) averaged over the ``shown`` (B, H, W) pixels of each patch, (B, D, *grid); 0 without."""
    where = downsample_labels(shown, features.shape[-2:])[:, None].to(features.dtype)
    share = F.adaptive_avg_pool2d(where, grid)
    return F.adaptive_avg_pool2d(features * where, grid) / share.clamp_min(1e-6)


METHOD = PatchContrast
