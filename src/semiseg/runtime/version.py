"""Machine and versions that a figure depends on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np
import torch

from semiseg import __version__


def machine() -> str:
    """Processor, cores and accelerator in one line."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
            if "model name" in line
        ]
        name = models[0] if models else name
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads{gpu}"


def versions() -> dict[str, str]:
    """Versions that a figure depends on."""
    return {
        "semiseg": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
