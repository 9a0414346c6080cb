"""UniMatch V2 by hand, from what went through student and teacher."""

from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from conftest import tiny
from torch import Tensor

from semiseg.methods import Batch, Method, Step, method_class
from semiseg.methods.base.views import NOTHING
from semiseg.networks import upsample
from semiseg.networks.build import build_network_of
from semiseg.networks.complementary_dropout import Dropped

CLASSES, HEIGHT, WIDTH = 5, 32, 48


def build(**changes: object) -> Method:
    torch.manual_seed(0)
    usual = {"network__architecture": "dpt", "method__augment__weak": "none", "method__warmup": 0}
    config = tiny(Path("."), Path("."), method__name="unimatch_v2", **(usual | changes))
    method: Method = method_class("unimatch_v2")(config, build_network_of(config, CLASSES), 4).train()
    with torch.no_grad():
        for parameter in method.teacher.classifier.parameters():
            parameter.mul_(30)  # confidences on both sides of a threshold
    method.views.strong_set = NOTHING  # pictures stay comparable
    return method


def pseudo(**words: object) -> dict[str, object]:
    return {f"method__unimatch_v2__pseudo__{key}": value for key, value in words.items()}


def batches() -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES, (5, HEIGHT, WIDTH), generator=g)
    return Batch(images[:2], labels[:2]), Batch(images[2:], torch.full_like(labels[2:], 255))


class Watched:
    """A step, and what the student's labelled pass ("l"), the views' pass ("u") and the teacher ("t") saw and gave."""

    def __init__(self, method: Method, unlabelled: Batch | None = None, seed: int = 4) -> None:
        self.seen: dict[str, tuple[Tensor, Tensor]] = {}
        self.scaled: list[tuple[Tensor, ...]] = []
        encode, decode = method.student.encode, method.student.decode
        maps: dict[int, list[Tensor]] = {}

        def encoding(images: Tensor) -> list[Tensor]:
            name = "l" if len(images) == 2 else "u"
            maps[0] = encode(images)
            self.seen[name] = images.detach(), torch.empty(0)
            return maps[0]

        def decoding(given: list[Tensor]) -> Any:
            output = decode(given)
            name = "l" if len(given[0]) == 2 else "u"
            self.seen[name] = self.seen[name][0], upsample(output.logits, (HEIGHT, WIDTH)).detach()
            if name == "u":
                self.scaled = list(zip(maps[0], given, strict=True))
            return output

        def teaching(module: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
            assert not module.training, "running statistics"
            self.seen["t"] = inputs[0], upsample(output.logits, (HEIGHT, WIDTH))

        method.student.encode, method.student.decode = encoding, decoding
        hook = method.teacher.register_forward_hook(teaching)
        labelled, crops = batches()
        self.terms = method.losses(Step(labelled, unlabelled or crops, 3, torch.Generator().manual_seed(seed)))
        hook.remove()


def test_two_views_of_one_pass_with_what_the_reversed_batch_gave() -> None:
    threshold = upsample(build().teacher.eval()(batches()[1].images).logits, (HEIGHT, WIDTH)).softmax(1).amax(1)
    threshold = threshold.median().item()
    found = Watched(build(**pseudo(confidence_threshold=threshold, mix_probability=1)))
    (student_images, student), (clean, teacher) = found.seen["u"], found.seen["t"]
    assert torch.equal(clean, batches()[1].images), "the clean crop"
    assert len(student_images) == 6, "both views together"
    sure, y = teacher.softmax(1).max(1)
    total = 0.0
    rectangles = []
    for images, logits in zip(student_images.chunk(2), student.chunk(2), strict=True):
        pasted = (images == clean.flip(0)).all(1)
        assert torch.equal(images, torch.where(pasted[:, None], clean.flip(0), clean))
        assert pasted[1].all() and pasted[0].any() and not pasted[0].all(), "the middle one is its own giver"
        rectangles.append(pasted)
        target, confidence = (torch.where(pasted, t.flip(0), t) for t in (y, sure))
        beta = (confidence >= threshold).double()
        assert 0.3 < beta.mean() < 0.7
        total += oracles.cross_entropy(logits, target, None, beta)[0] / 2
    assert not torch.equal(*rectangles), "each view has rectangles of its own"
    terms = found.terms
    assert terms["pseudo"].item() == pytest.approx(total, rel=1e-4)
    assert terms["confident"].item() == pytest.approx((sure >= threshold).float().mean().item(), rel=1e-5)
    torch.testing.assert_close(terms["loss"], (terms["supervised"] + terms["pseudo"]) / 2)


def test_the_views_maps_are_complementary_and_half_of_the_images_whole() -> None:
    crops = batches()[1]
    four = Batch(torch.rand(4, 3, HEIGHT, WIDTH), crops.labels[[0, 0, 0, 0]])
    found = Watched(build(**pseudo(mix_probability=0)), four)
    assert len(found.scaled) == 4, "all taps of the decoder"
    whole = None
    for before, after in found.scaled:
        first, second = after.chunk(2)
        torch.testing.assert_close(first + second, before.chunk(2)[0] + before.chunk(2)[1])
        assert torch.equal(*before.chunk(2)), "the same pictures"
        untouched = (first == before[:4]).flatten(1).all(1)
        assert untouched.sum() == 2 and (whole is None or torch.equal(whole, untouched))
        whole = untouched
        for map_, full in ((first, before[:4]), (second, before[:4])):
            zero = (map_ == 0).flatten(2).all(2)
            torch.testing.assert_close(map_[~untouched], 2 * full[~untouched] * ~zero[~untouched][:, :, None, None])


def test_each_view_divides_by_its_own_pixels_without_padding() -> None:
    method = build(**pseudo(confidence_threshold=0, mix_probability=1))
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[0, 20:] = False
    found = Watched(method, batches()[1]._replace(inside=inside))
    (student_images, student), (clean, teacher) = found.seen["u"], found.seen["t"]
    total, counts = 0.0, []
    for images, logits in zip(student_images.chunk(2), student.chunk(2), strict=True):
        pasted = (images == clean.flip(0)).all(1)
        target, valid = (torch.where(pasted, t.flip(0), t) for t in (teacher.argmax(1), inside))
        counts.append(valid.float().mean().item())
        total += oracles.cross_entropy(logits, target.where(valid, 255))[0] / counts[-1] / 2
    assert counts[0] != counts[1]
    assert found.terms["pseudo"].item() == pytest.approx(total, rel=1e-4)
    assert found.terms["confident"] == 1, "of the pixels that show an image"


def test_without_mixing_and_dropping_both_views_are_the_clean_crop() -> None:
    found = Watched(build(**pseudo(mix_probability=0, dropped=0, confidence_threshold=0)))
    images, student = found.seen["u"]
    assert torch.equal(*images.chunk(2)) and torch.equal(images[:3], batches()[1].images)
    by_hand, _ = oracles.cross_entropy(student[:3], found.seen["t"][1].argmax(1))
    assert found.terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)


