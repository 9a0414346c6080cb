"""Context-aware consistency: which places two crops share, which direction teaches, and what is remembered."""

from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from conftest import tiny
from torch import Tensor

from semiseg.contrastive import rows
from semiseg.data.windows import Window, common
from semiseg.losses import directional_contrast
from semiseg.methods import Batch, Method, Step, method_class
from semiseg.methods import context_aware as module
from semiseg.methods.base.views import NOTHING
from semiseg.methods.context_aware import common_places, of_places
from semiseg.networks.build import build_network_of

HEIGHT, WIDTH, CLASSES = 32, 48, 4
SURE = 0.4
CORNER = torch.tensor([[8, 16], [0, 3], [0, 0], [5, 0]])  # two images, first crops, then second ones


def build(**changes: object) -> Method:
    torch.manual_seed(0)
    words = {"method__name": "context_aware", "method__augment__weak": "none"}
    words |= {f"method__context_aware__contrastive__{k}": v for k, v in (("stored", 9), ("least_confidence", SURE))}
    config = tiny(Path("."), Path("."), **words | changes)
    method: Method = method_class("context_aware")(config, build_network_of(config, CLASSES), 4).train()
    method.views.strong_set = NOTHING  # pictures stay comparable
    with torch.no_grad():
        method.student.classifier.weight.mul_(6)  # confidences on both sides of the threshold
    return method


def batches(corner: Tensor = CORNER, same: bool = False) -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(7, 3, HEIGHT, WIDTH, generator=g)
    if same:
        images[5:] = images[3:5]
    labels = torch.randint(0, CLASSES, (3, HEIGHT, WIDTH), generator=g)
    inside = torch.ones(4, HEIGHT, WIDTH, dtype=torch.bool)
    unlabelled = Batch(images[3:], torch.full((4, HEIGHT, WIDTH), 255), inside=inside, corner=corner)
    return Batch(images[:3], labels), unlabelled


