"""Each switch of the contrastive module against the naive double sum and a ranking done by hand."""

import pytest
import torch
from oracles import contrastive as oracle
from torch import Tensor

from semiseg.contrastive import ContrastiveConfig, ContrastiveModule, downsample_labels, rows
from semiseg.networks import Output

CLASSES = 3


def generator(seed: int = 2) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def module(labelled: int = 8, batch_size: int = 2, **changes: object) -> ContrastiveModule:
    """Students and teachers differ, as they do after a few steps."""
    torch.manual_seed(0)
    config = ContrastiveConfig(**{"bank_size": 16, "dim": 8, **changes})  # type: ignore[arg-type]
    contrast = ContrastiveModule(config, 5, CLASSES, labelled, batch_size)
    with torch.no_grad():
        for teacher, _ in contrast.teacher_pairs():
            for parameter in teacher.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape))
        for name, buffer in contrast.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.add_(0.1 * torch.rand(buffer.shape))
    return contrast.eval()


def scene(images: int = 2, ignored: int = 0) -> tuple[Output, Tensor]:
    """Features at stride 8 of 32x32 images, the teacher sure and right; the first ``ignored`` cells have no label."""
    cells = torch.randint(0, CLASSES, (images, 4, 4), generator=generator(5))
    logits = torch.nn.functional.one_hot(cells, CLASSES).permute(0, 3, 1, 2) * 9.0
    cells.flatten()[:ignored] = 255
    features = torch.randn(images, 5, 4, 4, generator=generator(6))
    return Output(logits, features), cells.repeat_interleave(8, 1).repeat_interleave(8, 2)


SWITCHES: list[dict[str, object]] = [
    {}, {"attention": False}, {"bank_weights": "ones"}, {"separate": True}, {"separate": True, "attention": False},
    {"least_score": 0.5}, {"effective_weight": 0.5}, {"effective_weight": 0.5, "separate": True, "least_score": 0.5},
    {"effective_weight": 0.5, "bank_weights": "ones"}, {"effective_weight": 0.5, "attention": False},
]  # fmt: skip


@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_the_loss_is_the_double_sum_over_all_pairs(changes: dict[str, object]) -> None:
    contrast = module(**changes)
    contrast.fill_bank(*scene(), generator())
    out, labels = scene(images=3, ignored=7)
    found = contrast.loss(out.features, labels, labelled=1)

    flat = downsample_labels(labels, (4, 4)).flatten()
    p = contrast.prediction(contrast.projection(rows(out.features)))
    z, z_labels = contrast.bank.vectors, contrast.bank.labels
    ones = changes.get("attention") is False
    s_p = torch.ones(len(p)) if ones else contrast.attention_p(p, flat)
    s_z = torch.ones(len(z)) if ones or "bank_weights" in changes else contrast.attention_z(z, z_labels)
    if "least_score" in changes:
        s_p, s_z = 0.5 + 0.5 * s_p, 0.5 + 0.5 * s_z
    parts = [slice(0, 16), slice(16, None)] if "separate" in changes else [slice(None)]
    by_hand = [oracle(p[s].double(), flat[s], s_p[s].double(), z.double(), z_labels, s_z.double(), CLASSES)
               for s in parts]  # fmt: skip
    weight = changes.get("effective_weight", 0)  # each of the separate losses has its own penalty
    penalty = sum(lost(s_p[s], flat[s]) + lost(s_z, z_labels) for s in parts)
    wanted = torch.stack(by_hand).sum().item() + float(weight) * penalty  # type: ignore[arg-type]
    assert found.item() == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    assert found > 0.1
    assert penalty > 1e-3 or ones or "bank_weights" in changes


def lost(scores: Tensor, labels: Tensor) -> float:
    """1 - (Σw)²/(n Σw²), mean over the classes present."""
    of_class = [scores[labels == c].detach().double() for c in range(CLASSES) if (labels == c).any()]
    return sum(1 - float(w.sum() ** 2 / (len(w) * (w**2).sum())) for w in of_class) / len(of_class)


