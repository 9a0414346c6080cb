"""The examples run, shortened."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import HANGS

from semiseg.errors import SemisegError
from semiseg.networks import build_network

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str, cwd: Path, **environment: str) -> str:
    path = environment.pop("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    environment["PYTHONPATH"] = os.pathsep.join([*filter(None, [path]), str(Path(__file__).parent / "site")])
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, timeout=HANGS,
                          env=os.environ | {"OMP_NUM_THREADS": "1"} | environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_loop(tmp_path: Path) -> None:
    out = run(str(ROOT / "examples" / "plain_loop.py"), "--iterations", "12", cwd=tmp_path)
    assert out.startswith("  0 loss") and " 11 loss" in out


@pytest.mark.parametrize("name", ["plain_loop", "lightning_module", "smp_network"])
def test_examples_are_short(name: str) -> None:
    assert len((ROOT / "examples" / f"{name}.py").read_text().splitlines()) <= 100


def bank_of(line: str) -> list[int]:
    return json.loads(re.search(r"bank (\[.*\])", line)[1])


def test_lightning(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    out = run(str(ROOT / "examples" / "lightning_module.py"), cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    last = out.splitlines()[-1]
    assert last.startswith("30 steps {'loss': ") and max(bank_of(last)) > 0
    (saved,) = (tmp_path / "checkpoints").glob("*.ckpt")
    state = torch.load(saved, weights_only=True)["state_dict"]
    assert state["contrast.bank.counts"].tolist() == bank_of(last)
    assert not torch.equal(state["teacher.classifier.weight"], state["student.classifier.weight"])


SMP = """
from torch import nn

class Encoder(nn.Sequential):
    def forward(self, x):
        found = [x]
        for layer in self:
            found.append(layer(found[-1]))
        return found

class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Sequential(nn.Upsample(scale_factor=4), nn.Conv2d(24, 16, 3, 1, 1), nn.ReLU())
    def forward(self, features):
        return self.up(features[-1])

class Unet(nn.Module):
    def __init__(self, encoder_name, encoder_weights, classes):
        super().__init__()
        assert encoder_name == "resnet18" and encoder_weights is None
        second = nn.Sequential(nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 24, 3, 2, 1))
        self.encoder = Encoder(nn.Conv2d(3, 24, 3, 2, 1), second)
        self.decoder = Decoder()
        self.segmentation_head = nn.Sequential(nn.Conv2d(16, classes, 3, padding=1), nn.Identity(), nn.Identity())
"""


@pytest.mark.parametrize("real", [False, True])
def test_segmentation_models_pytorch(real: bool, tmp_path: Path) -> None:
    """Around a stand-in with the interface of version 0.6, and around the library itself where it can be imported."""
    path = os.environ.get("PYTHONPATH", "")
    if real:
        try:
            import segmentation_models_pytorch  # noqa: F401
        except (ImportError, RuntimeError) as error:  # torchvision may be missing or not fit this PyTorch
            pytest.skip(f"segmentation_models_pytorch cannot be imported: {error}")
    else:
        (tmp_path / "segmentation_models_pytorch.py").write_text(SMP)
        path = os.pathsep.join([str(tmp_path), path])
    out = run(str(ROOT / "examples" / "smp_network.py"), "--iterations", "60", cwd=tmp_path, PYTHONPATH=path)
    lines = out.splitlines()
    assert len(lines) == 60 and lines[-1].startswith(" 59 loss ")
    assert max(bank_of(lines[-1])) > 0


def test_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("SEMISEG_STEPS", "10")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(ROOT / "examples" / "toy_streets.ipynb", 4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    nbclient.NotebookClient(notebook, timeout=HANGS, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    for wanted in ("12 labelled, 228 unlabelled", "memory_bank  validation mIoU", "of 256", "report: ", "uncertainty"):
        assert wanted in printed
    pictures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 4


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
    assert "supervised on 6 crops" in out and re.search(r"supervised for \d+ steps", out)
    assert re.search(r"points at equal crops and \S+ at equal seconds", out)
    assert (tmp_path / "runs" / "demo" / "report.html").stat().st_size > 1_000_000
