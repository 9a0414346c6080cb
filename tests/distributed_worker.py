"""Three steps of memory_bank in float64 on a share of a joint batch; run by test_distributed.py in each process.

python distributed_worker.py OUTPUT [section.key=value ...] [-- section.key=value ...]

Each part between "--" is a configuration of its own.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from conftest import tiny

from semiseg.methods import Batch, Step, method_class
from semiseg.methods.base.views import NOTHING
from semiseg.networks.build import build_network_of
from semiseg.runtime import distributed
from semiseg.training.optimisers import Optimisers
from semiseg.training.parallel import data_parallel, log_means


def main(output: str, *words: str) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    device = distributed.start(torch.device("cpu"))
    variants = " ".join(words).split(" -- ")
    torch.save([steps(device, variant.split()) for variant in variants], f"{output}.{distributed.rank()}")
    distributed.stop()


def steps(device: torch.device, words: list[str]) -> dict[str, Any]:
    """Losses and gradients of three steps and the state after them."""
    rank, world = distributed.rank(), distributed.world()
    changes = dict(word.split("=", 1) for word in words)
    config = tiny(Path("."), Path("."), **{key.replace(".", "__"): value for key, value in changes.items()})
    torch.manual_seed(3)
    # DeepLabv2 on a frozen backbone has no BatchNorm of its own that would see a part of the batch only.
    method = method_class(config.method.name)(config, build_network_of(config, 3), labelled=4).double().train()
    method.views.strong_set = method.views.weak_set = NOTHING
    step, optimiser = data_parallel(method, device), Optimisers(method).by_name["main"]
    draws = torch.Generator().manual_seed(7)
    seen = []
    for iteration in range(1, 4):
        images = torch.rand(8, 3, 32, 32, generator=draws)
        labels = torch.randint(0, 3, (8, 4, 4), generator=draws).repeat_interleave(8, 1).repeat_interleave(8, 2)
        labels[0, :9] = 255
        mine = [Batch(*(x.chunk(2)[i].chunk(world)[rank] for x in (images, labels))) for i in range(2)]  # as the loader
        now = Step(*mine, iteration, torch.Generator().manual_seed(0))
        losses = step(now)
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        gradients = {n: p.grad.clone() for n, p in method.named_parameters() if p.grad is not None}
        optimiser.step()
        method.after_step(now)
        seen.append({"losses": log_means(losses, 1), "gradients": gradients})
    return {
        "steps": seen,
        "smallest": distributed.smallest(7 + rank),
        "state": {name: value.clone() for name, value in method.state_dict().items()},
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
