"""Labels for a share of every class: rounds, thresholds by share, and one survey of all processes."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from two_processes import of_both

from semiseg.methods.base.curriculum import bins, curriculum, least_bins, log_odds, store_share
from semiseg.training.rounds import check_rounds

CLASSES = 4


class Images:
    """A survey of given logits; the network is told by its number."""

    device = torch.device("cpu")

    def __init__(self, logits: dict[int, Tensor]) -> None:
        self.given, self.stored = logits, {}

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        return iter([(index, logits) for index, logits in self.given.items()])

    def logits(self, network: object, image: Tensor) -> Tensor:
        return image

    def store(self, index: int, labels: Tensor, confidence: Tensor) -> None:
        self.stored[index] = labels, confidence


def pictures() -> dict[int, Tensor]:
    """Five images, whose classes have very different confidences; nobody predicts the last one."""
    g = torch.Generator().manual_seed(0)
    found = {}
    for index in range(5):
        logits = 3 * torch.randn(1, CLASSES, 20 + index, 30, generator=g)
        logits[:, 0] *= 9
        logits[:, 3] = -1e4
        found[index] = logits
    return found


@pytest.mark.parametrize("iterations", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("count", [1, 5, 10])
def test_rounds_follow_one_another_in_runs_of_any_length(iterations: int, count: int) -> None:
    rounds = check_rounds(curriculum(iterations, 0.2, count), iterations)
    assert rounds[0].supervised and not any(r.supervised for r in rounds[1:])
    assert len(rounds) == 1 + min(count, iterations - max(1, round(0.2 * iterations)))


def test_rounds_are_equally_long() -> None:
    rounds = curriculum(1000, 0.25, 5)
    assert [r.start for r in rounds] == [0, 250, 400, 550, 700, 850]


def test_log_odds_order_pixels_whose_softmax_is_1() -> None:
    logits = torch.tensor([[30.0, 0.0, 1.0], [20.0, 0.0, 1.0], [0.0, 2.0, -1.0]]).T.view(1, 3, 1, 3)
    labels, odds = log_odds(logits)
    assert labels.flatten().tolist() == [0, 0, 1]
    p = logits.double().softmax(1).amax(1)
    torch.testing.assert_close(odds[..., 2].double(), (p / (1 - p)).log()[..., 2])
    assert logits.softmax(1).amax(1)[0, 0, :2].tolist() == [1, 1], "equal to single precision"
    assert odds[0, 0, 0] > odds[0, 0, 1]
    assert bins(odds)[0, 0].tolist() == sorted(bins(odds)[0, 0].tolist(), reverse=True)
    extreme = log_odds(torch.tensor([1e4, -1e4]).view(1, 2, 1, 1))
    assert extreme[1].isfinite().all() and bins(extreme[1]).item() == 64 * 1024 - 1


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8])
def test_the_kept_share_of_every_class_is_the_share(share: float) -> None:
    given = pictures()
    survey = Images(given)
    store_share(survey, None, CLASSES, share)  # type: ignore[arg-type]
    predicted = torch.cat([logits.argmax(1).flatten() for logits in given.values()])
    kept = torch.cat([survey.stored[i][0].flatten() for i in given])
    assert set(kept.unique().tolist()) == {0, 1, 2, 255}
    shares = [(kept == c).sum().item() / (predicted == c).sum().item() for c in range(3)]
    assert shares == pytest.approx([share] * 3, abs=0.005) and min(shares) >= share
    assert torch.equal(kept[kept != 255], predicted[kept != 255])
    confidence = torch.cat([survey.stored[i][1].flatten() for i in given])
    sure = torch.cat([logits.softmax(1).amax(1).flatten() for logits in given.values()])
    torch.testing.assert_close(confidence, sure)
    for c in range(3):  # the surest of them
        assert confidence[kept == c].min() >= confidence[(predicted == c) & (kept == 255)].max() - 1e-3


def test_a_share_of_1_keeps_everything() -> None:
    survey = Images(pictures())
    store_share(survey, None, CLASSES, 1.0)  # type: ignore[arg-type]
    assert all(torch.equal(survey.stored[i][0], x.argmax(1)[0]) for i, x in survey.given.items())


def test_thresholds_take_as_few_bins_as_it_takes() -> None:
    counts = torch.tensor([[5, 0, 3, 2], [0, 0, 0, 0], [1, 0, 0, 0]])
    assert least_bins(counts, 0.2).tolist() == [3, 3, 0]
    assert least_bins(counts, 0.21).tolist() == [2, 3, 0]
    assert least_bins(counts, 0.5).tolist() == [2, 3, 0] and least_bins(counts, 1.0).tolist() == [0, 3, 0]


def test_two_processes_store_what_one_would(monkeypatch: pytest.MonkeyPatch) -> None:
    given = pictures()
    alone = Images(given)
    store_share(alone, None, CLASSES, 0.4)  # type: ignore[arg-type]
    parts = [Images({i: x for i, x in given.items() if i % 2 == rank}) for rank in range(2)]
    of_both(monkeypatch, *(lambda part=part: store_share(part, None, CLASSES, 0.4) for part in parts))
    assert sorted(parts[0].stored | parts[1].stored) == sorted(given)
    for part in parts:
        for index, (labels, confidence) in part.stored.items():
            assert torch.equal(labels, alone.stored[index][0]) and torch.equal(confidence, alone.stored[index][1])


def test_shares_grow() -> None:
    kept = []
    for share in (0.2, 0.4, 1.0):
        survey = Images(pictures())
        store_share(survey, None, CLASSES, share)  # type: ignore[arg-type]
        flat = {i: (labels != 255).flatten().nonzero()[:, 0].tolist() for i, (labels, _) in survey.stored.items()}
        kept.append({(i, k) for i, pixels in flat.items() for k in pixels})
    assert all(one < other for one, other in pairwise(kept))