def test_the_penalty_keeps_the_attention_from_choosing() -> None:
    """Trained by Adam, which feels no λ, attention takes the few vectors that agree; the penalty's weight counts."""
    shares = []
    for weight in (0.0, 2.0):
        contrast = module(effective_weight=weight, bank_size=64, labelled=1).train()
        contrast.fill_bank(*scene(images=8), generator())
        out, labels = scene(images=8)
        attention = [*contrast.attention_p.parameters(), *contrast.attention_z.parameters()]
        optimiser = torch.optim.AdamW(attention, lr=0.05)
        for _ in range(20):
            optimiser.zero_grad()
            (0.1 * contrast.loss(out.features, labels, 4)).backward()
            optimiser.step()
        share = contrast.measures()["bank_effective"]
        assert share is not None
        shares.append(share)
    assert shares[0] < 0.5 < 0.8 < shares[1]


def test_ignored_pixels_have_no_part_in_loss_gradient_or_statistics() -> None:
    out, labels = scene(images=2, ignored=9)
    results = []
    for value in (0.0, 50.0):
        contrast = module().train()
        contrast.fill_bank(*scene(), generator())
        features = out.features.clone()
        hidden = (downsample_labels(labels, (4, 4)) == 255)[:, None].expand_as(features)
        features[hidden] = value
        features.requires_grad_()
        loss = contrast.loss(features, labels, 1)
        loss.backward()
        assert features.grad is not None
        assert (features.grad[hidden] == 0).all() and (features.grad[~hidden] != 0).any()
        results.append((loss.detach(), contrast.projection.norm.running_mean.clone()))
    torch.testing.assert_close(results[0], results[1])


def test_nothing_to_compare_is_zero_with_a_finite_gradient() -> None:
    out, labels = scene()
    for case in ("empty bank", "all ignored", "classes apart"):
        contrast = module().train()
        if case != "empty bank":
            contrast.fill_bank(*scene(), generator())
        if case == "classes apart":
            contrast.bank.counts[1:] = 0
        y = {"all ignored": torch.full_like(labels, 255), "classes apart": labels.clamp_min(1)}.get(case, labels)
        features = out.features.clone().requires_grad_()
        loss = contrast.loss(features, y, 1)
        loss.backward()
        assert loss == 0, case
        assert features.grad is not None and (features.grad == 0).all(), case
        assert all(torch.isfinite(p.grad).all() for p in contrast.parameters() if p.grad is not None), case


@pytest.mark.parametrize("keep", ["highest", "lowest"])
@pytest.mark.parametrize("ranking", ["projection", "prediction"])
@pytest.mark.parametrize("scope", ["image", "batch"])
def test_the_bank_takes_the_named_end_of_the_named_ranking(keep: str, ranking: str, scope: str) -> None:
    contrast = module(bank_keep=keep, ranking=ranking, bank_scope=scope)
    out, labels = scene()
    contrast.fill_bank(out, labels, generator())
    attention = contrast.teacher_attention_z if ranking == "projection" else contrast.teacher_attention_p
    z = contrast.teacher_projection(rows(out.features))
    flat = downsample_labels(labels, (4, 4)).flatten()
    scores = attention(z, flat).tolist()
    # ψ = 16 and 8 labelled images: 2 of each image, or 2 images · round(16/8) = 4 of both together.
    groups = [range(16), range(16, 32)] if scope == "image" else [range(32)]
    count = 2 if scope == "image" else 4
    for c in range(CLASSES):
        wanted = []
        for group in groups:
            members = [k for k in group if flat[k] == c]
            wanted += sorted(members, key=lambda k: scores[k], reverse=keep == "highest")[:count]
        torch.testing.assert_close(contrast.bank.vectors[contrast.bank.labels == c], z[wanted])


