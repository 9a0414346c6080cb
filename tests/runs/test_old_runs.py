"""Runs that an earlier version wrote load, and resume to what that version would have made of them.

``tests/old_runs`` holds three runs of six steps, stopped after three, and in ``expected.pt`` the state that the
uninterrupted run of the same version ended with.
"""

import shutil
from pathlib import Path

import pytest
import torch

from semiseg import Config, train
from semiseg.runs import checkpoint

OLD = Path(__file__).parents[1] / "old_runs"
NAMES = ("memory_bank", "classmix", "supervised")


@pytest.mark.parametrize("name", NAMES)
def test_an_old_run_resumes_to_what_it_would_have_become(name: str, folder: Path, tmp_path: Path) -> None:
    run = tmp_path / name
    shutil.copytree(OLD / name, run)
    expected = torch.load(run / "expected.pt", weights_only=True)
    config = Config.load(run / "config.yaml", [f"data.root={folder}", f"run_dir={run}"])
    before = checkpoint.load(run / "checkpoints" / "last.pt")
    assert before["iteration"] == 3
    train(config, resume=True, progress=False)
    after = checkpoint.load(run / "checkpoints" / "last.pt")
    assert after["iteration"] == 6
    assert after["method"].keys() == expected.keys()
    moved = 0
    for key, value in expected.items():
        moved += not torch.equal(before["method"][key], after["method"][key])
        if key.startswith("contrast.") and "num_batches" not in key:
            continue  # stopped before its heads had learnt, when the bank filled through statistics of 0 and 1
        # Three steps on another processor: close, not equal to the last digit.
        torch.testing.assert_close(after["method"][key], value, rtol=1e-2, atol=1e-3, msg=key)
    assert moved > 10


@pytest.mark.parametrize("name", NAMES)
def test_an_old_checkpoint_loads_as_a_model(name: str) -> None:
    model = checkpoint.load_model(OLD / name, "last")
    assert model.iteration == 3 and model.config.method.name == name
    assert model.network(torch.zeros(1, 3, 32, 32)).logits.shape[1] == 3
