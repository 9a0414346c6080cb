"""U2PL's step by hand: the reliable share, whose queue an anchor meets, and what the queues take."""

from typing import Any

import oracles
import pytest
import torch
from by_hand import made
from torch import Tensor

from semiseg.contrastive import downsample_labels, rows
from semiseg.losses import info_nce, unlikely
from semiseg.methods import Batch, Method, Step
from semiseg.methods import u2pl as module
from semiseg.networks import Output, upsample

HEIGHT, WIDTH, CLASSES = 32, 48, 5


def build(**changes: object) -> Method:
    usual = {"training__iterations": 16, "method__u2pl__contrastive__least_probability": 0.2}
    return made("u2pl", CLASSES, 20, **usual | changes)


def batches(present: tuple[int, ...] = (0, 1, 2, 3, 4)) -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, HEIGHT, WIDTH, generator=g)
    labels = torch.tensor(present)[torch.randint(0, len(present), (5, 4, 6), generator=g)]
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[:, :5] = 255
    return Batch(images[:2], labels[:2]), Batch(images[2:], torch.full_like(labels[2:], 255))


class Seen(dict[str, Any]):
    """What went through student ("s") and teacher (list "t"), what L_c was asked ("c"), and L_c by class ("l")."""


def watched(
    method: Method, monkeypatch: pytest.MonkeyPatch, given: tuple[Batch, Batch] | None = None, iteration: int = 8
) -> tuple[dict[str, Tensor], Seen]:
    seen = Seen(t=[])

    def nce(*words: Any) -> Tensor:
        seen["c"], seen["l"] = words, info_nce(*words)
        return seen["l"]

    monkeypatch.setattr(module, "info_nce", nce)
    hooks = [
        method.student.register_forward_hook(lambda _, x, output: seen.update(s=(x[0].detach(), output))),
        method.teacher.register_forward_hook(lambda _, x, output: seen["t"].append((x[0].detach(), output))),
    ]
    terms = method.losses(Step(*(given or batches()), iteration, torch.Generator().manual_seed(4)))
    for hook in hooks:
        hook.remove()
    return terms, seen


def full(output: Output) -> Tensor:
    return upsample(output.logits, (HEIGHT, WIDTH)).detach()


def of_mixed(seen: Seen) -> tuple[Tensor, Tensor]:
    """Pseudo-labels and the teacher's entropy on the mixed crops, by hand."""
    mixed, clean = seen["s"][0][2:], seen["t"][0][0]
    pasted = (mixed == clean.roll(1, 0)).all(1)
    assert pasted.any() and torch.equal(seen["t"][1][0], seen["s"][0]), "the teacher sees what the student sees"
    y = full(seen["t"][0][1]).argmax(1)
    p = full(seen["t"][1][1])[2:].double().softmax(1)
    return torch.where(pasted, y.roll(1, 0), y), -(p * p.log()).sum(1)