@pytest.mark.parametrize(
    ("scope", "size", "labelled", "batch", "expected"),
    [("image", 256, 100, 5, 2), ("image", 256, 1000, 5, 1), ("batch", 256, 100, 5, 15), ("batch", 256, 1000, 5, 1)],
)
def test_how_many_vectors_enter(scope: str, size: int, labelled: int, batch: int, expected: int) -> None:
    assert module(labelled, batch, bank_scope=scope, bank_size=size).per_image == expected


def test_without_attention_the_ranking_is_drawn_from_the_generator() -> None:
    def stored(seed: int) -> Tensor:
        contrast = module(attention=False, labelled=16)
        contrast.fill_bank(*scene(), generator(seed))
        return contrast.bank.vectors

    assert torch.equal(stored(1), stored(1))
    assert len({tuple(stored(seed).flatten().tolist()) for seed in range(4)}) > 1


def test_teacher_features_come_from_the_teachers_projection_only() -> None:
    out, labels = scene()
    for teacher_features in (True, False):
        contrast = module(teacher_features=teacher_features, attention=False, labelled=1, bank_size=32)
        contrast.fill_bank(out, labels, generator())
        head = contrast.teacher_projection if teacher_features else contrast.projection
        z, flat = head(rows(out.features)), downsample_labels(labels, (4, 4)).flatten()
        for c in range(CLASSES):
            found, wanted = contrast.bank.vectors[contrast.bank.labels == c], z[flat == c]
            torch.testing.assert_close(found.sort(0).values, wanted.sort(0).values)
        assert not contrast.bank.slots.requires_grad


@pytest.mark.parametrize("quality_filter", [True, False])
def test_ignored_pixels_move_no_batch_statistics_of_the_teacher(quality_filter: bool) -> None:
    """With the teacher on batch statistics (authors' code) the bank must not depend on what has no label."""
    out, labels = scene(ignored=6)
    stored = []
    for value in (0.0, 50.0):
        contrast = module(quality_filter=quality_filter).train()
        features = out.features.clone()
        features[(downsample_labels(labels, (4, 4)) == 255)[:, None].expand_as(features)] = value
        contrast.fill_bank(Output(out.logits, features), labels, generator())
        stored.append(contrast.bank.vectors)
    assert len(stored[0]) > 0
    torch.testing.assert_close(stored[0], stored[1])


def test_an_attention_that_chooses_one_vector_is_noticed() -> None:
    """The loss is then small whatever the features are, and teaches them nothing."""
    contrast = module()
    assert contrast.measures()["bank_effective"] is None and contrast.remarks(contrast.measures()) == []
    contrast.fill_bank(*scene(images=4), generator())
    even = contrast.measures()["bank_effective"]
    assert even is not None and 0.5 < even <= 1 and contrast.remarks(contrast.measures()) == []
    first = torch.arange(len(contrast.bank.labels)) % 8 == 0  # eight vectors a class
    for least, share in ((0.0, 1 / 8), (0.5, (1 + 7 / 2) ** 2 / (8 * (1 + 7 / 4)))):
        chooser = module(least_score=least)
        chooser.load_state_dict(contrast.state_dict())
        chooser.attention_z.forward = lambda *_: torch.where(first, 1.0, 1e-9)  # type: ignore[method-assign]
        found = chooser.measures()
        assert found["bank_effective"] == pytest.approx(share)
        assert ["least_score=0.5" in remark for remark in chooser.remarks(found)] == [True] * (least == 0)


def test_measuring_moves_no_statistics() -> None:
    contrast = module().train()
    contrast.fill_bank(*scene(images=4), generator())
    before = {name: value.clone() for name, value in contrast.state_dict().items()}
    contrast.measures()
    assert contrast.training and contrast.attention_z.training
    for name, value in contrast.state_dict().items():
        assert torch.equal(value, before[name]), name
