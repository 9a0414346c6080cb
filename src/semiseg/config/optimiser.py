"""One optimiser's settings: ``training.*`` has the main one, a method may name further ones of its own."""

from __future__ import annotations

from typing import Literal

from semiseg.config.section import NotNegative, Positive, Probability, Section


class OptimiserConfig(Section):
    """An optimiser with its schedule."""

    kind: Literal["sgd", "adam", "adamw"] = "sgd"
    """SGD with momentum, Adam, or Adam with decoupled weight decay."""
    learning_rate: Positive = 2e-4
    """Learning rate at the start of a round."""
    momentum: Probability = 0.9
    """Momentum of SGD, β1 of the others."""
    beta2: Probability = 0.999
    """β2 of Adam and AdamW (Kingma and Ba, 2015)."""
    weight_decay: NotNegative = 0.0
    """L2 penalty, decoupled for AdamW."""
    poly_power: NotNegative = 0.9
    """Power of the poly schedule lr·(1 - i/N)^power over a round (authors' configurations)."""
    lr_warmup: Probability = 0.0
    """Share of a round over which the rate rises linearly."""
