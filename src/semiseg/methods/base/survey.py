"""What a method sees between two rounds: every unlabelled image, whole, and where its pseudo-labels are kept."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from semiseg.config.read import Config
from semiseg.data.resizing import resize_image
from semiseg.data.run_data import RunData
from semiseg.data.stored_labels import StoredLabels
from semiseg.inference.logits import evaluating, sliding_window_logits, whole_image_logits
from semiseg.runtime import distributed


class Survey:
    """The unlabelled images of a run, as its networks see them in a validation.

    Iterating gives (index in the training set, image (1, 3, H, W) float32 in [0, 1]) of this process's share of them;
    :meth:`store` keeps what the unlabelled crops of the round bring along, so every image needs its labels.

    Args:
        config: resize and evaluation mode are read.
        data: the image sets of the run.
        labels: where pseudo-labels are kept.
        device: of the networks.
    """

    def __init__(self, config: Config, data: RunData, labels: StoredLabels, device: torch.device) -> None:
        self.config, self.data, self.labels, self.device = config, data, labels, device

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        for index in self.data.unlabelled[distributed.rank() :: distributed.world()]:
            image = self.data.train.image(index)
            if self.config.data.resize is not None:
                image = resize_image(image, self.config.data.resize)
            yield index, torch.from_numpy(image.copy()).to(self.device).permute(2, 0, 1)[None].float().div_(255)

    def logits(self, network: nn.Module, image: Tensor) -> Tensor:
        """Logits (1, C, H, W) float32 of a network in eval mode, whole or by windows as ``evaluation.mode`` says."""
        with evaluating(network, self.device):
            if self.config.evaluation.mode == "sliding":
                return sliding_window_logits(network, image, self.config.window, self.config.evaluation.stride)
            return whole_image_logits(network, image)

    def store(self, index: int, labels: Tensor, confidence: Tensor) -> None:
        """Keep labels (H, W), 255 where there is none, and confidence (H, W) in [0, 1] for image ``index``."""
        self.labels.write(index, labels.to(torch.uint8).cpu().numpy(), confidence.float().cpu().numpy())
