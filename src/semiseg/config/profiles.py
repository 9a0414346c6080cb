"""``method.profile``: what is filled in where nothing is set by hand.

``reference``: where the authors' code differs from the paper (docs/equations.md has the table). ``paper``: what a
method's own paper sets of what all methods share, from its settings' ``PAPER``. ``equal``: none of that, and the
methods' ``EQUAL``. What concerns one method stands in its own settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semiseg.config.contrastive import BankConfig
from semiseg.config.method import MethodConfig, method_sections

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
    **{f"method.bank.{key}": value for key, value in BankConfig.REFERENCE.items()},
}
ENDS = ("momentum_start", "momentum_end", "half_life")
"""Of ``method.teacher``: who sets one by hand has set the schedule of τ."""
SCHEDULE = {f"method.teacher.{key}" for key in (*ENDS, "ramp")}


def filled_in(method: Mapping[str, Any]) -> dict[str, Any]:
    """Complete keys and values that belong below what was given by hand, ``method`` of a configuration."""
    profile = method.get("profile", MethodConfig.model_fields["profile"].default)
    if profile == "reference":
        return reference()
    if profile == "equal":
        return equal()
    found = paper(method.get("name", MethodConfig.model_fields["name"].default))
    teacher = method.get("teacher")
    if isinstance(teacher, Mapping) and any(teacher.get(end) is not None for end in ENDS):
        found = {key: value for key, value in found.items() if key not in SCHEDULE}
    return found


def reference() -> dict[str, Any]:
    """Complete keys and values of the profile, those of every method among them; any can still be set by hand."""
    found: dict[str, Any] = {}
    for name, section in method_sections().items():
        found |= {f"method.{name}.{key}": value for key, value in section.REFERENCE.items()}
    return SHARED | found


def paper(name: Any) -> dict[str, Any]:
    """What the paper of a method sets of what all methods share; nothing for an unknown name, which a check tells."""
    section = method_sections().get(name) if isinstance(name, str) else None
    return {} if section is None else {f"method.{key}": value for key, value in section.PAPER.items()}


def equal() -> dict[str, Any]:
    """What the methods' own sections have to say so that all share augmentation, teacher and class weights."""
    sections = method_sections().items()
    return {f"method.{name}.{key}": value for name, section in sections for key, value in section.EQUAL.items()}
