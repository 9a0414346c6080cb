"""ONNX: one file with weights and facts, for any batch and size."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from semiseg.export.model import EXAMPLE, compare, metadata, prepared
from semiseg.runs.checkpoint import LoadedModel
from semiseg.runtime.extras import require


def write_onnx(model: LoadedModel, path: Path) -> None:
    """Write and compare; see :func:`semiseg.export.export`. It takes half a minute for EfficientNet-Lite0.

    Raises:
        SemisegError: the extra ``export`` is missing, or ONNX Runtime's logits differ from PyTorch's.
    """
    for name in ("onnx", "onnxscript"):
        require(name, "export", "--format onnx")
    runtime = require("onnxruntime", "export", "--format onnx")
    network = prepared(model)
    free = torch.export.Dim.DYNAMIC
    with _quiet():
        program = torch.onnx.export(
            network,
            (torch.rand(EXAMPLE[0], model.network.channels, *EXAMPLE[1:]),),
            dynamo=True,
            dynamic_shapes={"images": {0: free, 2: free, 3: free}},
            input_names=["images"],
            output_names=["logits"],
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(metadata(model))
    program.save(str(path), external_data=False)  # otherwise the weights would go into a second file

    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    compare(network, run, path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of the exporter on torchvision and on itself, about which no user can do anything."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
