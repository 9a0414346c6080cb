"""The examples run, shortened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from semiseg.errors import SemisegError
from semiseg.networks import build_network

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, timeout=300,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_loop(tmp_path: Path) -> None:
    out = run(str(ROOT / "examples" / "plain_loop.py"), "--iterations", "12", cwd=tmp_path)
    assert out.startswith("  0 loss") and " 11 loss" in out
    assert len((ROOT / "examples" / "plain_loop.py").read_text().splitlines()) <= 100


def test_demo_prints_both_figures_and_draws_the_picture(tmp_path: Path) -> None:
    try:
        build_network("deeplabv3plus", "efficientnet_lite0", 2)
    except SemisegError:
        pytest.skip("the package with EfficientNet-Lite0's weights is not installed")
    words = ["training.iterations=2", "training.batch_size=2", "data.options.val=4", "data.options.train=14"]
    out = run(str(ROOT / "examples" / "demo.py"), *words, cwd=tmp_path)
    assert "supervised" in out and "memory_bank" in out and "unlabelled images bought" in out
    assert (tmp_path / "runs" / "demo" / "comparison.png").stat().st_size > 10_000
    assert f"report: {Path('runs', 'demo', 'report.html')}" in out.splitlines()[-1]
    assert (tmp_path / "runs" / "demo" / "report.html").stat().st_size > 1_000_000
