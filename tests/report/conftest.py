"""Two finished tiny runs on one folder, for every test of the report."""

from pathlib import Path

import pytest
import torch
import yaml
from conftest import tiny, write_picture

import semiseg

CLASSES = ["road", "<b>tree</b>", "sky</script>"]  # names that would break a page that trusts them


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A supervised run and one of the paper's method, 4 steps each; 3 of 8 masks are hidden from training."""
    torch.set_num_threads(1)
    base = tmp_path_factory.mktemp("report")
    for i in range(10):
        write_picture(base / "photos", f"photo{i:02d}", i, mask=i < 8)
    (base / "photos" / "dataset.yaml").write_text(yaml.safe_dump({"classes": CLASSES}))
    for method in ("supervised", "memory_bank"):
        changes = {"method__name": method, "training__validate_every": 2, "data__labelled": 3}
        semiseg.train(tiny(base / "photos", base / method, **changes), progress=False)
    return base / "supervised", base / "memory_bank"
