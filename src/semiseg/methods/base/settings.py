"""Settings that several methods have, each in its own section: the λ of eq. 1 and how λ_pseudo begins."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from semiseg.config.optimiser import OptimiserConfig
from semiseg.config.section import Count, NotNegative, Positive, Probability, Section

OWN_VIEWS: dict[str, Any] = {"class_balance.enabled": False, "augment.weak": "flip"}
"""Of ``Section.PAPER``: papers that weigh all classes alike and leave the colours of labelled crops as they are."""
UNIMATCH_VIEWS: dict[str, Any] = OWN_VIEWS | {"warmup": 0.0, "augment.weak": "wide", "augment.strong": "wide"}
"""UniMatch's, public code: pictures resized by 0.5 to 2, strong colours, pseudo-labels from the first step."""


def teacher_of(tau: float, *, ramp: bool = False, **further: Any) -> dict[str, Any]:
    """Of ``Section.PAPER``: a constant τ, reached by 1 - 1/(i + 1) where ``ramp``; ``further`` keys of the teacher."""
    schedule = {"momentum_start": tau, "momentum_end": tau, "ramp": ramp} | further
    return {f"teacher.{key}": value for key, value in schedule.items()}


class Weights(Section):
    """λ of eq. 1 (section 4.2)."""

    supervised: NotNegative = 1.0
    """λ_sup = 1 (section 4.2)."""
    pseudo: NotNegative = 1.0
    """λ_pseudo = 1 (section 4.2)."""


class FourWeights(Weights):
    entropy: NotNegative = 0.01
    """λ_ent = 0.01 (section 4.2)."""
    contrastive: NotNegative = 0.1
    """λ_contr = 0.1 (section 4.2, Table 6); over labelled and unlabelled vectors together."""


class ContrastWeights(Weights):
    contrastive: NotNegative = 1.0
    """Weight of the contrastive loss, which is added as it is (public code of ReCo and U2PL)."""


class Pseudo(Section):
    """Pseudo-labels, or what stands for them."""

    warmup: Literal["off", "ramp"] = "off"
    """During warm-up λ_pseudo is 0 (section 4.2) or ramps up as exp(-5(1 - i/n)²) (authors' code)."""

    @field_validator("warmup", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML 1.1 reads a bare off as false


class WeightedPseudo(Pseudo):
    views: Count = 2
    """A of eq. 6: strong augmentations of each crop (section 4.2: 2)."""
    sharpness: NotNegative = 6.0
    """s of the confidence weights β = confidence^s (section 4.2: 6)."""


class EntropyLoss(Section):
    entropy_base: Literal["natural", "classes"] = "natural"
    """Logarithm of eq. 7: natural, or divided by ln C (authors' code)."""
    entropy_valid_only: bool = False
    """Divisor of eq. 7: all N pixels, of which padding adds 0, or those with a pseudo-label (authors' code)."""


class CriticOptimiser(OptimiserConfig):
    """That of a critic beside the main one."""

    kind: Literal["sgd", "adam", "adamw"] = "adam"
    """SGD with momentum, Adam, or Adam with decoupled weight decay (Hung et al., section 3.4: Adam)."""
    learning_rate: Positive = 1e-4
    """Learning rate at the start of a round (Hung et al., section 3.4: 1e-4)."""
    beta2: Probability = 0.99
    """β2 of Adam and AdamW (Hung et al., public code: 0.99)."""
