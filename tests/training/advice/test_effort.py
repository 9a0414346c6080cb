"""On which terms two runs are compared."""

import pytest

from semiseg.config.read import Config
from semiseg.training.advice.effort import Effort, effort, mean_effort, terms

SUPERVISED = Effort(480, 4, 210)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (SUPERVISED, ""),
        (Effort(480, 4, 230), ""),  # the clock alone, by less than seeds differ
        (Effort(480, 4, 540), "at equal steps: 9 min against 4 min"),
        (Effort(480, 12, 540), "at equal steps: 12 against 4 crops a step, 9 min against 4 min"),
        (Effort(480, 12, 215), "at equal steps: 12 against 4 crops a step, 4 min against 4 min"),
        (Effort(480, 12, None), "at equal steps: 12 against 4 crops a step"),
        (Effort(480, None, None), ""),
        (Effort(960, 4, 420), "at 960 against 480 steps, 7 min against 4 min"),
        (Effort(960, None, None), "at 960 against 480 steps"),
        (Effort(480, 9.5, None), "at equal steps: 9.5 against 4 crops a step"),
    ],
)
def test_terms(one: Effort, expected: str) -> None:
    assert terms(one, SUPERVISED) == expected


def test_the_mean_of_runs_is_unknown_where_one_is() -> None:
    assert mean_effort([Effort(100, 4, 10), Effort(300, 8, 30)]) == (200, 6, 20)
    assert mean_effort([Effort(100, 4, None), Effort(100, None, 30)]) == (100, None, None)


def test_crops_follow_from_the_method_and_are_unknown_where_the_network_cannot_be_built() -> None:
    words = ["network.backbone=resnet18", "network.pretrained=none", "training.batch_size=3"]
    config = Config.parse({}, [*words, "method.name=memory_bank"])
    assert effort(config, 2, 10, 5.0) == (10, 3 + 2 * 3, 5.0)
    staged = Config.parse({}, [*words, "method.name=fixmatch", "method.stages=0.5", "training.iterations=10"])
    assert effort(staged, 2, 10, 5.0) == (10, (5 * 3 + 5 * 6) / 10, 5.0)
    assert effort(staged, 2, 0, None).crops == (5 * 3 + 5 * 6) / 10
    config.network.backbone = "timm:no_such_network"
    assert effort(config, 2, 10, None) == (10, None, None)
