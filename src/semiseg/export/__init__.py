"""A trained network as one file for other programs: ONNX, a ``torch.export`` program, or safetensors weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from semiseg.errors import SemisegError, UsageError
from semiseg.export.card import write_card
from semiseg.export.onnx import write_onnx
from semiseg.export.program import write_program
from semiseg.export.weights import write_weights
from semiseg.runs.checkpoint import LoadedModel, load_model
from semiseg.runtime.extras import first_line

# Each of them writes one file and compares it with PyTorch.
FORMATS: dict[str, Callable[[LoadedModel, Path], None]] = {
    "onnx": write_onnx,
    "torch": write_program,
    "safetensors": write_weights,
}
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}

__all__ = ["FORMATS", "export", "write_weights"]


def export(
    run_or_checkpoint: str | Path,
    output: str | Path,
    format: str = "onnx",
    which: Literal["best", "last"] = "best",
    teacher: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a network of a run as one file, and a description of its input and output into ``FILE.md`` beside it.

    ``onnx`` and ``torch`` files take images (B, 3, H, W) float32 RGB in [0, 1], or of the run's other channels, of any
    number and size, normalise them themselves and return logits (B, C, H, W) float32. They are compared with
    PyTorch on several sizes before the file gets its name.

    Args:
        run_or_checkpoint: a run folder, or one checkpoint file.
        output: the file to write.
        format: ``onnx``, ``torch`` (a ``torch.export`` program) or ``safetensors`` (weights; ``semiseg predict`` reads
            them).
        which: the ``best`` or the ``last`` checkpoint of a run folder.
        teacher: write the teacher instead of the student.
        overwrite: replace existing files.
        progress: called with (parts done, parts in all): the network is read, written and compared, described.

    Returns:
        The file.

    Raises:
        UsageError: no such format, or a file name without its suffix.
        SemisegError: a file exists, a library is missing, the network cannot be written in this format, or the file's
            outputs differ from PyTorch's.
    """
    if format not in FORMATS:
        raise UsageError(f"--format {format!r}: choose one of {', '.join(FORMATS)}")
    path = Path(output)
    if path.suffix != SUFFIXES[format]:  # readers, load_model among them, decide by it
        stem = path.stem if path.suffix in SUFFIXES.values() else path.name
        better = path.with_name(f"{stem}{SUFFIXES[format]}")
        raise UsageError(
            f"{path} does not end in {SUFFIXES[format]}, the suffix of --format {format}; name it {better}"
        )
    card = path.with_name(f"{path.name}.md")
    if existing := [str(p) for p in (path, card) if p.exists() and not overwrite]:
        raise SemisegError(f"{', '.join(existing)} exists; choose another --output, or --overwrite")
    told = progress or (lambda done, total: None)
    told(0, 3)
    model = load_model(run_or_checkpoint, which, teacher)
    told(1, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{SUFFIXES[format]}")  # a wrong file must never get the name
    try:
        FORMATS[format](model, partial)
        os.replace(partial, path)
    except (SemisegError, OSError):
        raise
    except Exception as error:  # the exporters raise many kinds of errors
        raise SemisegError(
            f"{model.config.network.backbone} cannot be written as {format} by PyTorch {torch.__version__} "
            f"({first_line(error)}); try another --format or a newer PyTorch, and please report it where that fails too"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    told(2, 3)
    write_card(model, path, card, format)
    told(3, 3)
    return path
