"""The three examples of docs/scientific.md, run on small pictures of each kind."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasters import cell_folder, geo_folder, plot_folder
from test_docs_commands import commands
from test_readme import SHORT
from typer.testing import CliRunner

from semiseg.cli import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scientific.md"


@pytest.fixture
def run_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> str:
        told = []
        examples = [words for words in commands(PAGE) if name in words or f"runs/{name}" in words]
        assert [words[0] for words in examples][:2] == ["train", "predict"]
        for words in examples:
            done = CliRunner().invoke(app, words + ([*SHORT, "data.resize=null"] if words[0] == "train" else []))
            assert done.exit_code == 0, (words, done.stderr)
            told.append(done.stderr)
        return "".join(told)

    return run


def test_geotiff(tmp_path: Path, run_example) -> None:  # type: ignore[no-untyped-def]
    geo_folder(tmp_path / "scenes", channels=4)
    told = run_example("scenes")
    assert "images: channels 1, 2, 3, 4; " in told and "becomes 0 to 255, channel by channel" in told
    for folder in ("masks", "overlays", "confidence"):
        with (
            rasterio.open(tmp_path / "maps" / folder / "scene0.tif") as found,
            rasterio.open(tmp_path / "scenes" / "images" / "scene0.tif") as given,
        ):
            assert (found.crs, found.transform) == (given.crs, given.transform)
            assert folder != "masks" or (found.nodata == 255 and (found.read(1)[:2] == 255).all())


def test_microscopy(tmp_path: Path, run_example) -> None:  # type: ignore[no-untyped-def]
    cell_folder(tmp_path / "cells")
    assert "percentiles 1 to 99.8 of each image become 0 to 255" in run_example("cells")
    mask = np.asarray(Image.open(tmp_path / "segmented" / "masks" / "cell0.ome.png"))
    assert mask.shape == (48, 48) and mask.max() < 3


def test_five_channels(tmp_path: Path, run_example) -> None:  # type: ignore[no-untyped-def]
    plot_folder(tmp_path / "plots")
    assert "images: channels 1, 2, 3, 4, 5" in run_example("plots")
    assert (tmp_path / "fields" / "masks" / "plot0.png").is_file() and (tmp_path / "plots.pt2").is_file()
