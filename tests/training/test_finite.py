"""Numbers that are none: the step and the images are named, and a validation without any truth ends nothing."""

import json
import math
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny
from torch import nn

from semiseg import Config
from semiseg.evaluation.confusion import EvaluationResult
from semiseg.runtime.documents import dump_json
from semiseg.training import validating
from semiseg.training.finite import Crops, FiniteWatch, gradients_finite
from semiseg.training.preflight import accumulation_remark

DATA: Any = SimpleNamespace(
    train=SimpleNamespace(names=[f"own{i}" for i in range(20)]), source=SimpleNamespace(names=["game0", "game1"])
)
GOOD, BAD = torch.tensor(1.0), torch.tensor(math.nan)
CROPS = Crops(torch.tensor([3, 1]), torch.tensor([True, False]), torch.tensor([4, 5]))


def test_on_a_cpu_a_bad_step_is_seen_at_once() -> None:
    watch = FiniteWatch(DATA, torch.device("cpu"))
    assert not watch.look(6, {"loss": GOOD}, torch.tensor(True), [CROPS]) and watch.first() is None
    assert watch.look(7, {"loss": BAD, "pseudo": GOOD, "contrastive": GOOD / 0}, None, [CROPS])
    assert watch.first() == (
        "loss, contrastive became NaN or infinite in step 8 (labelled: own3; source: game1; unlabelled: own4, own5)"
    )


def test_where_looking_means_waiting_the_first_bad_step_is_named_afterwards() -> None:
    watch = FiniteWatch(DATA, torch.device("cpu"))
    watch.at_once = False
    many = Crops(None, None, torch.arange(20))
    steps: list[tuple[torch.Tensor, bool, Crops]] = [(GOOD, True, CROPS), (GOOD, False, many), (BAD, False, CROPS)]
    for i, (loss, finite, crops) in enumerate(steps):
        assert not watch.look(i, {"loss": loss}, torch.tensor(finite), [crops])
    told = watch.first()
    assert told is not None and told.startswith("gradients became NaN or infinite in step 2 (unlabelled: own0, own1,")
    assert "and 12 more" in told
    watch.clear()
    assert watch.first() is None


@pytest.mark.parametrize(("value", "finite"), [(1.0, True), (math.nan, False), (math.inf, False)])
def test_gradients_are_looked_at_together(value: float, finite: bool) -> None:
    parameters = [nn.Parameter(torch.zeros(3)) for _ in range(3)]
    assert gradients_finite(parameters) is None
    parameters[0].grad, parameters[2].grad = torch.ones(3), torch.tensor([0, value, 0])
    found = gradients_finite(parameters)
    assert found is not None and bool(found) is finite


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["method.name=memory_bank"], "the contrastive term"),
        (["method.name=supervised", "method.loss.divisor=weights"], "method.loss.divisor=weights"),
        (["method.loss.divisor=weights"], "method.loss.divisor=weights and the contrastive term"),
        (["method.name=supervised"], None),
        (["method.memory_bank.weights.contrastive=0"], None),
    ],
)
def test_batches_that_do_not_add_up_are_told(words: list[str], named: str | None) -> None:
    assert accumulation_remark(Config.parse({}, words)) is None
    told = accumulation_remark(Config.parse({}, [*words, "training.accumulation=4", "training.batch_size=2"]))
    assert (told is None) if named is None else (told is not None and f"with {named} " in told and "8 crops" in told)


def test_json_has_no_numbers_that_json_does_not_have() -> None:
    assert dump_json({"a": [math.nan, (1.5, -math.inf)], "b": {"c": math.inf, "d": 2}}) == (
        '{"a": [null, [1.5, null]], "b": {"c": null, "d": 2}}'
    )


@pytest.mark.parametrize(("mious", "best", "saved"), [
    ([math.nan, math.nan], 2, [1, 2]), ([math.nan, 0.2, math.nan], 2, [1, 2]), ([0.2, math.nan, 0.1], 1, [1]),
])  # fmt: skip
def test_a_validation_without_truth(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mious: list[float], best: int, saved: list[int]
) -> None:
    config = tiny(folder, tmp_path, method__name="supervised")
    classes = ("a", "b", "c")
    results = iter(mious)
    monkeypatch.setattr(validating, "validate", lambda *words, **more: EvaluationResult(
        next(results), np.full(3, np.nan), np.zeros((3, 3), int), classes, 0
    ))  # fmt: skip
    method: Any = SimpleNamespace(
        keeps_teacher=False, learners=lambda: {"student": nn.Identity()}, train=lambda: None, measures=dict,
        remarks=lambda measures: [], first_stage=0, predicting=lambda: nullcontext(nn.Identity()),
    )  # fmt: skip
    data: Any = SimpleNamespace(val=None)
    validator = validating.Validator(config, data, method, torch.device("cpu"), tmp_path / "best.pt")
    kept: list[int] = []
    for step in range(1, len(mious) + 1):
        validator.validate(step, 0.0, None, lambda step=step: kept.append(step))
    assert kept == saved and validator.iteration == best
    assert json.loads(json.dumps(validator.results["last"].to_json()))["iou"] == [None, None, None]
