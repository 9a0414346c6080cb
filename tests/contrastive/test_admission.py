"""PixCon's rules of admission, and the switch by which other classes repel."""

import pytest
import torch
from oracles import against_bank as oracle
from torch import Tensor

from semiseg.contrastive import ContrastiveConfig, ContrastiveModule, admitted_labels, downsample_labels, rows
from semiseg.contrastive.cost import contrastive_flops, contrastive_kept
from semiseg.networks import Output

CLASSES = 3


def module(**changes: object) -> ContrastiveModule:
    torch.manual_seed(0)
    config = ContrastiveConfig(**{"bank_size": 64, "dim": 8, "attention": False, **changes})  # type: ignore[arg-type]
    return ContrastiveModule(config, 5, CLASSES, labelled=1).eval()


def scene() -> tuple[Output, Tensor]:
    """Two images of 4x6 cells: a teacher that is often wrong and of all degrees of confidence; some cells ignored."""
    g = torch.Generator().manual_seed(3)
    cells = torch.randint(0, CLASSES, (2, 4, 6), generator=g)
    logits = 3 * torch.randn(2, CLASSES, 4, 6, generator=g)
    cells[0, 0], cells[1, 3, 3] = 255, -1
    labels = cells.repeat_interleave(8, 1).repeat_interleave(8, 2)
    return Output(logits, torch.randn(2, 5, 4, 6, generator=g)), labels


@pytest.mark.parametrize("rule", ["right", "labelled", "confident"])
def test_each_rule_pixel_by_pixel(rule: str) -> None:
    out, labels = scene()
    p, small = out.logits.softmax(1), downsample_labels(labels, (4, 6))
    found = admitted_labels(p, small, rule, 0.8)  # type: ignore[arg-type]
    wrong = 0
    for b, y, x in torch.ones_like(small).nonzero().tolist():
        label, predicted = int(small[b, y, x]), int(p[b, :, y, x].argmax())
        passes = label in range(CLASSES) and {
            "right": predicted == label, "labelled": True, "confident": bool(p[b, predicted, y, x] > 0.8)
        }[rule]  # fmt: skip
        assert found[b, y, x] == ((predicted if rule == "confident" else label) if passes else -1)
        wrong += passes and found[b, y, x] != label
    assert bool(wrong) is (rule == "confident"), "no other rule stores a vector under a wrong class"
    assert 0 < (found >= 0).sum() < found.numel()


@pytest.mark.parametrize("rule", ["right", "labelled", "confident"])
def test_the_bank_takes_what_the_rule_admits(rule: str) -> None:
    contrast = module(quality_rule=rule, quality_threshold=0.8)
    out, labels = scene()
    contrast.fill_bank(out, labels, torch.Generator().manual_seed(1))
    small = downsample_labels(labels, (4, 6))
    admitted = admitted_labels(out.logits.softmax(1), small, rule, 0.8).flatten()  # type: ignore[arg-type]
    z = contrast.teacher_projection(rows(out.features), (small.flatten() >= 0) & (small.flatten() < CLASSES), True)
    for c in range(CLASSES):
        stored, wanted = contrast.bank.vectors[contrast.bank.labels == c], z[admitted == c]
        assert len(wanted) > 0
        torch.testing.assert_close(stored.sort(0).values, wanted.sort(0).values)


def test_labelled_is_no_filter_and_right_is_the_papers_rule_without_its_threshold() -> None:
    pairs = [({"quality_rule": "labelled"}, {"quality_filter": False}),
             ({"quality_rule": "right"}, {"quality_rule": "threshold", "quality_threshold": 0.0})]  # fmt: skip
    for changes in pairs:
        banks = []
        for words in changes:
            contrast = module(**words)
            contrast.fill_bank(*scene(), torch.Generator().manual_seed(1))
            banks.append(contrast.bank)
        assert torch.equal(banks[0].slots, banks[1].slots) and torch.equal(banks[0].counts, banks[1].counts)


@pytest.mark.parametrize(
    "changes",
    [{}, {"separate": True}, {"attention": True, "temperature": 0.5}, {"attention": True, "least_score": 0.5}],
    ids=str,
)
def test_other_classes_repel(changes: dict[str, object]) -> None:
    contrast = module(negatives=True, quality_rule="labelled", **changes)
    contrast.fill_bank(*scene(), torch.Generator().manual_seed(1))
    out, labels = scene()
    features = out.features.clone().requires_grad_()
    found = contrast.loss(features, labels, labelled=1)
    flat = downsample_labels(labels, (4, 6)).flatten()
    p = contrast.prediction(contrast.projection(rows(features)))
    scores = contrast.attention_p(p, flat) if changes.get("attention") else torch.ones(len(p))
    scores = 0.5 + 0.5 * scores if "least_score" in changes else scores
    z, temperature = contrast.bank, float(changes.get("temperature", 0.1))  # type: ignore[arg-type]
    parts = [slice(0, 24), slice(24, None)] if "separate" in changes else [slice(None)]
    by_hand = [oracle(p[s].double(), flat[s], scores[s].double(), z.vectors.double(), z.labels, CLASSES, temperature)
               for s in parts]  # fmt: skip
    assert found.item() == pytest.approx(torch.stack(by_hand).sum().item(), rel=1e-4)
    found.backward()
    assert features.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert all(p.grad is None for p in contrast.attention_z.parameters()), "the bank's vectors have no weights"
    assert contrast.measures()["bank_effective"] == 1


def test_it_keeps_apart_what_attraction_alone_lets_fall_together() -> None:
    """Trained on features that tell nothing, the paper's loss falls, since all may become alike; this one does not."""
    losses = {}
    for negatives in (False, True):
        contrast = module(negatives=negatives, quality_rule="labelled")
        contrast.fill_bank(*scene(), torch.Generator().manual_seed(1))
        contrast.bank.slots.copy_(torch.nn.functional.normalize(torch.ones_like(contrast.bank.slots), dim=-1))
        out, labels = scene()
        losses[negatives] = []
        optimiser = torch.optim.SGD([*contrast.projection.parameters(), *contrast.prediction.parameters()], lr=0.5)
        for _ in range(30):
            optimiser.zero_grad()
            loss = contrast.loss(out.features, labels, 1)
            loss.backward()
            optimiser.step()
            losses[negatives].append(loss.item())
    assert losses[False][-1] < 0.2 * losses[False][0]
    assert losses[True][-1] == pytest.approx(losses[True][0], rel=1e-3), "of a bank where all classes are one vector"


def test_every_pair_is_counted_and_no_table_of_them_is_kept() -> None:
    config = ContrastiveConfig(bank_size=64, dim=8)
    maps = Output(*(torch.empty(1, width, 4, 6, device="meta") for width in (CLASSES, 5)))
    flops, kept = {}, {}
    for negatives in (False, True):
        with torch.device("meta"):
            contrast = ContrastiveModule(config.model_copy(update={"negatives": negatives}), 5, CLASSES, labelled=1)
        flops[negatives] = contrastive_flops(contrast, maps, (32, 48))
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            contrastive_kept(contrast, Output(*(part.clone().requires_grad_() for part in maps)), (32, 48))
        kept[negatives] = max(sizes)
    p, z = 2 * 24, CLASSES * 64
    assert flops[True]["distances"] == 3 * 2 * p * z * 8
    assert flops[False]["attention"] - flops[True]["attention"] == 2 * (8**2 + 8) * z
    assert kept[True] <= kept[False]
