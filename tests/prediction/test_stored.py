"""Predicted masks hold the values that people's own masks have, and no class where an image has no content."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from semiseg.data.base import DatasetInfo
from semiseg.networks.output import Output
from semiseg.prediction.files import predict_files
from semiseg.prediction.stored import mask_picture

COLOURS = ((0, 0, 0), (200, 0, 0), (0, 0, 200))
MASK = np.array([[0, 1], [2, 255]], np.uint8)


def info(*ids: int) -> DatasetInfo:
    return DatasetInfo("cells", ("a", "b", "c"), COLOURS, ids=ids)


@pytest.mark.parametrize(
    ("ids", "values"),
    [((), [[0, 1], [2, 255]]), ((1, 2, 4), [[1, 2], [4, 255]]), ((0, 128, 255), [[0, 128], [255, 254]]),
     ((0, 7, 900), [[0, 7], [900, 255]])],
)  # fmt: skip
def test_ids_are_kept_on_the_way_out(tmp_path: Path, ids: tuple[int, ...], values: list[list[int]]) -> None:
    mask_picture(MASK, info(*ids)).save(tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as stored:
        assert np.array(stored).tolist() == values
        if max(ids, default=0) < 256:
            assert stored.mode == "P" and np.array(stored.convert("RGB"))[1, 0].tolist() == [0, 0, 200]


class Second(nn.Module):
    """Says class 1 everywhere."""

    def forward(self, x: torch.Tensor) -> Output:
        logits = torch.zeros(len(x), 3, *x.shape[-2:])
        logits[:, 1] = 9
        return Output(logits, logits)


def test_transparent_pixels_are_no_class(tmp_path: Path) -> None:
    picture = np.full((8, 8, 4), 255, np.uint8)
    picture[:2, :, 3] = 0
    Image.fromarray(picture).save(tmp_path / "a.png")
    (done,), failed = predict_files(Second(), info(0, 10, 20), tmp_path / "a.png", tmp_path / "out")
    assert not failed and done.shares == {"a": 0, "b": 1, "c": 0}
    with Image.open(tmp_path / "out" / "masks" / "a.png") as stored:
        assert np.array(stored)[:, 0].tolist() == [255, 255, *[10] * 6]
    with Image.open(tmp_path / "out" / "overlays" / "a.png") as overlay:
        assert np.array(overlay)[0, 0].tolist() == [255, 255, 255]
