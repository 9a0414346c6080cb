"""Checkpoints: everything a resume needs, written so that a crash never leaves half a file."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from semiseg.config.read import Config
from semiseg.data.base import DatasetInfo
from semiseg.data.datasets.description import LARGEST
from semiseg.errors import SemisegError
from semiseg.methods.base.bank import method_of
from semiseg.networks import SegmentationNetwork
from semiseg.networks.build import build_network_of
from semiseg.runs.edited import as_edited
from semiseg.runs.seal import fault, seal
from semiseg.runtime.documents import parse_json
from semiseg.runtime.extras import first_line, require
from semiseg.runtime.files import replacing

FORMAT = 1
PULLED = "model.safetensors"


def save(path: Path, state: dict[str, Any], keep: dict[Path, Path] | None = None) -> None:
    """Write ``state`` in place of ``path``, sealed, in one step and onto the disk.

    Args:
        path: the checkpoint.
        state: tensors, numbers, text, and lists and dictionaries of them.
        keep: files, and the names under which they are kept once the new one is written, in place of what had them.

    Raises:
        SemisegError: the file cannot be written, e.g. on a full disk: what was there is kept, and nothing is left.
    """
    try:
        with replacing(path) as partial:
            with partial.open("wb") as file:
                torch.save(state | {"format": FORMAT}, file)
            seal(partial)
            for old, name in (keep or {}).items():
                _keep(old, name)
    except (OSError, RuntimeError) as error:
        reason = _os_error(error)
        if reason is None:
            raise
        kept = f"; {path} of before is kept" if path.is_file() else ""
        raise SemisegError(f"{path} could not be written ({reason.strerror}){kept}; correct this, e.g. make room, and "
                           "go on with --resume") from error  # fmt: skip


def _keep(old: Path, name: Path) -> None:
    """Let ``old`` be found as ``name`` too, whatever takes its own name next; nothing where there is no such file."""
    if not old.is_file():
        return
    with replacing(name) as partial:
        partial.unlink(missing_ok=True)
        try:
            os.link(old, partial)
        except OSError:  # a file system without links
            shutil.copyfile(old, partial)


def _os_error(error: BaseException | None) -> OSError | None:
    """The error of the system behind an error: PyTorch's writer turns some into its own."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint without executing code from it.

    Raises:
        SemisegError: no such file, not a checkpoint of this program, or one that is damaged.
    """
    if not path.is_file():
        raise SemisegError(f"no checkpoint {path}; give a run folder with checkpoints/, or train it first")
    reason = fault(path)
    if reason is None:
        try:
            state = torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            reason = first_line(error)
    if reason is not None:
        before = path.with_name("previous.pt")
        other = f"; the one before it is {before}" if path.name == "last.pt" and before.is_file() else ""
        raise SemisegError(f"{path} is damaged and cannot be read ({reason}); is it a semiseg checkpoint?{other}")
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise SemisegError(f"{path} is not a semiseg checkpoint of format {FORMAT}; train or export it again")
    return state


def random_states() -> dict[str, Any]:
    """State of every global random generator. Augmentation and sampling draw from their own, by iteration."""
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - a data set may use the global one
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": [kind, [int(key) for key in keys], *rest],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Undo :func:`random_states`. CUDA states are left when the number of devices has changed."""
    random.setstate(states["python"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_available() and len(states.get("cuda", [])) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])


@dataclass(frozen=True)
class LoadedModel:
    """A trained network ready to predict, with what it was trained on."""

    network: SegmentationNetwork
    info: DatasetInfo
    config: Config
    iteration: int
    path: Path
    facts: dict[str, Any] | None = None
    """Of the data it was trained on, as :func:`semiseg.runs.begun.data_as_begun` takes them."""


def load_model(
    run: str | Path,
    which: Literal["best", "last"] = "best",
    teacher: bool = False,
    device: torch.device | str = "cpu",
) -> LoadedModel:
    """Load the student (or the teacher) of a run folder, a checkpoint file or exported safetensors, in eval mode.

    A folder that holds ``model.safetensors`` and no ``checkpoints/`` is one pulled from a hub.

    Raises:
        SemisegError: nothing there, or the method keeps no teacher.
    """
    path = Path(run)
    if path.is_dir() and (path / PULLED).exists() and not (path / "checkpoints").exists():
        path = path / PULLED
    elif path.is_dir():
        path = path / "checkpoints" / f"{which}.pt"
    state = _read_exported(path, device) if path.suffix == ".safetensors" else load(path, device)
    prefix = "teacher." if teacher else "student."
    try:
        trained = Config.parse(state["config"], source=str(path))
        info = _info(state["info"])
        iteration, method = int(state["iteration"]), state["method"]
        weights = {key.removeprefix(prefix): value for key, value in method.items() if key.startswith(prefix)}
        weights = {key: value for key, value in weights.items() if not key.startswith("presence.")}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SemisegError(f"{path} lacks what a checkpoint holds ({_what(error)}); train or export it again") from None
    if not weights and teacher:
        raise SemisegError(f"{path} has no teacher (method {trained.method.name!r}); leave --teacher out")
    config = as_edited(path, trained)
    network = build_network_of(config, len(info.classes), pretrained=False)
    try:
        network.load_state_dict(weights)
        if not teacher:
            method_of(config).complete(config, network, method)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise SemisegError(f"{path}: its weights do not fit its configuration ({first_line(error)})") from None
    if broken := [key for key, value in network.state_dict().items() if not value.isfinite().all()]:
        raise SemisegError(f"{path}: its weights are not finite ({broken[0]}); train or export it again")
    network.to(device).eval()
    facts = state.get("data", None if path.suffix == ".safetensors" else {})
    return LoadedModel(network, info, config, iteration, path, facts)


def _info(given: dict[str, Any]) -> DatasetInfo:
    """Classes, colours and mask values of a checkpoint, which anybody may have written.

    Raises:
        KeyError, TypeError, ValueError: something is missing or makes no sense.
    """
    info = DatasetInfo(
        name=str(given["name"]),
        classes=tuple(str(name) for name in given["classes"]),
        colours=tuple((int(r), int(g), int(b)) for r, g, b in given["colours"]),
        ids=tuple(int(value) for value in given.get("ids", [])),  # earlier versions knew none
    )
    if len(info.colours) != len(info.classes) or any(not 0 <= part <= 255 for rgb in info.colours for part in rgb):
        raise ValueError(f"colours of {len(info.classes)} classes, each part from 0 to 255")
    if info.ids and (len(set(info.ids)) != len(info.classes) or not 0 <= min(info.ids) <= max(info.ids) <= LARGEST):
        raise ValueError(f"a mask value of each class, from 0 to {LARGEST}")
    return info


def _what(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _read_exported(path: Path, device: torch.device | str) -> dict[str, Any]:
    """A file of ``semiseg export --format safetensors`` as a checkpoint that holds a student only."""
    library = require("safetensors", "hub", path.name)
    if not path.is_file():
        raise SemisegError(f"no file {path}; give a run folder, a checkpoint or exported safetensors")
    try:
        with library.safe_open(str(path), framework="pt", device=str(device)) as file:
            header = file.metadata() or {}
            weights = {f"student.{name}": file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        return {key: parse_json(header[key]) for key in ("config", "info", "iteration")} | {"method": weights}
    except (KeyError, ValueError, library.SafetensorError) as error:
        raise SemisegError(
            f"{path} is not what `semiseg export --format safetensors` writes ({first_line(error)})"
        ) from None