def watched(
    method: Method, monkeypatch: pytest.MonkeyPatch, given: tuple[Batch, Batch], iteration: int = 3
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The terms of a step, images and output of the student ("s") and what both directions were asked ("d")."""
    seen: dict[str, Any] = {"d": []}

    def directional(*words: Any) -> Tensor:
        seen["d"].append(words)
        return directional_contrast(*words)

    monkeypatch.setattr(module, "directional_contrast", directional)
    hook = method.student.register_forward_hook(lambda _, x, output: seen.update(s=(x[0].detach(), output)))
    terms = method.losses(Step(*given, iteration, torch.Generator().manual_seed(iteration)))
    hook.remove()
    return terms, seen


@pytest.mark.parametrize("corner", [[[8, 16], [0, 0]], [[0, 0], [24, 8]], [[3, 1], [3, 1]], [[0, 0], [64, 0]]])
def test_common_places_are_those_of_the_common_window(corner: list[list[int]]) -> None:
    windows = [Window(*at, HEIGHT, WIDTH) for at in corner]
    crops = Batch(torch.zeros(2, 3, HEIGHT, WIDTH), torch.zeros(2, HEIGHT, WIDTH), corner=torch.tensor(corner))
    cells, inside = common_places(crops, torch.Size((4, 6)))  # stride 8
    one, _ = common(*windows)
    shown = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    shown[one] = True
    assert torch.equal(inside[0], shown[4::8, 4::8])
    image = torch.rand(100, 100, generator=torch.Generator().manual_seed(0))
    pair = torch.stack([image[w.top : w.top + HEIGHT, w.left : w.left + WIDTH] for w in windows])
    first, second = of_places(torch.nn.functional.avg_pool2d(pair[:, None], 8), cells)
    assert torch.equal(first[inside.flatten()], second[inside.flatten()]), "nothing is blended"


def test_places_between_cells_are_interpolated() -> None:
    crops = Batch(torch.zeros(2, 3, 32, 48), torch.zeros(2, 32, 48), corner=torch.tensor([[0, 2], [4, 0]]))
    cells, inside = common_places(crops, torch.Size((4, 6)))
    y, x = cells
    assert y[0].tolist() == [-0.5, 0.5, 1.5, 2.5] and x[0].tolist() == [0.25, 1.25, 2.25, 3.25, 4.25, 5.25]
    assert inside.all(), "the first row's centres lie on the second crop's first pixels"
    maps = torch.arange(48.0).view(2, 1, 4, 6)
    _, found = of_places(maps, cells)
    assert found[:, 0].view(4, 6)[2].tolist() == [24 + 1.5 * 6 + at for at in (0.25, 1.25, 2.25, 3.25, 4.25, 5)]
    assert found[0, 0] == 24.25, "beyond the centre of the last cell there is nothing to blend with"


def test_of_two_views_of_a_place_the_less_sure_one_alone_is_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build()
    terms, seen = watched(method, monkeypatch, batches())
    (v_1, v_2, y_1, to_2, keys, key_labels, t), (w_2, w_1, y_2, to_1, *_) = seen["d"]
    assert v_1 is w_1 and v_2 is w_2 and t == 0.1
    logits = seen["s"][1].logits.detach()[3:]
    factor = round(8 / (HEIGHT / logits.shape[-2]))
    logits = torch.nn.functional.avg_pool2d(logits, factor, ceil_mode=True) if factor > 1 else logits
    first, _ = logits.chunk(2)
    assert first.shape[-2:] == (4, 6)
    cells, inside = common_places(batches()[1], first.shape[-2:])
    p_1, p_2 = (part.softmax(1) for part in of_places(logits, cells))
    c_1, c_2 = p_1.amax(1), p_2.amax(1)
    assert torch.equal(p_1, rows(first).softmax(1))
    assert torch.equal(y_1, p_1.argmax(1)) and torch.equal(y_2, p_2.argmax(1))
    both = inside.flatten()
    assert torch.equal(to_2, both & (c_2 > c_1) & (c_2 > SURE)) and torch.equal(to_1, both & (c_1 > c_2) & (c_1 > SURE))
    assert to_1.any() and to_2.any() and not (to_1 & to_2).any() and not (to_1 | to_2 | ~both).all()
    torch.testing.assert_close(terms["directed"], (to_1 | to_2).float().sum() / both.sum())
    by_hand = 0.0
    for z, other, y, chosen in ((v_1, v_2, y_1, to_2), (v_2, v_1, y_2, to_1)):
        each = [oracles.info_nce(z[n].double(), other[n].double(),
                                 keys[(key_labels >= 0) & (key_labels != y[n])].double(), 0.1)
                for n in chosen.nonzero().flatten()]  # fmt: skip
        by_hand += float(torch.stack(each).mean().detach())
    assert terms["contrastive"].item() == pytest.approx(by_hand, rel=1e-4)
    torch.testing.assert_close(terms["loss"], terms["supervised"] + 0.1 * terms["contrastive"])


@pytest.mark.parametrize("same", [True, False])
def test_equal_confidences_teach_nothing(same: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of identical crops the overlap is everything, and no view is surer than the other."""
    given = batches(torch.zeros(4, 2, dtype=torch.int64), same)
    terms, _ = watched(build(method__context_aware__contrastive__least_confidence=0), monkeypatch, given)
    assert bool(terms["contrastive"] == 0) is same and bool(terms["directed"] == 0) is same
    if not same:
        assert terms["directed"] == 1, "every place is common, and directed"


def test_padding_is_no_place_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    labelled, unlabelled = batches()
    inside = unlabelled.inside.clone()  # type: ignore[union-attr]
    inside[:, 16:] = False
    method = build(method__context_aware__contrastive__stored=99)
    _, seen = watched(method, monkeypatch, (labelled, unlabelled._replace(inside=inside)))
    for words in seen["d"]:
        assert not words[3].view(2, 4, 6)[:, 2:].any() and words[3].any()
    assert (method.key_labels[0] >= 0).sum() == 4 * 2 * 6
    terms, _ = watched(build(), monkeypatch, (labelled, unlabelled._replace(inside=inside & False)))
    assert terms["contrastive"] == 0 == terms["directed"] and torch.isfinite(terms["loss"])


def test_recent_steps_are_remembered_in_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(method__context_aware__contrastive__steps=3)
    shapes = {name: tuple(value.shape) for name, value in method.state_dict().items() if name.startswith("key")}
    assert shapes == {"keys": (3, 18, 16), "key_labels": (3, 18)}
    watched(method, monkeypatch, batches(), iteration=0)
    assert (method.key_labels == -1).all(), "the warm-up stores nothing"
    before = method.keys.clone()
    for number in range(1, 5):
        _, seen = watched(method, monkeypatch, batches(), iteration=number)
        assert (method.key_labels >= 0).sum(1).tolist() == [18 * (number > age) for age in range(3)]
        torch.testing.assert_close(method.keys[0].norm(dim=1), torch.ones(18))
        assert torch.equal(method.keys[1:], before[:-1]) and not torch.equal(method.keys[0], before[0])
        assert torch.equal(seen["d"][0][4], method.keys.flatten(0, 1))
        before = method.keys.clone()
    other = build(method__context_aware__contrastive__steps=3)
    other.load_state_dict(method.state_dict())
    results = [watched(m, monkeypatch, batches(), iteration=5)[0]["loss"].item() for m in (method, other)]
    assert results[0] == results[1]


def test_fewer_places_than_are_to_be_stored_are_all_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(method__context_aware__contrastive__stored=6400)
    terms, _ = watched(method, monkeypatch, batches())
    assert (method.key_labels >= 0).sum() == 4 * 4 * 6 and terms["contrastive"] > 0


def test_colours_are_drawn_for_each_crop_and_nothing_else_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(method__augment__strong="paper")
    method.views.strong_set = method.views.strong_set.__class__(**vars(NOTHING) | {"jitter": 1, "brightness": 0.3})
    given = batches(torch.zeros(4, 2, dtype=torch.int64), same=True)
    _, seen = watched(method, monkeypatch, given)
    first, second = seen["s"][0][3:].chunk(2)
    assert (
        not torch.equal(first, second) and torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1] > 0.8
    )


def test_gradients_cost_and_what_it_never_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build()
    terms, _ = watched(method, monkeypatch, batches())
    terms["contrastive"].backward()
    assert method.student.backbone.conv1.weight.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert all(p.grad is not None for p in method.projection.parameters())
    assert method.teacher is None and method.averages() == []
    cost = method.cost(2, 6)
    assert (cost.student, cost.teacher, list(cost.modules)) == ((2, 6), 0, ["projection"])
    unread = method_class("context_aware").unread(tiny(Path("."), Path(".")))
    assert {"method.teacher.ramp", "training.batch_norm_refresh_teacher"} <= unread
