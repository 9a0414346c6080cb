"""BatchNorm over labelled and unlabelled crops, and nothing else of the unlabelled ones."""

from pathlib import Path

import torch
from conftest import tiny

from semiseg.losses import weighted_cross_entropy
from semiseg.methods import Batch, Method, Step, method_class
from semiseg.networks import upsample
from semiseg.networks.build import build_network_of


def build(name: str, **changes: object) -> Method:
    torch.manual_seed(0)
    plain = {"method__augment__weak": "none", "method__class_balance__enabled": False}
    config = tiny(Path("."), Path("."), method__name=name, **plain, **changes)
    method: Method = method_class(name)(config, build_network_of(config, 3), labelled=4).train()
    return method


def batches(seed: int = 0) -> tuple[Batch, Batch]:
    g = torch.Generator().manual_seed(0)
    images, labels = torch.rand(2, 3, 32, 48, generator=g), torch.randint(0, 3, (2, 32, 48), generator=g)
    more = torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(seed + 1))
    return Batch(images, labels), Batch(more, torch.full((3, 32, 48), 255))


def loss(method: Method, seed: int = 0) -> torch.Tensor:
    return method.losses(Step(*batches(seed), 0, torch.Generator().manual_seed(5)))["loss"]


def test_it_is_the_supervised_loss_of_a_joint_batch() -> None:
    method = build("joint_statistics")
    found = loss(method)
    labelled, unlabelled = batches()
    with torch.no_grad():
        logits = build("joint_statistics").student(torch.cat([labelled.images, unlabelled.images])).logits[:2]
    torch.testing.assert_close(found.detach(), weighted_cross_entropy(upsample(logits, (32, 48)), labelled.labels))
    assert abs(found - loss(method, seed=1)) > 1e-6, "other unlabelled images, other statistics"


def test_where_statistics_are_fixed_it_is_supervised() -> None:
    losses = []
    for name in ("joint_statistics", "supervised"):
        method = build(name)
        for module in method.student.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        losses.append(loss(method))
    torch.testing.assert_close(losses[0], losses[1])
