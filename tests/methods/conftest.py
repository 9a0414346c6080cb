"""examples/own_methods, installed as a stranger would, and images for its methods."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import write_picture
from own_methods_runs import PACKAGE, look_again


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed package."""
    base = tmp_path_factory.mktemp("stranger")
    shutil.copytree(PACKAGE, base / "source")  # building leaves files behind
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", base / "site"]
    subprocess.run([sys.executable, "-m", "pip", *install, base / "source"], check=True)
    return base / "site"


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its methods are found, for the time of a test."""
    monkeypatch.syspath_prepend(site)
    look_again()
    yield
    monkeypatch.undo()
    look_again()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small pictures, of which five have masks."""
    root = tmp_path_factory.mktemp("images")
    for i in range(12):
        write_picture(root, f"photo{i:02d}", i, mask=i < 5)
    return root
