"""Settings of the contrastive module: ψ, φ, widths, the switches of Table 8 and of the authors' code."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from semiseg.config.section import Count, NotNegative, Positive, Probability, Section


class ContrastiveConfig(Section):
    bank_size: Count = 256
    """ψ, vectors per class (section 4.2, Table 7)."""
    dim: Count = 256
    """Width of heads and attention networks (section 4.2)."""
    quality_threshold: Probability = 0.95
    """φ of the feature quality filter (section 4.2)."""
    quality_filter: bool = True
    """Feature quality filter before the bank (Table 8: FQF)."""
    quality_rule: Literal["threshold", "quantile", "right", "labelled", "confident"] = "threshold"
    """What passes the filter: right pixels above φ (section 4.2), or of each class the best ``quality_quantile`` of the
    right pixels, and of all its pixels where none is right: so a labelled class gets into the bank of a short run. The
    three rules that PixCon (Tarubinga, 2026) compares: ``right`` pixels, however sure; all ``labelled`` ones; those
    ``confident`` above φ under the class that is predicted, right or not."""
    quality_quantile: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of a class's pixels in the batch that pass by the rule ``quantile`` (our choice, not measured)."""
    attention: bool = True
    """Class-specific attention weights and ranking (Table 8: S_c); without it w = 1 and the bank takes random
    vectors."""
    least_score: Probability = 0.0
    """Lower bound a of the attention scores, S = a + (1 - a)·S_c: 0 as in eq. 8; with 1/2 no vector weighs more than
    twice another, so that the attention cannot choose a handful of vectors that are alike already."""
    effective_weight: NotNegative = 0.0
    """Weight, beside L_contr and within λ_contr, of the share of the vectors that eq. 8 leaves out, 1 - (Σw)²/(n Σw²),
    of p's weights and of z's, each a mean over the classes present; 0: the paper."""
    teacher_features: bool = True
    """The bank stores teacher features (Table 8: f_ξ); otherwise the student's."""
    bank_weights: Literal["attention", "ones"] = "attention"
    """w_z by eq. 8, or constant 1 (authors' code)."""
    bank_keep: Literal["highest", "lowest"] = "highest"
    """Which end of the ranking enters the bank (section 3.4: highest; authors' code: lowest)."""
    ranking: Literal["projection", "prediction"] = "projection"
    """Attention network of the teacher that ranks: the projection's S_{c,ξ} (section 3.4) or the prediction's
    (authors' code)."""
    bank_scope: Literal["image", "batch"] = "image"
    """K = max(1, ψ/|X_l|) vectors per image and class (section 4.2), or batch·round(ψ/|X_l|) over the batch
    (authors' code)."""
    separate: bool = False
    """One loss over labelled and one over unlabelled vectors, each with λ_contr (authors' code)."""
    bank_start: Probability = 0.0
    """Share of the warm-up after which the bank starts to fill (authors' code: 0.5)."""
    negatives: bool = False
    """Vectors of other classes repel: -log(Σ_same e^(s/T) / Σ_all e^(s/T)) of the cosines s with the bank (PixCon) in
    the place of eq. 10, which only attracts (the paper). The bank's vectors have no weights then, and S of the
    projection, which ranks them, does not learn: ``ranking=prediction`` ranks by one that does."""
    temperature: Positive = 0.1
    """T of ``negatives`` (PixCon, public code: 0.1)."""
    max_pixels_per_class: Count | None = None
    """At most so many pixels of each class, drawn at random among the labelled and among the unlabelled ones, go
    through the heads at a step; None: all (the paper)."""
    tap: Literal["decoder", "backbone"] = "decoder"
    """Features that are contrasted: V before the classifier (section 3.4), or the backbone's last map, which of
    DeepLabv3+ is wider (2048 channels with ResNet-50) and further from the logits; of DeepLabv2 both are the same."""
    feature_stride: Literal["paper", "network"] = "paper"
    """Contrast features at output stride 8 at the finest (section 4.2), or at the network's own, 4 for DeepLabv3+
    (authors' code)."""

    READ_WITH = {
        "quality_rule": ("quality_filter", (True,)),
        "quality_threshold": ("quality_rule", ("threshold", "confident")),
        "quality_quantile": ("quality_rule", ("quantile",)),
        "least_score": ("attention", (True,)),
        "effective_weight": ("attention", (True,)),
        "ranking": ("attention", (True,)),
        "bank_weights": ("attention", (True,)),
        "temperature": ("negatives", (True,)),
    }
    REFERENCE = {
        "bank_weights": "ones",
        "bank_keep": "lowest",
        "ranking": "prediction",
        "bank_scope": "batch",
        "separate": True,
        "bank_start": 0.5,
        "feature_stride": "network",
    }


class BankConfig(ContrastiveConfig):
    """A bank beside another method than memory_bank, whose own stands in ``method.memory_bank.contrastive``."""

    enabled: bool = False
    """The class-wise memory bank with heads, attention and L_contr of memory_bank beside a method that learns from
    pseudo-labels; ``method.bank=true`` says the same."""
    weight: NotNegative = 0.1
    """λ_contr (section 4.2: 0.1); 0: the method as without a bank."""
