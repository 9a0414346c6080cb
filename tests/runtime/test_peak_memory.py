"""The most memory held since a moment."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from semiseg.runtime import peak_memory
from semiseg.runtime.peak_memory import PeakMemory

MIB = 2**20
CPU = torch.device("cpu")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not say")
def test_what_was_freed_counts_and_what_came_before_does_not() -> None:
    before = np.ones(256 * MIB, np.uint8)
    del before
    peak = PeakMemory(CPU)
    start = peak.read()
    assert start is not None and start > 20 * MIB
    held = np.ones(128 * MIB, np.uint8)
    del held
    after = peak.read()
    assert after is not None and 120 * MIB < after - start < 200 * MIB
    again = PeakMemory(CPU).read()
    assert again is not None and again < after - 100 * MIB


def test_a_system_that_does_not_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak_memory, "CLEAR", tmp_path / "nowhere" / "clear_refs")
    assert PeakMemory(CPU).read() is None
    assert PeakMemory(torch.device("meta")).read() is None


def test_cuda_counts_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", asked.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * MIB)
    device = torch.device("cuda:1")
    assert PeakMemory(device).read() == 3 * MIB and asked == [device]
