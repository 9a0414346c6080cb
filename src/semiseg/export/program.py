"""A ``torch.export`` program: a file of PyTorch that runs without this package."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from semiseg.export.model import EXAMPLE, compare, metadata, prepared
from semiseg.runs.checkpoint import LoadedModel


def write_program(model: LoadedModel, path: Path) -> None:
    """Write and compare; see :func:`semiseg.export.export`. ``torch.export.load(FILE).module()(images)`` runs it.

    The facts are in its extra file ``semiseg.json``.

    Raises:
        SemisegError: the program's logits differ from PyTorch's.
    """
    network = prepared(model)
    free = torch.export.Dim.DYNAMIC
    example = torch.rand(EXAMPLE[0], model.network.channels, *EXAMPLE[1:])
    program = torch.export.export(network, (example,), dynamic_shapes={"images": {0: free, 2: free, 3: free}})
    torch.export.save(program, path, extra_files={"semiseg.json": json.dumps(metadata(model))})
    loaded = torch.export.load(path).module()

    def run(images: Tensor) -> Tensor:
        logits: Tensor = loaded(images)
        return logits

    compare(network, run, path)
