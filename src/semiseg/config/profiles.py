"""``method.profile=reference``: where the authors' code differs from the paper (docs/equations.md has the table).

What concerns one method stands in its own settings, as ``REFERENCE``.
"""

from __future__ import annotations

from typing import Any

from semiseg.config.method import method_sections

SHARED: dict[str, Any] = {
    "method.teacher.batch_statistics": True,
    "method.teacher.buffers": "keep",
    "method.class_balance.after_warmup": True,
    "method.loss.divisor": "weights",
    "method.augment.weak": "reference",
    "method.augment.strong": "reference",
    "method.augment.classmix_rule": "reference",
    "method.augment.classmix_after_warmup": True,
    "data.source.sampling": "alternating",
    "network.aspp": "reference",
    "network.batch_norm": "frozen_affine",
    "training.lr_multipliers.backbone": 3.0,
    "training.lr_multipliers.classifier": 3.0,
    "training.lr_multipliers.heads": 2.0,
    "training.unlabelled_ratio": 0.4,
    "training.plateau_patience": 5,
    "training.batch_norm_refresh": 100,
}


def reference() -> dict[str, Any]:
    """Complete keys and values of the profile, those of every method among them; any can still be set by hand."""
    found: dict[str, Any] = {}
    for name, section in method_sections().items():
        found |= {f"method.{name}.{key}": value for key, value in section.REFERENCE.items()}
    return SHARED | found
