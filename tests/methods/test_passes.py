"""``training.passes``: the student on all parts at once, or on one after the other."""

import pytest
import torch
from torch import Tensor

from semiseg import Config
from semiseg.methods import Batch, Method, Step, method_class
from semiseg.networks.build import build_network_of

WORDS = [
    "network.backbone=resnet18", "network.architecture=deeplabv3plus", "network.pretrained=none", "method.warmup=0",
    "network.decoder_channels=16", "method.contrastive.dim=16", "method.contrastive.bank_size=8",
    "method.contrastive.quality_filter=false", "method.class_balance.enabled=false", "training.iterations=10",
    "data.crop=32", "training.batch_size=2",
]  # fmt: skip


def made(name: str, passes: str, *words: str) -> Method:
    torch.manual_seed(0)
    config = Config.parse({}, [*WORDS, *words, f"method.name={name}", f"training.passes={passes}"])
    return method_class(name)(config, build_network_of(config, 4), 2).double().train()


def step(method: Method, statistics_of_batch: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    g = torch.Generator().manual_seed(1)
    images = torch.rand(4, 3, 32, 32, generator=g, dtype=torch.float64)
    labels = torch.randint(0, 4, (2, 8, 8), generator=g).repeat_interleave(4, 1).repeat_interleave(4, 2)
    if not statistics_of_batch:
        for module in method.student.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
    unlabelled = Batch(images[2:], torch.full_like(labels, 255)) if method.needs.unlabelled else None
    losses = method.losses(Step(Batch(images[:2], labels), unlabelled, 5, torch.Generator().manual_seed(2)))
    losses["loss"].backward()
    return losses, {n: p.grad for n, p in method.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "name", ["cutmix", "classmix", "mean_teacher", "unimatch", "augseg", "prevmatch", "corrmatch", "memory_bank"]
)
def test_in_turn_gives_the_same_losses_and_gradients_where_statistics_are_fixed(name: str) -> None:
    (plain, gradients), (saving, same) = (step(made(name, passes), False) for passes in ("joint", "in_turn"))
    for key, value in plain.items():
        torch.testing.assert_close(saving[key], value, rtol=1e-9, atol=1e-12, msg=key)
    assert gradients.keys() == same.keys()
    for key, gradient in gradients.items():
        torch.testing.assert_close(same[key], gradient, rtol=1e-6, atol=1e-10, msg=key)


def test_frozen_backbone_and_group_norm_make_the_passes_alike() -> None:
    """No statistics of a batch are left in the network, so that nothing depends on what a batch holds."""
    words = ["network.batch_norm=frozen", "network.decoder_norm=group"]
    (plain, gradients), (saving, same) = (
        step(made("fixmatch", passes, *words), statistics_of_batch=True) for passes in ("joint", "in_turn")
    )
    torch.testing.assert_close(saving["loss"], plain["loss"], rtol=1e-9, atol=1e-12)
    for key, gradient in gradients.items():
        torch.testing.assert_close(same[key], gradient, rtol=1e-6, atol=1e-10, msg=key)


def test_in_turn_normalises_every_part_by_itself_and_counts_it_once() -> None:
    method = made("classmix", "in_turn")
    twin = made("classmix", "joint")
    seen: list[Tensor] = []
    layer = twin.student.backbone.bn1
    method.student.backbone.bn1.register_forward_pre_hook(lambda _, x: seen.append(x[0].detach()))
    step(method, True)
    layer.train()
    for part in seen[:2]:  # the backward pass computes both again
        layer(part)
    assert len(seen) == 4
    torch.testing.assert_close(method.student.backbone.bn1.running_var, layer.running_var)


def test_in_turn_keeps_fewer_tensors() -> None:
    kept = {}
    for passes in ("joint", "in_turn"):
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            method = made("memory_bank", passes)
            g = torch.Generator().manual_seed(1)
            images = torch.rand(2, 3, 64, 64, generator=g, dtype=torch.float64)
            method.pass_student(images, images, images)
        kept[passes] = sum(sizes)
    assert kept["in_turn"] < kept["joint"] / 10
