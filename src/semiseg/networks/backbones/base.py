"""What every backbone offers: feature maps with their channels and strides, its stem, recomputation and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from semiseg.errors import SemisegError
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
        mean, std: the normalisation that its weights expect, RGB, of images in [0, 1].
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
