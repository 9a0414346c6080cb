"""``semiseg predict`` as a user gives it: options, reports and what it leaves on disk."""

import csv
from pathlib import Path

import numpy as np
import pytest
from commands import call
from conftest import tiny, write_picture
from PIL import Image

import semiseg
from semiseg.runtime import progress as bars


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("predict")
    for i in range(5):
        write_picture(base / "photos", f"photo{i}", i, mask=i < 4)
    semiseg.train(
        tiny(base / "photos", base / "run", training__iterations=2, training__validate_every=2), progress=False
    )
    return base / "run"


def test_everything_at_once(run: Path, tmp_path: Path) -> None:
    photos, out = run.parent / "photos" / "images", tmp_path / "out"
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    words = ["--tile", 32, "--overlap", 0.5, "--flip", "--scales", "0.75,1,1.25", "--confidence", "--teacher"]
    code, text, error = call("predict", run, broken, str(photos / "photo[0-2].png"), "--output", out, *words)
    assert code == 0 and "3 images segmented" in text and "1 skipped" in text
    assert error.count("broken.png cannot be read") == 1
    names = [f"photo{i}.png" for i in range(3)]
    assert sorted(path.name for path in out.iterdir()) == ["confidence", "masks", "overlays", "shares.csv"]
    for folder in ("confidence", "masks", "overlays"):
        assert sorted(path.name for path in (out / folder).iterdir()) == names
    predictor = semiseg.Predictor(run, teacher=True, tile=32, overlap=0.5, flip=True, scales=(0.75, 1, 1.25))
    with (out / "shares.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row.pop("image") for row in rows] == [str(photos / name) for name in names]
    for name, row in zip(names, rows, strict=True):
        expected = predictor(photos / name)
        with Image.open(out / "masks" / name) as mask, Image.open(out / "confidence" / name) as sure:
            assert np.array_equal(np.array(mask), expected.mask) and sure.mode == "L"
        assert {key: float(value) for key, value in row.items()} == pytest.approx(expected.shares, abs=1e-6)


def test_shares_are_not_written_over(run: Path, tmp_path: Path) -> None:
    photos = run.parent / "photos" / "images"
    assert call("predict", run, photos / "photo0.png", "--output", tmp_path)[0] == 0
    before = (tmp_path / "shares.csv").read_bytes()
    code, _, error = call("predict", run, photos / "photo1.png", "--output", tmp_path)
    assert code == 1 and "shares.csv" in error and len(error.strip().splitlines()) == 1
    assert (tmp_path / "shares.csv").read_bytes() == before
    assert call("predict", run, photos / "photo1.png", "--output", tmp_path, "--overwrite")[0] == 0
    assert "photo1.png" in (tmp_path / "shares.csv").read_text()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--scales", "1,x"], "--scales '1,x' is no list of numbers"),
        (["--scales", "0"], "give factors"),
        (["--tile", "0"], "a tile of 0 pixels"),
        (["--tile", "32", "--overlap", "1"], "an overlap of 1"),
        (["--scale", "0.5"], "scale needs tile"),
        (["--every", "0"], "give 1 for all"),
        (["--checkpoint", "newest"], "choose last or best"),
    ],
)
def test_misuse_is_one_line_and_writes_nothing(run: Path, tmp_path: Path, words: list[str], text: str) -> None:
    code, _, error = call("predict", run, run.parent / "photos" / "images", "--output", tmp_path / "out", *words)
    assert code == 2 and text in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_bar_is_shown_in_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with bars.CountingBar("photos") as bar:
        bar.update(1, 4)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(bars.sys.stderr, "isatty", lambda: True)
    for shown, expected in ((True, "3/4"), (False, "")):
        with bars.CountingBar("photos", shown) as bar:
            bar.update(1, 4)
            bar.update(3, 4)
        error = capsys.readouterr().err
        assert expected in error and ("photos" in error) == shown
