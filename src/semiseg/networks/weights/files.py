"""Files of weights: reading one as a state dict, and filling a module with all of it or with nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from semiseg.errors import SemisegError
from semiseg.runtime.extras import require


def read(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, bare or under ``"state_dict"``, without ``module.`` in front of its names.

    Raises:
        SemisegError: the file cannot be read, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            content = require("safetensors.torch", "dinov2", path.name).load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except SemisegError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file
        raise SemisegError(
            f"{path} cannot be read as weights ({type(error).__name__}); "
            "give a file made by torch.save(network.state_dict(), FILE)"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise SemisegError(f"{path} holds no state dict (names and tensors); give one, bare or under 'state_dict'")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def fill(module: nn.Module, state: Mapping[str, Tensor], name: str, source: str, dropped: Iterable[str] = ()) -> None:
    """Loads ``state`` into ``module``: all of its tensors, with all of the file's.

    Args:
        module: filled in place.
        state: names and tensors.
        name: of the module, for messages.
        source: of the tensors, for messages.
        dropped: names that may be in ``state`` and are of no use.

    Raises:
        SemisegError: tensors are missing, unexpected or of wrong shape; nothing is loaded then.
    """
    unused = set(dropped)
    given = {key: tensor for key, tensor in state.items() if key not in unused}
    expected = module.state_dict()
    for key, tensor in expected.items():
        # Files older than PyTorch 0.4.1 lack the counters of BatchNorm, which no computation here reads.
        if key.endswith("num_batches_tracked"):
            given.setdefault(key, tensor)
    _compare(expected, given, name, source)
    module.load_state_dict(given)


def _compare(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], name: str, source: str) -> None:
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    reshaped = [
        f"{key} {tuple(state[key].shape)} for {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of wrong shape": reshaped}
    problems = [
        f"{len(keys)} {kind} ({', '.join(keys[:3])}{', …' if len(keys) > 3 else ''})"
        for kind, keys in found.items()
        if keys
    ]
    if problems:
        raise SemisegError(
            f"the weights in {source} do not fit {name}: {'; '.join(problems)}; "
            "set network.backbone to the network they were trained with"
        )
