"""BatchNorm statistics renewed after the last step, from crops as they are."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from semiseg.config.read import Config
from semiseg.data.loading import CropDataset, batches
from semiseg.data.run_data import RunData
from semiseg.training.batches import to_batch


@torch.no_grad()
def refresh_batch_norm(
    networks: Iterable[nn.Module], config: Config, data: RunData, device: torch.device, layout: torch.memory_format
) -> None:
    """Renew the running statistics as plain averages over ``training.batch_norm_refresh`` batches of crops.

    The crops are of the images that ``training.batch_norm_refresh_images`` names, without augmentation. Frozen
    BatchNorm is left alone, and networks stay in the mode that they are in. The authors' code does so after the last
    step, with labelled images.

    Args:
        networks: learners and teachers; all see the same crops, images (B, 3, H, W) float32 in [0, 1].
        config: crops and seed are read, and the two settings above.
        data: the image sets.
        device, layout: of the networks.
    """
    c, t = config.data, config.training
    chosen = {
        "labelled": data.labelled,
        "unlabelled": data.unlabelled,
        "both": sorted({*data.labelled, *data.unlabelled}),
    }[t.batch_norm_refresh_images]
    crops = CropDataset(data.train, chosen, c.crop_size, t.seed, "refresh", resize=c.resize, use_labels=False)
    renewed = [(network, network.training) for network in networks]
    norms = [m for network, _ in renewed for m in network.train().modules() if isinstance(m, _BatchNorm) and m.training]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # cumulative average
    for batch in batches(crops, t.batch_size, 0, t.batch_norm_refresh, 0):
        images = to_batch(batch, device, layout).images
        for network, _ in renewed:
            network(images)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    for network, mode in renewed:
        network.train(mode)
