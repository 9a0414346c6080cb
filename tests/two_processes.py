"""Two processes as two threads of one: what each finds when sums are taken over both, in milliseconds."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from conftest import HANGS
from torch import Tensor

from semiseg.runtime import distributed

T = TypeVar("T")


def of_both(monkeypatch: pytest.MonkeyPatch, *each: Callable[[], T]) -> list[T]:
    """What the functions return, one in each process. Only values are exchanged; gradients stay with their process."""
    meet, given = threading.Barrier(2, timeout=HANGS), {}

    def all_reduce(values: Tensor) -> Tensor:
        given[threading.get_ident()] = values.detach().clone()
        meet.wait()
        summed = sum(given.values())
        meet.wait()
        return summed

    def all_gather(parts: list[Tensor], values: Tensor) -> None:
        given[threading.get_ident()] = values.clone()
        meet.wait()
        for part, one in zip(parts, [given[name] for name in sorted(given)], strict=True):
            part.copy_(one)
        meet.wait()

    with monkeypatch.context() as patch:
        patch.setattr(distributed.dist, "all_gather", all_gather)
        patch.setattr(distributed, "world", lambda: 2)
        patch.setattr(distributed.dist, "all_reduce", lambda values: values.copy_(all_reduce(values)))
        patch.setattr(distributed, "differentiable_all_reduce", all_reduce)
        with ThreadPoolExecutor(2) as pool:
            return [future.result() for future in [pool.submit(function) for function in each]]
