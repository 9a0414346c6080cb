"""The most memory that a run has held: measured, where ``semiseg cost`` counts."""

from __future__ import annotations

from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
HIGHEST_RESIDENT = "5"
"""Written to ``CLEAR`` it makes the highest resident memory of the process the present one (proc(5))."""


class PeakMemory:
    """From here on.

    Args:
        device: on CUDA the memory that tensors take is measured, on the CPU the resident memory of this process, with
            the libraries and the images that it keeps.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.known = device, device.type == "cuda"
        if self.known:
            torch.cuda.reset_peak_memory_stats(device)
        elif device.type == "cpu":
            try:
                CLEAR.write_text(HIGHEST_RESIDENT, encoding="utf-8")
                self.known = STATUS.exists()
            except OSError:  # no Linux, or one that does not let it be counted from here on
                pass

    def read(self) -> int | None:
        """Bytes; None where this system does not say."""
        if not self.known:
            return None
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        lines = STATUS.read_text(encoding="utf-8").splitlines()
        line = next((line for line in lines if line.startswith("VmHWM:")), None)
        return None if line is None else 1024 * int(line.split()[1])