@pytest.mark.parametrize(("iteration", "share"), [(4, 0.85), (8, 0.9), (16, 1.0)])
def test_the_reliable_share_grows_and_weighs_the_more_the_smaller_it_is(
    iteration: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms, seen = watched(build(method__pseudo__mix_probability=1), monkeypatch, iteration=iteration)
    y, entropy = of_mixed(seen)
    n = y.numel()
    kept = entropy <= entropy.flatten().sort().values[int(share * n + 1e-6) - 1] + 1e-7
    assert terms["reliable"].item() == pytest.approx(share, abs=2 / n)
    total = oracles.cross_entropy(full(seen["s"][1])[2:], y.where(kept, 255))[0] * n
    count = int(kept.sum())
    assert terms["pseudo"].item() == pytest.approx(n / count * total / count, rel=2e-3)
    torch.testing.assert_close(terms["loss"], terms["supervised"] + terms["pseudo"] + terms["contrastive"])


def test_padding_is_neither_reliable_nor_unreliable(monkeypatch: pytest.MonkeyPatch) -> None:
    labelled, unlabelled = batches()
    inside = torch.ones(3, HEIGHT, WIDTH, dtype=torch.bool)
    inside[:, 16:] = False
    asked: list[Tensor] = []
    monkeypatch.setattr(module, "unlikely", lambda p, y, unsure, *r: asked.append(unsure) or unlikely(p, y, unsure, *r))
    terms, seen = watched(build(), monkeypatch, (labelled, unlabelled._replace(inside=inside)))
    assert terms["reliable"].item() == pytest.approx(0.9, abs=0.01), "of what is no padding"
    unsure = asked[0].view(5, *seen["s"][1].logits.shape[-2:])
    assert unsure[2:].any() and not unsure[:2].any() and not unsure[2:, unsure.shape[1] // 2 :].any()
    terms, _ = watched(build(), monkeypatch, (labelled, unlabelled._replace(inside=inside & False)))
    assert terms["pseudo"] == 0 and torch.isfinite(terms["loss"])


def test_an_anchor_meets_the_queue_of_its_own_class_whichever_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published pairing gives anchors of class 2 the queue of class 0 or 1 where those are absent."""
    method = build(method__u2pl__contrastive__dim=CLASSES, method__u2pl__contrastive__keys=3)
    monkeypatch.setattr(module.U2PL, "push", lambda *words: None)
    own = torch.randn(CLASSES, CLASSES, generator=torch.Generator().manual_seed(9))
    own = torch.nn.functional.normalize(own, dim=1)
    method.bank.slots.copy_(own[:, None].expand_as(method.bank.slots))  # all vectors of a queue are alike
    method.bank.counts.fill_(method.bank.size)
    method.bank.counts[3] = 0
    with torch.no_grad():
        method.teacher.classifier.bias[:2] = -1e4  # never predicted, and not among the labels
    terms, seen = watched(method, monkeypatch, batches((2, 3, 4)))
    queries, filled, means = seen["c"][:3]
    assert not filled[[0, 1, 3]].any() and filled[2].any() and filled[4].any()
    total = 0.0
    for c in (2, 4):
        each = [oracles.info_nce(q.double(), means[c].double(), own[c].double().expand(3, -1), 0.5)
                for q in queries[c][filled[c]].detach()]  # fmt: skip
        total += float(torch.stack(each).mean())
    assert terms["contrastive"].item() == pytest.approx(total / 3, rel=1e-5), "class 3 is present, its queue empty"


def test_anchors_their_mean_and_what_the_queues_take(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build(method__u2pl__contrastive__bank_size=400, method__u2pl__contrastive__queries=999)
    terms, seen = watched(method, monkeypatch)
    assert terms["contrastive"] > 0
    teacher, student = seen["t"][1][1], seen["s"][1]
    size = student.features.shape[-2:]
    mixed = (seen["s"][0][2:] == seen["t"][0][0].roll(1, 0)).all(1)
    y = full(seen["t"][0][1]).argmax(1)
    y = torch.where(mixed, y.roll(1, 0), y)
    p = full(teacher)[2:].double().softmax(1)
    entropy = -(p * p.log()).sum(1)
    sure = entropy <= entropy.flatten().sort().values[int(0.9 * y.numel() + 1e-6) - 1] + 1e-7
    labels = downsample_labels(torch.cat([batches()[0].labels, y.where(sure, 255)]), size).flatten()
    unsure = torch.cat([torch.zeros_like(sure[:2]), ~sure])
    unsure = downsample_labels(unsure, size).flatten().bool()
    p = teacher.logits.permute(1, 0, 2, 3).flatten(1).softmax(0)
    z = method.teacher_projection(rows(teacher.features), (labels != 255) | unsure, True)
    truth = labels.clone()
    truth[2 * size.numel() :] = 255
    negatives = unlikely(p, truth, unsure)
    assert negatives[:, : 2 * size.numel()].any() and negatives[:, 2 * size.numel() :].any()
    assert method.bank.counts.tolist() == negatives.sum(1).tolist()
    for c in range(CLASSES):
        anchors = (labels == c) & (p[c] > 0.2)
        assert seen["c"][1][c].sum() == anchors.sum()
        if anchors.any():
            similar = torch.cosine_similarity(seen["c"][2][c], z[anchors].mean(0), dim=0)
            assert similar.item() == pytest.approx(1, abs=1e-5)
        stored = method.bank.vectors[method.bank.labels == c]
        wanted = torch.nn.functional.normalize(z[negatives[c]], dim=1)
        torch.testing.assert_close(stored.sort(0).values, wanted.sort(0).values)
    vectors = method.vectors(student.features, labels != 255).detach()
    first = seen["c"][0][0][seen["c"][1][0]].detach()
    torch.testing.assert_close(first.sort(0).values, vectors[(labels == 0) & (p[0] > 0.2)].sort(0).values)


def test_gradients_reach_the_student_alone_and_the_teachers_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build()
    terms, _ = watched(method, monkeypatch)
    terms["contrastive"].backward()
    assert method.student.backbone.conv1.weight.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert all(p.grad is not None for p in method.projection.parameters())
    assert all(p.grad is None for teacher, _ in method.averages() for p in teacher.parameters())
    assert [student for _, student in method.averages()] == [method.student, method.projection]
    assert not method.bank.slots.requires_grad
    assert method.cost(2, 3).teacher == 2 + 3 + 3


def test_the_queues_are_in_the_state_and_it_rests_in_the_warmup(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build()
    terms, seen = watched(method, monkeypatch, iteration=0)
    assert terms["contrastive"] == 0 == terms["bank_filled"] and "c" not in seen
    terms, _ = watched(method, monkeypatch)
    assert terms["bank_filled"] > 0
    other = build(training__seed=1)
    other.load_state_dict(method.state_dict())
    again, _ = watched(method, monkeypatch, iteration=9)
    resumed, _ = watched(other, monkeypatch, iteration=9)
    assert {k: v.item() for k, v in again.items()} == {k: v.item() for k, v in resumed.items()}
