"""safetensors: weights whose reading runs no code, with the configuration in the header of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from semiseg.export.model import metadata
from semiseg.runs.checkpoint import LoadedModel
from semiseg.runtime.extras import require


def write_weights(model: LoadedModel, path: Path) -> None:
    """Write the state dictionary; ``semiseg.runs.checkpoint.load_model`` and every command read the file.

    Raises:
        SemisegError: safetensors is not installed.
    """
    library: Any = require("safetensors.torch", "hub", "--format safetensors")
    info = {"name": model.info.name, "classes": list(model.info.classes), "colours": model.info.colours,
            "ids": list(model.info.ids)}  # fmt: skip
    header = metadata(model) | {
        "config": json.dumps(model.config.model_dump(mode="json")),
        "info": json.dumps(info),
        "iteration": json.dumps(model.iteration),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    library.save_file(tensors, str(path), metadata=header)
    for name, value in library.load_file(str(path)).items():
        assert torch.equal(value, tensors[name]), name
