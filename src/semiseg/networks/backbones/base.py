"""What every backbone offers: feature maps with their channels and strides, its stem, recomputation and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from semiseg.errors import SemisegError, UsageError
from semiseg.networks.activation_checkpointing import recomputed
from semiseg.networks.weights.files import fill

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Variant = Literal["torchvision", "caffe"]
VARIANTS: tuple[Variant, ...] = ("torchvision", "caffe")  # checkpoints store the index


class Backbone(nn.Module):
    """Base of all backbones: an image to a list of feature maps, the finest first, the last with the most meaning.

    A backbone sets the attributes and defines :meth:`forward` and :meth:`stem_parameters`; the rest where it differs.

    Attributes:
        name: as in ``network.backbone``, for messages.
        channels: width of each map.
        strides: pixels of the image per pixel of each map; sizes round up where they do not divide.
        mean, std: the normalisation that its weights expect, RGB, of images in [0, 1]; of other channels the network's
            own says.
        variant: which of ``VARIANTS`` its weights were trained in; only ResNets have more than one.
    """

    name: str = "the backbone"
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    variant: Variant = "torchvision"

    def forward(self, x: Tensor) -> list[Tensor]:
        """x (B, 3, H, W), RGB, normalised → the maps, (B, channels[i], ⌈H/strides[i]⌉, ⌈W/strides[i]⌉) each."""
        raise NotImplementedError

    def stem_parameters(self) -> list[nn.Parameter]:
        """Parameters of the first convolution and its norm, frozen ones included."""
        raise NotImplementedError

    def use_own_grid(self) -> None:
        """Gives its maps where its weights have them, not resampled to an output stride, from now on: ``strides`` may
        change. Convolutions are dilated to the stride and resample nothing; only transformers differ."""

    # Activation checkpointing.

    def maps(self, x: Tensor, recompute: bool) -> list[Tensor]:
        """As :meth:`forward`; with ``recompute``, activations are not kept but computed again for the gradients."""
        found: list[Tensor] = recomputed(self, x, recompute)
        return found

    def recomputed_modules(self) -> list[nn.Module]:
        """The modules whose activations are computed again, one module at a time; here the whole at once."""
        return [self]

    # Channels.

    def widen(self, channels: int) -> None:
        """Takes images of so many channels from now on, its first convolution adapted; see :func:`adapt_channels`.

        Raises:
            UsageError: it cannot; the message says why.
        """
        convolution = first_layer(self)
        if convolution is None or convolution.groups != 1 or convolution.weight.shape[1] != 3:
            raise UsageError(
                f"network.backbone={self.name} takes images of three channels alone; set data.channels to three, or "
                "choose another backbone"
            )
        adapt_channels(convolution, channels)

    # Weights.

    def follow(self, variant: Variant) -> None:
        """Becomes the network that weights of this variant were trained in; most backbones have only one."""

    def published_at_hand(self, collection: str) -> bool:
        """Whether :meth:`load_published` needs no network; false where only the library that fetches could tell."""
        return False

    def load_published(self, collection: str) -> dict[str, Tensor]:
        """Fills the backbone, in place, with weights that others publish.

        Args:
            collection: ``"imagenet"`` or ``"coco"``.

        Returns:
            Tensors of a classifier that came with them, in the names of ``SegmentationNetwork.classifier``.

        Raises:
            SemisegError: none are published, they cannot be fetched, or they do not fit.
        """
        raise SemisegError(
            f"network.pretrained={collection}: no such weights are known for {self.name}; "
            "give network.pretrained=FILE or none"
        )

    def load_state(self, state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
        """Fills the backbone, in place, with the tensors of a file; all of its own must be there, and no others.

        Args:
            state: names and tensors.
            source: the file, for messages.

        Returns:
            As :meth:`load_published`.

        Raises:
            SemisegError: the tensors do not fit.
        """
        fill(self, state, self.name, source)
        return {}


class Blockwise(Backbone):
    """A backbone that computes its activations again block by block: its :meth:`forward` takes ``recompute``."""

    def forward(self, x: Tensor, recompute: bool = False) -> list[Tensor]:
        """As :meth:`Backbone.forward`; ``recompute``: see :meth:`maps`."""
        raise NotImplementedError

    def maps(self, x: Tensor, recompute: bool) -> list[Tensor]:
        """As :meth:`forward`; with ``recompute``, one block's activations at a time are computed again."""
        found: list[Tensor] = self(x, recompute)
        return found


def first_layer(network: nn.Module) -> _ConvNd | None:
    """The first convolution, by order of registration."""
    return next((module for module in network.modules() if isinstance(module, _ConvNd)), None)


@torch.no_grad()
def adapt_channels(convolution: _ConvNd, channels: int) -> None:
    """Gives a convolution on three channels another number of them, in place, and keeps what its weights have learnt.

    As in timm (Wightman 2019, ``adapt_input_conv``): for one channel the three kernels are added; for more they are
    repeated, r, g, b, r, g, …, and multiplied by 3 / channels, so that an image whose channels are all alike gives
    what it gave before.

    Args:
        convolution: weight (O, 3, h, w).
        channels: at least 1.
    """
    weight = convolution.weight
    kernels = weight[:, [0, 1, 2] if channels == 1 else [i % 3 for i in range(channels)]]
    kernels = kernels.sum(dim=1, keepdim=True) if channels == 1 else kernels * (3 / channels)
    convolution.weight = nn.Parameter(kernels, requires_grad=weight.requires_grad)
    convolution.in_channels = channels


def first_convolution(network: nn.Module) -> list[nn.Parameter]:
    """Parameters of the first convolution, by order of registration, and of the norm that follows it, if one does.

    A norm is told by its parameters: one number a channel, and nothing else.
    """
    layers = [module for module in network.modules() if next(module.parameters(recurse=False), None) is not None]
    position = next((i for i, layer in enumerate(layers) if isinstance(layer, _ConvNd)), None)
    if position is None:
        return []
    found = list(layers[position].parameters(recurse=False))
    for following in layers[position + 1 : position + 2]:
        parameters = list(following.parameters(recurse=False))
        found += parameters if all(p.dim() == 1 for p in parameters) else []
    return found
