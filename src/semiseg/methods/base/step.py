"""What passes between a method and the training loop: batches, steps, needs, rounds, parameter groups."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from semiseg.augment.geometry import Context
from semiseg.data.base import IGNORE


class Batch(NamedTuple):
    """Crops: images (B, 3, H, W) float in [0, 1]; labels (B, H, W) int64, 255 where ignored or unknown.

    ``target`` (B,) bool says which crops are of the target domain; None where there is only one domain. ``inside``
    (B, H, W) bool is false where an unlabelled crop is padding; labelled ones have 255 there and None here.
    ``confidence`` (B, H, W) float32 belongs to the stored pseudo-labels of a method with rounds; None in the first,
    where none are stored. ``corner`` (B, 2) int64 is the (top, left) pixel of each crop in its resized image, where a
    method asks for two crops an image: B is then twice the number of images, first all first crops, then all second
    ones; :func:`semiseg.data.windows.common` finds what two of them share. ``context`` has images and labels around the
    crops; None unless ``data.context`` asks for it, and for unlabelled crops the method as well. ``image_index`` (B,)
    int64, on the CPU, is the number of each crop's image in its set.
    """

    images: Tensor
    labels: Tensor
    target: Tensor | None = None
    inside: Tensor | None = None
    confidence: Tensor | None = None
    corner: Tensor | None = None
    context: Context | None = None
    image_index: Tensor | None = None

    def without_padding(self, labels: Tensor) -> Tensor:
        """Labels (B, H, W) of these crops, 255 on padding: it is no image, whatever the teacher sees in it."""
        return labels if self.inside is None else labels.where(self.inside, IGNORE)


class Step(NamedTuple):
    """One step: its crops (``unlabelled`` is None where the step needs none), i from 0, and a CPU generator that
    all random draws of the step come from. With ``method.stages``, i counts from the beginning of the stage."""

    labelled: Batch
    unlabelled: Batch | None
    iteration: int
    draws: torch.Generator

    @property
    def x_u(self) -> Batch:
        """The unlabelled crops, for methods that need them."""
        assert self.unlabelled is not None, "the method says that it needs no unlabelled images"
        return self.unlabelled


class Needs(NamedTuple):
    """What a method asks of the data.

    Attributes:
        unlabelled: whether it looks at unlabelled images.
        crops: crops of one unlabelled image: 1, or 2 that overlap.
        overlap: least share of the crop's area that two crops have in common.
        labelled_too: whether the labelled images, without their labels, are among the unlabelled ones.
        stored_labels: whether unlabelled crops bring the pseudo-labels that the last :meth:`Method.begin_round` stored;
            their labels are 255 in the first round. Every unlabelled image must have been stored.
        context: whether unlabelled crops bring their context where ``data.context`` is set: for methods that resize
            them before anything else (``Views.geometry``).
    """

    unlabelled: bool = True
    crops: int = 1
    overlap: float = 0.0
    labelled_too: bool = False
    stored_labels: bool = False
    context: bool = False


class Round(NamedTuple):
    """Iterations ``start`` … ``stop`` - 1. The optimisers and their schedule begin anew with each round.

    A ``supervised`` one trains on the labelled crops alone (:func:`semiseg.methods.base.stages.supervised_losses`): no
    unlabelled crop is loaded and the teachers rest; they have the students' weights when the next round begins.
    """

    start: int
    stop: int
    supervised: bool = False


class ParameterGroup(NamedTuple):
    """Parameters that share a learning rate: ``multiplier`` times that of their optimiser."""

    name: str
    parameters: list[nn.Parameter]
    multiplier: float = 1.0
    optimiser: str = "main"


class StoredVectors(NamedTuple):
    """Vectors that a method keeps by class: (M, D) float32, labels (M,), counts (C,), and the room of a class."""

    vectors: Tensor
    labels: Tensor
    counts: list[int]
    size: int
