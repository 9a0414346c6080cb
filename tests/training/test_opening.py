"""The words at the start of a run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny, write_picture
from fake_networks import INFO, Images
from PIL import Image

from semiseg.data.base import DatasetInfo
from semiseg.data.run_data import RunData, open_run_data
from semiseg.training.opening import class_shares, opening, tell_opening

CPU = torch.device("cpu")


def data_of(*masks: np.ndarray, info: DatasetInfo = INFO) -> RunData:
    blank = np.zeros((4, 4, 3), np.uint8)
    images = Images([(blank, mask.astype(np.uint8)) for mask in masks], info)
    return RunData(images, images, list(range(len(masks))), [])


def test_shares_of_the_labelled_pixels() -> None:
    one = np.full((10, 20), 255)
    one[0] = 0  # 20 pixels of 0, the rest means ignored
    two = np.zeros((10, 20))
    two[:, :10], two[0, 0] = 1, 2
    assert class_shares(data_of(one, two)) == "red 55 %, green 45 %, blue 0.5 % of the labelled pixels"
    assert class_shares(data_of(np.full((2, 2), 255))) == "red 0 %, green 0 %, blue 0 % of the labelled pixels"


def test_of_many_masks_some_are_counted_and_of_many_classes_some_named() -> None:
    masks = [np.zeros((2, 2)) for _ in range(130)]
    assert class_shares(data_of(*masks)).endswith("of the labelled pixels, in 44 of the masks")
    many = DatasetInfo("many", tuple(f"c{i}" for i in range(20)), ((0, 0, 0),) * 20)
    mask = np.repeat(np.arange(20), np.arange(1, 21))[None]  # class i has i + 1 pixels of 210
    told = class_shares(data_of(mask, info=many)).split(", ")
    assert [word.split()[0] for word in told] == [
        "c19", "c18", "c17", "c16", "c15", "c14", "c13", "c12", "c11", "8", "c2", "c1", "c0"
    ]  # fmt: skip


def test_lines_fit_but_the_command_is_whole(folder: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / ("a long name " * 8).strip()
    config = tiny(folder, run_dir, method__name="fixmatch")
    lines = opening(config, open_run_data(config.data), CPU, None)
    assert lines[-1] == f"a page that follows it: semiseg watch '{run_dir}'"
    assert "images: 4 with masks, 7 without, 1 to validate" in lines
    text = " ".join(" ".join(lines).split())
    assert "method: fixmatch, 4 steps of 2 labelled and 2 unlabelled crops of 32×32 pixels; deeplabv3plus on" in text
    assert "device: cpu, 1 of " in text and "classes: class_0 " in text
    wide = [line for line in lines[:-1] if len(line) > 80]
    assert all(" " not in line.strip().removeprefix("run: ") or str(run_dir) in line for line in wide)
    short = opening(tiny(folder, tmp_path / "r", method__name="supervised"), open_run_data(config.data), CPU, None)
    assert "unlabelled crops" not in " ".join(short)
    assert any(line.endswith("random weights") for line in short)
    warm = opening(tiny(folder, run_dir, network__warm_start="runs/one"), open_run_data(config.data), CPU, None)
    assert "weights of runs/one" in " ".join(" ".join(warm).split()), "not those that a preset names"


def test_a_resumed_run_says_a_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny(folder, tmp_path / "r")
    tell_opening(config, open_run_data(config.data), CPU, None, resumed=True)
    assert capsys.readouterr().err == f"run: {tmp_path / 'r'}\n"


def test_a_mask_that_cannot_be_read_counts_for_nothing(tmp_path: Path) -> None:
    for i in range(3):
        write_picture(tmp_path, f"photo{i}", i, mask=True)
    data = open_run_data(tiny(tmp_path, tmp_path / "r").data)
    Image.new("L", (64, 64), 1).save(tmp_path / "masks" / f"{data.labelled_names[0]}.png")
    (tmp_path / "masks" / f"{data.labelled_names[1]}.png").write_bytes(b"x")
    assert "class_1 100 %" in class_shares(data)
