"""A run that begins with the weights of another: the same network, and what its classifier knows of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from semiseg.errors import SemisegError
from semiseg.networks import SegmentationNetwork
from semiseg.runs.checkpoint import load_model

STRUCTURE = ("architecture", "backbone", "output_stride", "decoder_channels", "decoder_norm", "aspp")
"""Settings ``network.*`` that weights must fit."""
CLASSIFIER = "classifier."


def structure_words(run: str | Path) -> list[str]:
    """``network.*=value`` words for a network that takes the weights of ``run``, a run folder or a checkpoint file.

    Raises:
        SemisegError: no checkpoint there.
    """
    network = load_model(run).config.network
    return [f"network.{key}={getattr(network, key)}" for key in STRUCTURE]


def fill(network: SegmentationNetwork, run: str | Path, classes: Sequence[str]) -> str:
    """Fill ``network`` with the student of ``run``, in place; classes are matched by name.

    The rows of the classifier whose class has the same name are taken, wherever it stands; those of new classes stay as
    they are, those of classes that are gone are left.

    Args:
        network: to train, for ``classes``.
        run: a run folder, of which the best checkpoint is taken, or a checkpoint file.
        classes: names of the new run's classes in the order of their numbers.

    Returns:
        What was taken, in a line.

    Raises:
        SemisegError: no checkpoint, or weights of another network.
    """
    old = load_model(run)
    known = {name: k for k, name in enumerate(old.info.classes)}
    given, own = old.network.state_dict(), network.state_dict()
    for key, tensor in given.items():
        if key.startswith(CLASSIFIER) and _one_row_a_class(tensor, own.get(key), len(known), len(classes)):
            rows = own[key].clone()
            for k, name in enumerate(classes):
                if name in known:
                    rows[k] = tensor[known[name]]
            given[key] = rows
    try:
        network.load_state_dict(given)
    except RuntimeError:
        raise SemisegError(
            f"the weights of {run} are of another network; leave out the network.* settings, which come from there"
        ) from None
    taken = [name for name in classes if name in known]
    new, gone = [name for name in classes if name not in known], [name for name in known if name not in classes]
    return (
        f"begins with the weights of {run} (step {old.iteration}); known classes: {', '.join(taken) or 'none'}"
        + (f"; new, from random weights: {', '.join(new)}" if new else "")
        + (f"; no longer there: {', '.join(gone)}" if gone else "")
    )


def _one_row_a_class(given: Tensor, own: Tensor | None, before: int, now: int) -> bool:
    return own is not None and given.shape == (before, *given.shape[1:]) and own.shape == (now, *given.shape[1:])
