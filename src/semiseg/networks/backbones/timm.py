"""Any convolutional network of timm (Wightman 2019) as a backbone: ``network.backbone=timm:NAME``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from semiseg.errors import SemisegError, UsageError
from semiseg.networks.backbones.base import Backbone, first_convolution
from semiseg.runtime.extras import first_line, require

PREFIX = "timm:"


class TimmBackbone(Backbone):
    """All features of a network that timm can dilate to ``output_stride`` (``features_only=True``).

    Args:
        name: timm's, with or without the tag of its weights: ``resnet50`` or ``resnet50.a1_in1k``.
        output_stride: 8, 16 or 32 pixels a feature.

    Raises:
        UsageError: timm has no such network, or it has no features at strides 4 and ``output_stride``.
        SemisegError: timm is not installed.
    """

    def __init__(self, name: str, output_stride: int) -> None:
        super().__init__()
        self.timm_name, self.name, self.output_stride = name, PREFIX + name, output_stride
        timm = require("timm", "timm", f"network.backbone={PREFIX}{name}")
        if not timm.is_model(name):
            near = difflib.get_close_matches(name.partition(".")[0], timm.list_models(), n=1)
            hint = f"; did you mean {PREFIX}{near[0]}?" if near else "; timm.list_models() gives all names"
            raise UsageError(f"network.backbone={PREFIX}{name}: timm has no such network{hint}")
        try:
            self.net: nn.Module = self._create(pretrained=False)
        except (TypeError, NotImplementedError, AssertionError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"network.backbone={PREFIX}{name} cannot be had at network.output_stride={output_stride} "
                f"({first_line(error)}); choose a convolutional network such as {PREFIX}resnet50"
            ) from error
        info: Any = self.net.feature_info
        strides, channels = list(info.reduction()), list(info.channels())
        if 4 not in strides or strides[-1] != output_stride:
            raise UsageError(
                f"network.backbone={PREFIX}{name} has features at strides {', '.join(map(str, strides))}, not at 4 and "
                f"network.output_stride={output_stride}; choose a convolutional network such as {PREFIX}resnet50"
            )
        self.strides, self.channels = tuple(map(int, strides)), tuple(map(int, channels))
        published: Any = self.net.pretrained_cfg
        self.mean, self.std = tuple(published["mean"]), tuple(published["std"])

    def forward(self, x: Tensor) -> list[Tensor]:
        """x (B, 3, H, W), normalised → every feature map, (B, channels[i], H/strides[i], W/strides[i]).

        Sizes that do not divide are rounded as the network's own padding has it.
        """
        return list(self.net(x))

    def stem_parameters(self) -> list[nn.Parameter]:
        """Those of the first convolution and its norm, whatever the network calls them."""
        return first_convolution(self.net)

    def load_published(self, collection: str) -> dict[str, Tensor]:
        """The weights that timm publishes for the network under its name."""
        if collection != "imagenet":
            return super().load_published(collection)
        try:
            # A second network, since only timm knows how to bring its files into what it creates.
            self.net.load_state_dict(self._create(pretrained=True).state_dict())
        except Exception as error:  # of huggingface_hub, urllib, safetensors or torch
            raise SemisegError(
                f"network.backbone={self.name}: timm cannot get its weights ({first_line(error)}); "
                "give network.pretrained=FILE, a file with timm's names, or none"
            ) from error
        return {}

    def load_state(self, state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
        """Tensors in timm's names; what lies behind the last feature is left aside."""
        # timm's own loading of a file may leave tensors at random, silently.
        given = {_joined(name): tensor for name, tensor in state.items()}
        wanted = self.net.state_dict()
        shapes = {name: tensor.shape for name, tensor in given.items()}
        wrong = [name for name, tensor in wanted.items() if shapes.get(_joined(name)) != tensor.shape]
        if wrong:
            raise SemisegError(
                f"the weights do not fit {self.name}: {len(wrong)} of {len(wanted)} tensors are missing or of "
                f"wrong shape ({', '.join(wrong[:3])}{', …' if len(wrong) > 3 else ''}); give a file with timm's names"
            )
        self.net.load_state_dict({name: given[_joined(name)] for name in wanted})
        return {}

    def _create(self, **options: Any) -> nn.Module:
        return require("timm", "timm", f"network.backbone={self.name}").create_model(
            self.timm_name, features_only=True, output_stride=self.output_stride, **options
        )


def _joined(name: str) -> str:
    """A name alike in a network and in timm's extractor of its features, which says ``stages_0`` for ``stages.0``."""
    return name.removeprefix("model.").replace(".", "_")
