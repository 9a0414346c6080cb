"""The contrastive module in a plain loop: what fills the bank, what the loss sees."""

import pytest
import torch

from semiseg.contrastive import ContrastiveConfig, ContrastiveModule, downsample_labels, rows
from semiseg.losses import contrastive_loss
from semiseg.networks import Output


def module(**changes: object) -> ContrastiveModule:
    torch.manual_seed(0)
    config = ContrastiveConfig(bank_size=16, dim=8, **changes)  # type: ignore[arg-type]
    return ContrastiveModule(config, feature_dim=5, num_classes=3, labelled=4, batch_size=2)


def output(confident: float = 9.0) -> tuple[Output, torch.Tensor]:
    """Two images of 32x32 pixels, features at stride 8, the teacher right everywhere."""
    labels = torch.arange(2 * 16).view(2, 4, 4) % 3
    logits = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2) * confident
    features = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(1))
    return Output(logits, features), labels.repeat_interleave(8, 1).repeat_interleave(8, 2)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def test_bank_holds_the_best_ranked_teacher_projections_of_each_image_and_class() -> None:
    contrast = module().eval()
    out, labels = output()
    contrast.fill_bank(out, labels, generator())
    z = contrast.teacher_projection(rows(out.features), stand_in=True)
    small = downsample_labels(labels, (4, 4)).flatten()
    scores = contrast.teacher_attention_z(z, small, stand_in=True)
    image = torch.arange(2).repeat_interleave(16)
    expected = []
    for c in range(3):
        for i in range(2):
            members = torch.nonzero((small == c) & (image == i))[:, 0]
            expected += [z[k] for k in sorted(members.tolist(), key=lambda k: -scores[k].item())[:4]]
    torch.testing.assert_close(contrast.bank.vectors, torch.stack(expected))


@pytest.mark.parametrize(("confident", "filled"), [(9.0, True), (3.0, False)])
def test_quality_filter_stands_before_the_bank(confident: float, filled: bool) -> None:
    contrast = module()
    contrast.fill_bank(*output(confident), generator())
    assert bool(contrast.bank.counts.sum() > 0) is filled
    wrong, labels = output()
    other = module()
    other.fill_bank(Output(-wrong.logits, wrong.features), labels, generator())
    assert other.bank.counts.sum() == 0


def test_filling_moves_no_statistics_of_the_student() -> None:
    for teacher_features in (True, False):
        contrast = module(teacher_features=teacher_features).train()
        for teacher, _ in contrast.teacher_pairs():
            teacher.eval()
        before = {k: v.clone() for k, v in contrast.state_dict().items() if "bank" not in k}
        contrast.fill_bank(*output(), generator())
        after = contrast.state_dict()
        assert all(torch.equal(before[k], after[k]) for k in before)
        assert contrast.projection.training


def test_loss_is_eqs_8_to_11_on_heads_and_attention() -> None:
    contrast = module()
    out, labels = output()
    contrast.fill_bank(out, labels, generator())
    contrast.eval()
    loss = contrast.loss(out.features, labels, labelled=1)
    flat = downsample_labels(labels, (4, 4)).flatten()
    p = contrast.prediction(contrast.projection(rows(out.features)))
    z, z_labels = contrast.bank.vectors, contrast.bank.labels
    expected = contrastive_loss(
        p, flat, contrast.attention_p(p, flat), z, z_labels, contrast.attention_z(z, z_labels), 3
    )
    torch.testing.assert_close(loss, expected)


def test_finer_features_are_averaged_to_stride_8_unless_asked_otherwise() -> None:
    fine = torch.randn(2, 5, 8, 8, generator=generator())
    pooled = module().at_stride(fine, 32)
    assert pooled.shape == (2, 5, 4, 4)
    torch.testing.assert_close(pooled[:, :, 0, 0], fine[:, :, :2, :2].mean((2, 3)))
    assert module(feature_stride="network").at_stride(fine, 32) is fine
    coarse = torch.randn(2, 5, 2, 2)
    assert module().at_stride(coarse, 32) is coarse


def test_labels_are_taken_at_the_middle_of_each_cell() -> None:
    labels = torch.arange(64).view(1, 8, 8)
    assert downsample_labels(labels, (2, 2))[0].tolist() == [[18, 22], [50, 54]]


def test_half_precision_passes_keep_the_loss_in_single() -> None:
    contrast = module()
    out, labels = output()
    contrast.fill_bank(out, labels, generator())
    contrast.eval()
    with torch.autocast("cpu", torch.bfloat16):
        half = contrast.loss(out.features.bfloat16(), labels, 1)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, contrast.loss(out.features, labels, 1), rtol=0.02, atol=0.02)
