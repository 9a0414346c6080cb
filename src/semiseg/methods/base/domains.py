"""Labelled pixels by the domain that they come from, for methods that align two domains."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.data.base import IGNORE
from semiseg.methods.base.step import Batch
from semiseg.methods.base.views import LabelledView


def labels_of_domains(batch: Batch, view: LabelledView) -> tuple[Tensor, Tensor]:
    """Labels (B, H, W) of the source's pixels and of the target's, 255 elsewhere, in a view of labelled crops.

    A pixel keeps its domain where ClassMix has pasted it into a crop of the other. Without ``data.source`` the labelled
    crops stand for the source, from which the unlabelled ones differ if anything does.
    """
    if batch.target is None:
        return view.labels, torch.full_like(view.labels, IGNORE)
    return view.labels.where(view.target_labels == IGNORE, IGNORE), view.target_labels
