import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from commands import call
from conftest import tiny, write_picture
from PIL import Image
from typer.testing import CliRunner

import semiseg
from semiseg.config.read import fields

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder and a finished run on it, made by the command."""
    base = tmp_path_factory.mktemp("cli")
    for i in range(8):
        write_picture(base / "photos", f"photo{i:02d}", i, mask=i < 5)
    path = base / "own.yaml"
    path.write_text(yaml.safe_dump(tiny(base / "photos", base / "run").model_dump(mode="json")))
    code, out, err = call("train", path, "training.seed=3", "--quiet")
    assert code == 0, err
    assert "last" in out and "best" in out
    return base / "photos", base / "run"


@pytest.mark.parametrize(
    "words", [[], ["train"], ["evaluate"], ["predict"], ["presets"], ["data"], ["data", "check"], ["data", "split"]]
)
def test_help(words: list[str]) -> None:
    code, out, _ = call(*words, "--help")
    assert code == 0
    assert "Usage" in out
    if words and words != ["data"]:
        assert "Example: semiseg " + " ".join(words) in " ".join(out.replace("│", " ").split())


def test_evaluate_agrees_with_the_run(trained: tuple[Path, Path]) -> None:
    _, run = trained
    written = json.loads((run / "evaluation.json").read_text())
    for words, name in (([], "last"), (["--checkpoint", "best"], "best"), (["--teacher"], "last_teacher")):
        code, out, err = call("evaluate", run, "--json", *words)
        assert code == 0, err
        assert json.loads(out)["confusion"] == written[name]["confusion"]
    assert semiseg.evaluate(run).miou == pytest.approx(written["last"]["miou"])
    code, out, _ = call("evaluate", run)
    assert code == 0 and "class_0" in out and "mean" in out


def test_predict_at_the_images_own_size_and_never_over_a_file(trained: tuple[Path, Path], tmp_path: Path) -> None:
    photos, run = trained
    write_picture(tmp_path / "odd", "wide", 50, mask=False, size=(37, 91))
    (tmp_path / "odd" / "images" / "broken.png").write_bytes(b"not a picture")
    code, out, err = call("predict", run, tmp_path / "odd" / "images", photos / "images", "--output", tmp_path / "out")
    assert code == 0, err
    assert "9 images segmented" in out and "1 skipped" in out and "broken.png" in err
    with Image.open(tmp_path / "out" / "masks" / "wide.png") as mask:
        assert mask.size == (91, 37) and mask.mode == "P" and np.array(mask).max() < 3
    with Image.open(tmp_path / "out" / "overlays" / "wide.png") as picture:
        assert picture.size == (91, 37)
    code, _, err = call("predict", run, tmp_path / "odd" / "images", "--output", tmp_path / "out")
    assert code == 1 and "output files exist" in err and "--overwrite" in err


def test_data_check_and_split(trained: tuple[Path, Path], tmp_path: Path) -> None:
    photos, _ = trained
    code, out, _ = call("data", "check", photos, "data.crop=32")
    assert code == 0 and "0 errors" in out
    code, out, _ = call("data", "check", photos, "data.crop=300", "--json")
    assert code == 0 and "smaller than the crop" in json.loads(out)["findings"][0]["message"]
    code, out, _ = call("data", "split", photos, "--labelled", "2", "--output", tmp_path / "list.txt")
    assert code == 0 and len((tmp_path / "list.txt").read_text().split()) == 2
    code, _, err = call("data", "split", photos, "--labelled", "2", "--output", tmp_path / "list.txt")
    assert code == 2 and "exists" in err
    (tmp_path / "photos" / "images").mkdir(parents=True)
    code, _, err = call("data", "check", tmp_path / "photos")
    assert code == 1 and "expected images/ and masks/" in err


def test_version() -> None:
    code, out, _ = call("--version")
    assert code == 0 and out.startswith(f"semiseg {semiseg.__version__} (Python 3.") and out.count("\n") == 1


@pytest.mark.parametrize("columns", [80, 60])
def test_every_preset_stands_whole_on_a_line_with_the_papers_figure(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = call("presets")
    lines = out.splitlines()
    assert code == 0 and max(map(len, lines)) <= columns and "…" not in out
    text = " ".join(out.split())
    for row in json.loads(call("presets", "--json")[1]):
        (line,) = (line for line in lines if line.split()[:1] == [row["name"]])
        assert row["paper_miou"] is None or line.split()[1] == f"{row['paper_miou']:.1f}"
        assert row["needs"] in text and (columns == 80 or row["title"] in text)


def test_presets_as_json() -> None:
    rows = json.loads(call("presets", "--json")[1])
    assert {"name", "table", "paper_miou", "needs"} <= set(rows[0])


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["train", "toy_streets", "training.iteratoins=3"], 2, "did you mean 'training.iterations'"),
        (["train", "nothing"], 2, "no preset 'nothing'"),
        (["train", "camvid", "data.root=/nowhere"], 1, "expected train/ and trainannot/"),
        (["train", "toy_streets", "data.dataset=toystreets"], 2, "did you mean 'toy_streets'"),
        (["evaluate", "/nowhere"], 1, "no checkpoint"),
        (["evaluate", "/nowhere", "--checkpoint", "newest"], 2, "choose last or best"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(words: list[str], code: int, text: str) -> None:
    found, _, err = call(*words)
    assert found == code
    assert text in err
    assert len(err.strip().splitlines()) == 1


def test_as_a_process() -> None:
    done = subprocess.run([sys.executable, "-m", "semiseg", "train", "toy_streets", "training.iteratoins=3"],
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and "iteratoins" in done.stderr


def test_settings_are_listed_with_default_and_meaning() -> None:
    code, shown, _ = call("settings", "MOMENTUM_START")
    assert code == 0 and shown.startswith(
        "method.teacher.momentum_start = 0.995   (float)\n    τ of eq. 2 at the first"
    )
    everything = json.loads(call("settings", "--json")[1])
    assert [row["key"] for row in everything] == list(fields())
    crop = next(row for row in everything if row["key"] == "data.crop")
    assert crop["kind"] == "int or [int, int]" and crop["default"] == "512"
    by_meaning = json.loads(call("settings", "eq. 3", "--json")[1])
    assert by_meaning and all("eq. 3" in row["meaning"] for row in by_meaning)
    code, _, told = call("settings", "momentun_start")
    assert code == 2 and "did you mean 'method.teacher.momentum_start'" in told
