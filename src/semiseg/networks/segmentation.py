"""A segmentation network f_θ as the method sees it: images in, features V and logits out (section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from semiseg.networks.backbones.base import VARIANTS, Backbone, Variant
from semiseg.networks.batch_norm import Policy, apply_batch_norm_policy
from semiseg.networks.decoders.base import Decoder
from semiseg.networks.output import Output
from semiseg.networks.presence import Presence


class SegmentationNetwork(nn.Module):
    """Backbone, decoder and classifier.

    Args:
        backbone: gives feature maps.
        decoder: turns those that it takes into V.
        classifier: V → logits, at the same resolution.
        num_classes: C.
        feature_dim: width of V.
        feature_stride: pixels of the image per pixel of V; no whole number where patches of 14 are divided by 8.

    Attributes:
        tap: what it gives as features beside the logits: V of the ``"decoder"``, or the last map of the ``"backbone"``.
            It changes no logits and is no part of ``state_dict()``.
        presence: what leaves classes out of its predictions, not in training; None: nothing does.
        mean, std: (1, channels, 1, 1) float32, the normalisation the backbone's weights expect, or that of the data's
            own channels; saved with them.

    ``state_dict()`` also tells the variant of the backbone (see ``ResNet``), and loading one changes to it.
    """

    mean: Tensor
    std: Tensor
    tap: Literal["decoder", "backbone"]

    def __init__(
        self,
        backbone: Backbone,
        decoder: Decoder,
        classifier: nn.Module,
        *,
        num_classes: int,
        feature_dim: int,
        feature_stride: float,
    ) -> None:
        super().__init__()
        self.backbone, self.decoder, self.classifier = backbone, decoder, classifier
        self.num_classes, self.tap = num_classes, "decoder"
        self._of_decoder = feature_dim, feature_stride
        self.batch_norm: Policy = "train"
        self.recompute = False  # activation checkpointing of the backbone
        self.frozen = False
        self.presence: Presence | None = None
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1))

    @property
    def channels(self) -> int:
        """Channels of the images that it takes; 3 unless it was widened."""
        return self.mean.shape[1]

    def widen(self, channels: int) -> None:
        """Takes images of so many channels from now on, before anything else is built of it.

        The first convolution keeps what its weights have learnt (:func:`~semiseg.networks.backbones.base.
        adapt_channels`); the normalisation is 0.5 ± 0.25 until :meth:`normalise` gives that of the data. Three channels
        change nothing.

        Raises:
            UsageError: the backbone cannot.
        """
        if channels != self.channels:
            self.backbone.widen(channels)
            self.mean, self.std = (self.mean.new_full((1, channels, 1, 1), value) for value in (0.5, 0.25))

    def normalise(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Mean and standard deviation of every channel, of images in [0, 1]."""
        for buffer, values in ((self.mean, mean), (self.std, std)):
            buffer.copy_(buffer.new_tensor(values).view(1, -1, 1, 1))

    @property
    def feature_dim(self) -> int:
        """D, width of the features that it gives."""
        return self._of_decoder[0] if self.tap == "decoder" else self.backbone.channels[-1]

    @property
    def feature_stride(self) -> float:
        """Pixels of the image per pixel of the features that it gives."""
        return self._of_decoder[1] if self.tap == "decoder" else self.backbone.strides[-1]

    def forward(self, images: Tensor) -> Output:
        """images (B, channels, H, W) float in [0, 1] → logits (B, C, h, w) and features (B, D, h, w).

        h = ⌈H / feature_stride⌉, w likewise; one more for some sizes in Caffe's variant (see ``ResNet.forward``), and
        under :class:`~semiseg.networks.decoders.dpt.DPT` twice its finest level. With ``tap="backbone"`` that is the
        size of the features alone; the logits keep that of V.
        """
        output = self.decode(self.encode(images))
        if self.presence is None or self.training:
            return output
        return output._replace(logits=self.presence(images, output.logits))

    def encode(self, images: Tensor) -> list[Tensor]:
        """images (B, channels, H, W) float in [0, 1] → the maps that the decoder takes, (B, ·, ·, ·) each."""
        x = (images - self.mean) / self.std
        maps = self.backbone.maps(x, self.recompute and self.training)
        return self.decoder.take(maps, (x.shape[-2], x.shape[-1]))

    def decode(self, maps: Sequence[Tensor]) -> Output:
        """What :meth:`encode` gave, perhaps changed → logits (B, C, h, w) and features (B, D, h, w), see ``tap``."""
        features = self.decoder(maps)
        return Output(self.classifier(features), features if self.tap == "decoder" else maps[-1])

    def follow(self, variant: Variant) -> None:
        """Takes on the structure and the normalisation of a variant of the backbone's weights, where it has several."""
        self.backbone.follow(variant)
        self.normalise(self.backbone.mean, self.backbone.std)

    def get_extra_state(self) -> Tensor:
        """Index of the backbone's variant in ``VARIANTS``, for ``state_dict()``."""
        return torch.tensor(VARIANTS.index(self.backbone.variant), dtype=torch.uint8, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """The reverse, for ``load_state_dict()``; mean and std are in the state on their own."""
        self.backbone.follow(VARIANTS[int(state)])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Checkpoints from before there were variants are torchvision's.
        state_dict.setdefault(prefix + "_extra_state", torch.tensor(0, dtype=torch.uint8))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def train(self, mode: bool = True) -> SegmentationNetwork:
        """As ``nn.Module.train``, with the backbone's BatchNorm policy kept, and a frozen backbone in evaluation."""
        super().train(mode)
        apply_batch_norm_policy(self, self.batch_norm)
        if self.frozen:
            self.backbone.eval()
        return self

    def freeze_backbone(self) -> None:
        """From now on the backbone never learns, and computes as in evaluation.

        Training keeps nothing for its gradients. To go back build the network anew.
        """
        self.frozen = True
        self.backbone.requires_grad_(False).eval()

    def backbone_parameters(self) -> list[nn.Parameter]:
        """The pretrained parameters that learn, for a learning rate of their own."""
        return [parameter for parameter in self.backbone.parameters() if parameter.requires_grad]

    def stem_parameters(self) -> list[nn.Parameter]:
        """The first convolution and its norm, for a learning rate of their own; part of the backbone's."""
        return self.backbone.stem_parameters()

    def classifier_parameters(self) -> list[nn.Parameter]:
        """The parameters that learn and start at random: decoder and classifier."""
        both = nn.ModuleList([self.decoder, self.classifier])
        return [parameter for parameter in both.parameters() if parameter.requires_grad]