def test_gradients_reach_encoder_and_decoder_through_the_views_alone() -> None:
    method = build(**pseudo(confidence_threshold=0))
    method.losses(Step(*batches(), 3, torch.Generator().manual_seed(4)))["pseudo"].backward()
    assert all(p.grad is not None and p.grad.any() for p in method.student.parameters())
    assert all(p.grad is None for p in method.teacher.parameters())


@pytest.mark.parametrize("architecture", ["dpt", "deeplabv3plus", "deeplabv2"])
def test_every_decoders_maps_are_dropped(architecture: str) -> None:
    results = []
    for share in (0, 1):
        method = build(network__architecture=architecture, **pseudo(confidence_threshold=0, dropped=share))
        results.append(method.losses(Step(*batches(), 3, torch.Generator().manual_seed(4))))
    assert results[0]["pseudo"] != results[1]["pseudo"] and results[0]["supervised"] == results[1]["supervised"]


def test_in_turn_computes_both_views_again_and_changes_nothing() -> None:
    results = []
    for passes in ("joint", "in_turn"):
        method = build(training__passes=passes, network__batch_norm="frozen", **pseudo(confidence_threshold=0.5))
        terms = method.losses(Step(*batches(), 3, torch.Generator().manual_seed(4)))
        terms["loss"].backward()
        results.append((terms, [p.grad for p in method.student.parameters() if p.grad is not None]))
    (plain, gradients), (saving, same) = results
    assert plain["pseudo"] > 0
    for key, value in plain.items():
        torch.testing.assert_close(saving[key], value)
    for one, two in zip(gradients, same, strict=True):
        torch.testing.assert_close(one, two)


def test_nothing_of_the_wrapper_is_saved_or_learnt_twice() -> None:
    method = build()
    method.losses(Step(*batches(), 3, torch.Generator().manual_seed(4)))
    assert not [m for m in method.modules() if isinstance(m, Dropped)]
    assert {name.partition(".")[0] for name in method.state_dict()} == {"student", "teacher", "counts"}


def test_published_settings_stand_where_none_is_given() -> None:
    results = [Watched(build(**pseudo(**words))).terms for words in ({}, {"confidence_threshold": 0.95})]
    assert results[0]["confident"] == results[1]["confident"]
    assert Watched(build(**pseudo(confidence_threshold=0.3))).terms["confident"] != results[0]["confident"]
