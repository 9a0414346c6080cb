"""Permutation files, as the authors publish their splits: read without running anything that they contain.

A pickle is a program. Here its calls are noted and never made: every name that NumPy uses to store an array becomes a
:class:`_Note`, any other name ends the reading, and the array is built from the notes afterwards.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.errors import UsageError

LARGEST = 64 * 2**20  # bytes of a file; 24 966 numbers need 200 000
NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy.core.numeric", "_frombuffer"): "buffer",
    ("numpy._core.numeric", "_frombuffer"): "buffer",
    ("numpy", "ndarray"): "class",
    ("numpy", "dtype"): "type",
    ("_codecs", "encode"): "bytes",
}


class _Note:
    """What a pickle says about a NumPy object: its kind, the arguments of the call, and its state."""

    def __init__(self, kind: str, arguments: tuple[Any, ...] = ()) -> None:
        self.kind, self.arguments = kind, arguments
        self.state: Any = ()

    def __call__(self, *arguments: Any) -> _Note:
        return _Note(self.kind, arguments)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in NAMES:
            raise pickle.UnpicklingError(f"it asks for {f'{module}.{name}'[:80]!a}")
        return _Note(NAMES[module, name])


def read_permutation(path: Path, count: int) -> np.ndarray:
    """The permutation of 0…``count`` - 1 in a ``.pkl`` or ``.npy`` file, int64 (count,).

    Raises:
        UsageError: no such file, anything but a one-dimensional NumPy integer array, or not a permutation of ``count``.
    """
    if not path.is_file():
        raise UsageError(f"no list file {path}; give a NumPy permutation (.pkl, .npy), or a text file of image names")
    if path.stat().st_size > LARGEST:
        raise UsageError(f"{path} is too large for a permutation of images; give a list of {count} numbers")
    try:
        with path.open("rb") as file:
            if path.suffix.lower() == ".npy":
                order = np.lib.format.read_array(file, allow_pickle=False)
            else:  # Python 2 wrote the numbers as text, which latin-1 gives back byte for byte
                order = _array(_Reader(file, encoding="latin-1").load())
    except Exception as error:  # a pickle can fail in nearly any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"{path} is not a NumPy integer array and nothing in it was run ({reason}); give the permutation alone, or "
            "a text file of image names"
        ) from None
    if order.dtype.kind not in "iu" or order.ndim != 1:
        raise UsageError(f"{path} must hold one row of whole numbers; give a NumPy permutation or a text file")
    if len(order) != count:
        raise UsageError(
            f"{path} orders {len(order)} images, the data set has {count} for training; take the file made for it"
        )
    if not np.array_equal(np.sort(order), np.arange(count)):
        raise UsageError(f"{path} is not a permutation of 0…{count - 1}; take the file that belongs to the data set")
    return order.astype(np.int64)


def _array(value: Any) -> np.ndarray:
    """The array that the notes describe: as NumPy's __reduce__ (protocols 0 to 4) or __reduce_ex__ (5) lays it down."""
    if not isinstance(value, _Note) or value.kind not in ("array", "buffer"):
        raise ValueError(f"it holds {value.kind if isinstance(value, _Note) else type(value).__name__}")
    if value.kind == "array":
        _, shape, kind, _, raw = value.state
    else:
        raw, kind, shape, _ = value.arguments
    if isinstance(raw, _Note) and raw.kind == "bytes":
        raw = raw.arguments[0]
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    return np.frombuffer(data, _integer_type(kind)).reshape(shape)


def _integer_type(note: Any) -> np.dtype[Any]:
    if not isinstance(note, _Note) or note.kind != "type":
        raise ValueError("it names no data type")
    code, order = note.arguments[0], note.state[1] if note.state else "="
    if code not in {f"{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8)} or order not in ("<", ">", "|", "="):
        raise ValueError(f"its type {code!r} is not a whole number")
    return np.dtype(f"{order}{code}")
