"""Colours of the strips: no two of the legend are alike, and the masks are drawn in those of the legend."""

import base64
import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import tiny, write_picture
from PIL import Image

import semiseg
from semiseg.data.swatches import ALIKE, distance
from semiseg.report.facts import read_runs
from semiseg.report.pictures import UNLABELLED, strips, without_label


@pytest.mark.parametrize("black", [False, True])
def test_the_colour_without_a_label_is_nobodys(black: bool) -> None:
    classes = [(250, 0, 250), (0, 0, 0) if black else (9, 200, 9), (255, 255, 255)]
    assert without_label(classes) == (UNLABELLED[2] if black else UNLABELLED[0])


def rgb(name: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(name.lstrip("#"))
    return red, green, blue


def test_two_classes_of_one_colour_are_drawn_in_two(tmp_path: Path) -> None:
    for i in range(6):
        write_picture(tmp_path / "photos", f"photo{i}", i, mask=i < 5)
    for path in (tmp_path / "photos" / "masks").iterdir():  # a corner without a label
        mask = np.array(Image.open(path))
        mask[:8, :8] = 255
        Image.fromarray(mask).save(path)
    about = {"classes": ["road", "tree", "sky"], "colours": [[0, 0, 0], [200, 0, 0], [200, 0, 4]]}
    (tmp_path / "photos" / "dataset.yaml").write_text(yaml.safe_dump(about))
    semiseg.train(tiny(tmp_path / "photos", tmp_path / "run", training__iterations=1), progress=False)
    (found,) = strips(read_runs([tmp_path / "run"]), 1)
    assert [name for name, _ in found.legend] == ["road", "tree", "sky", "error map: wrong", "not labelled"]
    colours = [rgb(colour) for _, colour in found.legend]
    assert min(distance(a, b) for a, b in combinations(colours, 2)) >= ALIKE
    assert colours[:2] == [(0, 0, 0), (200, 0, 0)]
    assert "sky" in found.remarks[0] and "tree" not in found.remarks[0]
    _, (_, truth, *_) = found.rows[0]
    drawn = Image.open(io.BytesIO(base64.b64decode(truth.uri.partition(",")[2]))).convert("RGB")
    seen = {colour for _, colour in drawn.getcolors(10**6)}
    assert colours[4] in seen and seen <= {*colours[:3], colours[4]}
