"""Five channels and 16 bits from the first look at the data to the last picture of the report."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from conftest import tiny
from rasters import cell_folder, geo_folder, plot_folder

import semiseg
from semiseg import Config
from semiseg.data.rasters.statistics import channel_statistics
from semiseg.data.run_data import open_run_data
from semiseg.errors import UsageError
from semiseg.export import export
from semiseg.report.facts import read_run
from semiseg.report.pictures import strips
from semiseg.runs.checkpoint import load_model


def config(root: Path, run_dir: Path, *words: str, **changes: Any) -> Config:
    given = tiny(root, run_dir, training__validate_every=2, **changes)
    return Config.parse(given.model_dump(mode="json"), list(words))


def test_five_channels_all_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, run = plot_folder(tmp_path / "plots"), tmp_path / "run"
    given = config(root, run, "data.channels=5", "data.shown=[4,3,2]")
    semiseg.train(given, progress=False)
    told = capsys.readouterr().err
    assert "images: channels 1, 2, 3, 4, 5; normalised by mean and deviation of the training images; jitter" in told
    model = load_model(run)
    mean, std = channel_statistics(open_run_data(given.data).train)
    assert model.network.mean.flatten().tolist() == pytest.approx(mean)
    assert model.network.std.flatten().tolist() == pytest.approx(std)
    semiseg.evaluate(run)
    done, failed = semiseg.predict(run, root / "images", tmp_path / "out", tile=32)
    assert len(done) == 6 and not failed
    predictor = semiseg.Predictor(run)
    values = tifffile.imread(root / "images" / "plot0.tif").transpose(1, 2, 0)
    found = predictor(values)
    assert np.array_equal(found.mask, predictor(root / "images" / "plot0.tif").mask)
    assert np.array_equal(found.mask, predictor(torch.from_numpy(values).permute(2, 0, 1)).mask)
    assert np.array_equal(found.overlay(0.0), values[..., [3, 2, 1]])
    (pictures,) = strips([read_run(run)], 1)
    assert not pictures.remarks and len(pictures.rows[0][1]) == 4


def test_a_file_for_other_programs_takes_five_channels(tmp_path: Path) -> None:
    root, run = plot_folder(tmp_path / "plots"), tmp_path / "run"
    semiseg.train(config(root, run, "data.channels=5"), progress=False)
    path = export(run, tmp_path / "net.pt2", "torch")
    images = torch.rand(1, 5, 40, 48)
    assert torch.export.load(path).module()(images).shape == (1, 3, 40, 48)
    card = path.with_name("net.pt2.md").read_text()
    assert "images (channels 1, 2, 3, 4, 5) in [0, 1], float32, (B, 5, H, W)" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    exec(code.replace("net.pt2", str(path)), {})


def test_ranges_are_measured_once_and_kept(tmp_path: Path) -> None:
    root, run = geo_folder(tmp_path / "land"), tmp_path / "run"
    words = ["data.channels=4", "data.intensity=dataset"]
    semiseg.train(config(root, run, *words, training__iterations=2), progress=False)
    ranges = Config.load(run / "config.yaml").data.ranges
    assert ranges is not None and len(ranges) == 4 and load_model(run).config.data.ranges == ranges
    (root / "images" / "scene5.tif").write_bytes((root / "images" / "scene0.tif").read_bytes())
    longer = config(root, run, *words, training__iterations=2)
    assert semiseg.train(longer, resume=True, progress=False).run_dir == run
    assert Config.load(run / "config.yaml").data.ranges == ranges
    with pytest.raises(UsageError, match=r"data\.ranges \(was .*, now \[\(0\.0, 1\.0\)\]\)"):
        semiseg.train(config(root, run, *words, "data.ranges=[[0,1]]", training__iterations=2), resume=True)


@pytest.mark.parametrize("method", ["augseg", "s4gan", "error_correcting", "unimatch"])
def test_methods_that_look_at_channels_take_five(tmp_path: Path, method: str) -> None:
    root = plot_folder(tmp_path / "plots")
    given = config(root, tmp_path / "run", "data.channels=5", f"method.name={method}", training__iterations=2)
    semiseg.train(given, progress=False)
    from semiseg.cost.step import cost

    assert cost(given, 3).total > 0


def test_a_stack_of_16_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, run = cell_folder(tmp_path / "cells"), tmp_path / "run"
    semiseg.train(config(root, run, "data.stack={Z: max}", "data.intensity=image", "data.channels=1"), progress=False)
    told = capsys.readouterr().err
    assert "percentiles 1 to 99.8 of each image become 0 to 255, channel by channel; along Z the maximum" in told
    (found,), _ = semiseg.predict(run, root / "images" / "cell0.ome.tif", tmp_path / "out")
    assert found.mask_path == tmp_path / "out" / "masks" / "cell0.ome.png"


def test_tiles_of_large_pictures_train_and_validate(tmp_path: Path) -> None:
    root, run = geo_folder(tmp_path / "land", side=130), tmp_path / "run"
    (root / "dataset.yaml").write_text("classes: [a, b, c]\n")
    semiseg.train(config(root, run, "data.channels=4", "data.intensity=image", "data.tile=64"), progress=False)
    shown = json.loads((run / "evaluation.json").read_text())
    assert shown["last"]["images"] == 9


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("data.channels=[]", "names none; give a count or a list"), ("data.channels=65", "more than the 64"),
        ("data.percentiles=[50, 50]", "50 is not below 50"), ("data.ranges=[[0, 1]]", r"act with data\.intensity"),
        ("data.shown=[1, 2, 4]", "4 is none of the 3 channels used"), ("data.tile=10", "greater than or equal to 64"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_one_line(word: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Config.load("folder", [word])
