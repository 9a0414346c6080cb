"""The page on the loop with an annotation tool: a round as it is written, and training on strokes."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import tiny, write_picture
from PIL import Image
from test_readme import SHORT
from typer.testing import CliRunner

import semiseg
from semiseg.cli import app
from semiseg.prediction.tools.brush import encode_brush

PAGE = Path(__file__).resolve().parents[1] / "docs" / "annotate.md"


def corrected(tasks: Path, truth: Path) -> list[dict]:
    """What an annotator exports who has made every prediction right."""
    found = []
    for number, task in enumerate(json.loads(tasks.read_text(encoding="utf-8")), start=1):
        name = Path(task["data"]["image"]).stem
        mask = np.array(Image.open(truth / f"{name}.png"))
        drawn = task["predictions"][0]["result"]
        assert {label for item in drawn for label in item["value"]["brushlabels"]} <= {"leaf", "fruit"}
        common = {"type": "brushlabels", "original_width": mask.shape[1], "original_height": mask.shape[0]}
        result = [
            {**common, "value": {"format": "rle", "rle": encode_brush(mask == k), "brushlabels": [label]}}
            for k, label in ((1, "leaf"), (2, "fruit"))
        ]
        annotation = {"id": number, "was_cancelled": False, "result": result, "updated_at": "2026-01-01"}
        found.append({"id": number, "data": task["data"], "annotations": [annotation]})
    return found


def test_a_round_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8").partition("\n## Which file")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line) for language, block in blocks if not language for line in block.splitlines()]
    assert len(lines) == 1 + 4
    photos = tmp_path / "photos"
    for i in range(10):
        write_picture(photos, f"photo{i}", i, mask=True)
    shutil.copytree(photos / "masks", tmp_path / "truth")
    for i in range(5, 10):
        (photos / "masks" / f"photo{i}.png").unlink()
    (sheet,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (photos / "dataset.yaml").write_text(sheet)
    monkeypatch.chdir(tmp_path)
    for words in lines:
        if words[0] == "cp":
            *options, source, target = words[1:]
            assert not options
            for path in sorted(tmp_path.glob(source)):
                shutil.copy(path, target)
            continue
        assert words[0] == "semiseg"
        if words[1] == "data":  # between the commands: the tool
            Path("export.json").write_text(
                json.dumps(corrected(Path("next/labelstudio.json"), Path("truth"))), encoding="utf-8"
            )
        done = CliRunner().invoke(app, [*words[1:], *(SHORT if words[1] == "train" else [])])
        assert done.exit_code == 0, (words, done.stderr)
        if words[1] == "suggest":
            assert shlex.join(lines[2]) in done.stdout  # the command for the way back is the page's own
    assert "known classes: background, leaf, fruit" in done.stderr
    names = Path("next/suggestions.txt").read_text(encoding="utf-8").split()
    assert len(names) == 3
    for name in names:  # the corrected masks are the annotator's
        mask, truth = (np.array(Image.open(Path(base) / f"{name}.png")) for base in ("photos/masks", "truth"))
        assert np.array_equal(mask, truth)
    before, after = (
        len(Path(f"runs/{run}/labelled.txt").read_text(encoding="utf-8").split()) for run in ("one", "two")
    )
    assert after > before


def test_one_per_cent_of_the_pixels_beats_chance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(8):
        write_picture(tmp_path / "all", f"photo{i}", i, mask=True)
    root, share = tmp_path / "photos", []
    for i in range(8):
        part = "val" if i < 2 else "train"
        for kind in ("images", "masks"):
            (root / kind / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(tmp_path / "all" / kind / f"photo{i}.png", root / kind / part)
        if part == "train":  # two upright strokes of 20 pixels, 1 % of 64x64, wherever they fall
            mask = np.array(Image.open(root / "masks" / part / f"photo{i}.png"))
            strokes = np.full_like(mask, 255)
            for column in rng.choice(64, 2, replace=False):
                top = rng.integers(0, 44)
                strokes[top : top + 20, column] = mask[top : top + 20, column]
            Image.fromarray(strokes).save(root / "masks" / part / f"photo{i}.png")
            share.append((strokes != 255).mean())
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": ["background", "leaf", "fruit"]}))
    assert np.mean(share) == pytest.approx(0.01, abs=0.001)
    config = tiny(
        root, tmp_path / "run", method__name="supervised", training__optimizer="adamw", training__iterations=120,
        training__batch_size=4, training__validate_every=120, training__checkpoint_every=120,
    )  # fmt: skip
    done = semiseg.train(config, progress=False)
    truth = np.concatenate([np.array(Image.open(path)).ravel() for path in (root / "masks" / "val").iterdir()])
    chance = 100 * np.bincount(truth, minlength=3).max() / truth.size / 3  # mIoU of the most frequent class everywhere
    assert done.last_miou > chance + 20
