"""ReCo's step by hand, from what went through student and teacher."""

from typing import Any

import oracles
import pytest
import torch
from by_hand import made
from torch import Tensor

from semiseg.losses import regional_contrast
from semiseg.methods import Batch, Method, Step
from semiseg.methods import reco as module
from semiseg.networks import Output, upsample

HEIGHT, WIDTH, CLASSES = 32, 48, 4


def build(**changes: object) -> Method:
    usual = {"method__pseudo__confidence_threshold": 0.35, "method__reco__contrastive__least_confidence": 0.3}
    return made("reco", CLASSES, 20, method__profile="equal", **usual | changes)


def batches() -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.randint(0, CLASSES, (5, 4, 6), generator=g).repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[:, :5] = 255
    return Batch(images[:2], labels[:2]), Batch(images[2:], torch.full_like(labels[2:], 255))


def watched(
    method: Method, monkeypatch: pytest.MonkeyPatch, unlabelled: Batch | None = None, iteration: int = 3
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The terms of a step, images and outputs of student ("s") and teacher ("t"), and what L_reco was asked ("r")."""
    seen: dict[str, Any] = {}

    def keep(name: str) -> Any:
        return lambda _, inputs, output: seen.update({name: (inputs[0].detach(), output)})

    def reco(*words: Any) -> Tensor:
        seen["r"] = words
        return regional_contrast(*words)

    monkeypatch.setattr(module, "regional_contrast", reco)
    hooks = [m.register_forward_hook(keep(n)) for n, m in (("s", method.student), ("t", method.teacher))]
    labelled, crops = batches()
    terms = method.losses(Step(labelled, unlabelled or crops, iteration, torch.Generator().manual_seed(4)))
    for hook in hooks:
        hook.remove()
    return terms, seen


def full(output: Output) -> Tensor:
    return upsample(output.logits, (HEIGHT, WIDTH)).detach()


@pytest.mark.parametrize("mix", ["classmix", "cutmix"])
def test_each_image_weighs_as_much_of_it_is_confident(mix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terms, seen = watched(build(method__reco__pseudo__mix=mix), monkeypatch)
    (student_images, student), (teacher_images, teacher) = seen["s"], seen["t"]
    assert torch.equal(teacher_images, batches()[1].images), "the clean crop"
    sure, y = full(teacher).softmax(1).max(1)
    pasted = (student_images[2:] == teacher_images.roll(1, 0)).all(1)
    assert pasted.any() and not pasted.all()
    target, confidence = (torch.where(pasted, t.roll(1, 0), t) for t in (y, sure))
    eta = (confidence >= 0.35).double().mean((1, 2))
    assert 0 < eta.min() < eta.max() < 1
    each = [oracles.cross_entropy(full(student)[2 + i : 3 + i], target[i : i + 1])[0] for i in range(3)]
    assert terms["pseudo"].item() == pytest.approx(
        sum(float(w) * x for w, x in zip(eta, each, strict=True)) / 3, rel=1e-4
    )
    torch.testing.assert_close(terms["confident"].double(), eta.mean())
    torch.testing.assert_close(terms["loss"], terms["supervised"] + terms["pseudo"] + terms["contrastive"])


def test_labelled_and_sure_pixels_are_contrasted_and_the_less_sure_of_them_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    terms, seen = watched(build(method__reco__pseudo__mix="cutmix"), monkeypatch)
    vectors, labels, hard, classes = seen["r"][:4]
    assert classes == CLASSES and terms["contrastive"] > 0
    logits = seen["s"][1].logits.detach()
    height, width = logits.shape[-2:]
    assert len(vectors) == len(labels) == 5 * height * width
    pasted = (seen["s"][0][2:] == seen["t"][0].roll(1, 0)).all(1)
    sure, y = full(seen["t"][1]).softmax(1).max(1)
    target, confidence = (torch.where(pasted, t.roll(1, 0), t) for t in (y, sure))
    at_full = torch.cat([batches()[0].labels, target.where(confidence >= 0.3, 255)])
    rows, columns = (((torch.arange(n) + 0.5) * size / n).long() for n, size in ((height, HEIGHT), (width, WIDTH)))
    small = at_full[:, rows][:, :, columns]
    assert torch.equal(labels, small.flatten())
    assert (small[2:] == 255).any() and (small[2:] != 255).any() and (small[:2] == 255).any()
    p = logits.softmax(1).permute(0, 2, 3, 1).flatten(0, 2)
    for i in (small.flatten() != 255).nonzero().flatten().tolist():
        assert bool(hard[i]) is bool(p[i, small.flatten()[i]] < 0.35)


def test_it_rests_in_the_warmup_and_without_a_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    terms, seen = watched(build(), monkeypatch, iteration=0)
    assert terms["contrastive"] == 0 and "r" not in seen
    torch.testing.assert_close(terms["loss"], terms["supervised"])
    terms, seen = watched(build(method__reco__weights__contrastive=0), monkeypatch)
    assert terms["contrastive"] == 0 and "r" not in seen
    terms, _ = watched(build(method__reco__weights__contrastive=0.5), monkeypatch)
    torch.testing.assert_close(terms["loss"], terms["supervised"] + terms["pseudo"] + 0.5 * terms["contrastive"])


def test_padding_is_no_query_no_key_and_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, 16:] = False
    method = build(method__reco__pseudo__mix="cutmix", method__reco__pseudo__confidence_threshold=0)
    terms, seen = watched(method, monkeypatch, batches()[1]._replace(inside=inside))
    assert terms["confident"].item() == pytest.approx(1)
    pasted = (seen["s"][0][2:] == seen["t"][0].roll(1, 0)).all(1)
    y = full(seen["t"][1]).argmax(1)
    shown = torch.where(pasted, y.roll(1, 0), y).where(inside, 255)  # padding is at the bottom of all
    by_hand = 2 * oracles.cross_entropy(full(seen["s"][1])[2:], shown)[0]  # of half of the pixels
    assert terms["pseudo"].item() == pytest.approx(by_hand, rel=1e-4)
    labels = seen["r"][1].view(5, *seen["s"][1].logits.shape[-2:])
    assert (labels[2:, labels.shape[1] // 2 :] == 255).all() and (labels[2:, : labels.shape[1] // 2] != 255).any()
    terms, seen = watched(build(), monkeypatch, batches()[1]._replace(inside=inside & False))
    assert terms["pseudo"] == 0 and torch.isfinite(terms["loss"])


def test_the_contrast_teaches_head_and_student_and_no_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build()
    terms, _ = watched(method, monkeypatch)
    terms["contrastive"].backward()
    assert all(p.grad is not None for p in method.projection.parameters())
    assert method.student.backbone.conv1.weight.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert all(p.grad is None for p in method.teacher.parameters())
    heads = [g for g in method.groups() if g.name == "heads"]
    assert [len(g.parameters) for g in heads] == [len(list(method.projection.parameters()))]
    cost = method.cost(2, 3)
    assert (cost.student, cost.teacher, list(cost.modules)) == ((2, 3), 3, ["projection"])
