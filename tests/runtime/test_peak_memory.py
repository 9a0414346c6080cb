"""The most memory held since a moment."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import HANGS

from semiseg.runtime import peak_memory
from semiseg.runtime.peak_memory import PeakMemory

MIB = 2**20
CPU = torch.device("cpu")


OWN = """
import numpy as np
import torch
from semiseg.runtime.peak_memory import PeakMemory

before = np.ones(256 * 2**20, np.uint8)
del before
peak = PeakMemory(torch.device("cpu"))
start = peak.read()
held = np.ones(128 * 2**20, np.uint8)
del held
print(start, peak.read(), PeakMemory(torch.device("cpu")).read())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not say")
def test_what_was_freed_counts_and_what_came_before_does_not() -> None:
    # In a process of its own: what this one has freed may be taken again without growing it.
    told = subprocess.run([sys.executable, "-c", OWN], capture_output=True, text=True, check=True, timeout=HANGS)
    if "None" in told.stdout:
        pytest.skip("this system does not let the memory be counted from a moment on")
    start, after, again = map(int, told.stdout.split())
    assert start > 20 * MIB and 100 * MIB < after - start < 250 * MIB and again < after - 100 * MIB


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
