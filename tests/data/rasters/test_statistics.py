from pathlib import Path

import numpy as np
import pytest
from rasters import geo_folder, plot_folder, scene

from semiseg import Config
from semiseg.data.rasters.statistics import channel_statistics
from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError


def test_ranges_are_those_of_the_training_images_together_and_hold_for_validation(tmp_path: Path) -> None:
    geo_folder(tmp_path, channels=4)
    words = [f"data.root={tmp_path}", "data.channels=[4,2]", "data.intensity=dataset", "data.percentiles=[0,100]"]
    data = open_run_data(Config.load("folder", words).data)
    bands = np.stack([scene(int(name[-1]), (48, 48), 4)[0][:, 2:] for name in data.train.names])
    assert data.ranges is not None
    assert data.ranges == tuple((bands[:, c].min(), bands[:, c].max()) for c in (3, 1))
    low, high = data.ranges[0]
    raw = scene(int(data.val.names[0][-1]), (48, 48), 4)[0][3, 2:].astype(float)
    assert np.abs(data.val.image(0)[2:, :, 0] - ((raw - low) / (high - low) * 255).clip(0, 255)).max() <= 0.51


def test_ranges_that_are_given_are_not_measured(tmp_path: Path) -> None:
    geo_folder(tmp_path, channels=4)
    words = [f"data.root={tmp_path}", "data.channels=4", "data.intensity=dataset", "data.ranges=[[0,4095]]"]
    assert open_run_data(Config.load("folder", words).data).ranges is None


def test_mean_and_deviation_leave_out_what_is_no_content(tmp_path: Path) -> None:
    geo_folder(tmp_path, channels=4)
    words = [f"data.root={tmp_path}", "data.channels=4", "data.intensity=dataset", "data.ranges=[[0,4095]]"]
    images = open_run_data(Config.load("folder", words).data).train
    mean, std = channel_statistics(images)
    values = np.concatenate([images.image(i)[2:].reshape(-1, 4) for i in range(len(images))]) / 255
    assert np.allclose(mean, values.mean(0)) and np.allclose(std, values.std(0))


def test_where_no_image_can_be_read_the_first_says_why(tmp_path: Path) -> None:
    plot_folder(tmp_path)
    for path in (tmp_path / "images").iterdir():
        path.write_bytes(b"II*\0")
    words = [f"data.root={tmp_path}", "data.channels=5", "data.intensity=dataset"]
    with pytest.raises(SemisegError, match=r"plot\d\.tif cannot be read as an image"):
        open_run_data(Config.load("folder", words).data)
