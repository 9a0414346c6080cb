"""Settings that all methods share and one never reads, by what its class says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semiseg.config.read import Config

if TYPE_CHECKING:
    from semiseg.methods.base.method import Method

FURTHER_RATES = ("heads", "attention")
"""Of ``training.lr_multipliers``, those that no part of a network learns at."""


def unread_of(method: type[Method], config: Config, groups_of_its_own: bool) -> set[str]:
    """Complete keys that follow from ``needs``, ``keeps_teacher`` and ``further_rates``.

    Args:
        method: the class.
        config: of the run.
        groups_of_its_own: whether it defines ``groups``, which may then read any rate, unless ``further_rates`` tells.
    """
    found = set() if method.needs.unlabelled else {"training.unlabelled_ratio"}
    if not method.keeps_teacher:
        found |= {f"method.teacher.{key}" for key in type(config.method.teacher).model_fields}
        found.add("training.batch_norm_refresh_teacher")
    if config.method.loss.hard_threshold is None:
        found.add("method.loss.hard_share")
    bank = config.method.bank
    if not method.takes_bank:
        found |= {f"method.bank.{key}" for key in type(bank).model_fields}
    elif not bank.enabled:
        found |= {f"method.bank.{key}" for key in type(bank).model_fields if key != "enabled"}
    elif not method.keeps_teacher:
        found.add("method.bank.teacher_features")
    read = method.further_rates
    if read is None:
        read = FURTHER_RATES if groups_of_its_own else ()
    if method.takes_bank and bank.enabled:
        read = FURTHER_RATES
    return found | {f"training.lr_multipliers.{rate}" for rate in FURTHER_RATES if rate not in read}
