"""Ranking of unlabelled images: the measures by hand, the order, the files and the command."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import tiny
from PIL import Image
from typer.testing import CliRunner

from semiseg import Config, train
from semiseg.cli import app
from semiseg.contrastive import rows
from semiseg.data.base import ImageSet
from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError, UsageError
from semiseg.inference.logits import evaluating
from semiseg.methods import Method
from semiseg.methods.memory_bank import MemoryBankMethod
from semiseg.suggest import ranking as module
from semiseg.suggest import suggest
from semiseg.suggest.measure import measure, open_run
from semiseg.suggest.written import thumbnails


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Path:
    train(tiny(folder, tmp_path / "run", data__labelled="2"), progress=False)
    return tmp_path / "run"


def test_measures_are_those_of_the_definition(run: Path) -> None:
    found = {s.name: s for s in suggest(run, 100, diverse=False)}
    opened = open_run(run, torch.device("cpu"))
    config, method, images, unlabelled = opened.config, opened.method, opened.images, opened.unlabelled
    assert {images.names[i] for i in opened.labelled} == set(open_run_data(config.data).labelled_names)
    assert set(found) == {images.names[i] for i in unlabelled}
    assert not set(found) & set(open_run_data(config.data).labelled_names)
    i = unlabelled[3]
    with evaluating(method):
        x = torch.from_numpy(images.image(i)).permute(2, 0, 1)[None] / 255
        logits, features = method.teacher(x)
        p = logits.double().softmax(1)[0]
        entropy = -(p * p.log()).sum(0).mean() / math.log(3)
        z = F.normalize(method.contrast.teacher_projection(rows(F.avg_pool2d(features, 2))), dim=1)
        bank = F.normalize(method.contrast.bank.vectors, dim=1)
        distance = sum(min(1 - float(v @ b) for b in bank) for v in z) / len(z)
    s = found[images.names[i]]
    assert s.uncertainty == pytest.approx(float(entropy), rel=1e-5)
    assert s.distance == pytest.approx(distance, rel=1e-4)


def test_every_image_is_decoded_once_and_those_shown_once_more(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    kind = type(open_run(run, torch.device("cpu")).images)
    real = kind.image

    def counted(self: ImageSet, i: int) -> np.ndarray:
        decoded.append(i)
        return real(self, i)

    monkeypatch.setattr(kind, "image", counted)
    ranked = suggest(run, 100, diverse=False)
    assert len(ranked) == len(set(decoded)) == len(decoded)
    decoded.clear()
    suggest(run, 3, output=tmp_path / "next")
    assert len(decoded) == len(ranked) + 2 + 3  # two are labelled: their features keep their scenes away


def test_the_distance_is_the_methods_own(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heights: list[int] = []

    def by_turn(self: Method, features: torch.Tensor, height: int) -> torch.Tensor:
        heights.append(height)
        return torch.full((3,), 0.25 * len(heights))

    monkeypatch.setattr(MemoryBankMethod, "distance", by_turn)
    found = suggest(run, 100, by="distance", diverse=False)
    assert set(heights) == {64}
    assert [s.distance for s in found] == [0.25 * k for k in range(len(found), 0, -1)]


def test_the_command_writes_list_table_and_sheet(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "next"
    done = CliRunner().invoke(app, ["suggest", str(run), "--count", "3", "--output", str(out)])
    assert done.exit_code == 0, done.stderr
    names = (out / "suggestions.txt").read_text().split()
    table = list(csv.DictReader((out / "suggestions.csv").open()))
    assert [row["name"] for row in table] == names and len(names) == 3
    assert Image.open(out / "contact_sheet.png").height > 3 * 320 * 0.9
    plain = CliRunner().invoke(app, ["suggest", str(run), "--count", "3", "--json"])
    assert [row["name"] for row in json.loads(plain.stdout)] == names
    again = CliRunner().invoke(app, ["suggest", str(run), "--output", str(out)])
    assert again.exit_code == 1 and "is not empty" in again.stderr


def test_methods_without_a_bank_rank_by_uncertainty(folder: Path, tmp_path: Path) -> None:
    train(tiny(folder, tmp_path / "run", data__labelled="2", method__name="supervised"), progress=False)
    found = suggest(tmp_path / "run", 4, diverse=False)
    assert [s.distance for s in found] == [None] * 4
    assert [s.uncertainty for s in found] == sorted((s.uncertainty for s in found), reverse=True)
    with pytest.raises(UsageError, match="use --by uncertainty"):
        suggest(tmp_path / "run", by="distance")


def test_nothing_left_to_label(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "images").iterdir():
        if not (folder / "masks" / path.name).exists():
            path.unlink()
    train(tiny(folder, tmp_path / "run", data__labelled="all"), progress=False)
    with pytest.raises(SemisegError, match="no unlabelled image left"):
        suggest(tmp_path / "run")


def test_masks_added_since_do_not_change_what_the_run_had_labelled(run: Path, folder: Path) -> None:
    used = (run / "labelled.txt").read_text().split()
    for path in (folder / "images").iterdir():
        mask = folder / "masks" / f"{path.stem}.png"
        if not mask.exists():
            mask.write_bytes(next((folder / "masks").glob("*.png")).read_bytes())
    redrawn = open_run_data(open_run(run, torch.device("cpu")).config.data).labelled_names
    assert set(redrawn) != set(used)
    found = {s.name for s in suggest(run, 100)}
    assert not found & set(used) and set(redrawn) - set(used) <= found


def test_a_class_added_since_is_one_line(run: Path, folder: Path) -> None:
    (folder / "dataset.yaml").write_text("classes: [class_0, class_1, class_2, new]\n")
    with pytest.raises(SemisegError, match="4 classes, the network 3"):
        suggest(run, 3)


def test_the_list_is_written_before_the_pictures(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*words: object, **more: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "comparison_picture", fails)
    with pytest.raises(MemoryError):
        suggest(run, 3, output=tmp_path / "next")
    assert len((tmp_path / "next" / "suggestions.txt").read_text().split()) == 3


def test_pictures_of_the_sheet_are_small() -> None:
    image = np.zeros((1000, 2000, 3), np.uint8)
    image[:, 1000:] = 200
    small, grey = thumbnails(image, torch.tensor([[[0.0, 1.0]]]))
    assert small.shape == (320, 640, 3) and grey.shape == (320, 640)
    assert (small[:, :319] == 0).all() and (small[:, 321:] == 200).all()
    assert grey[0, 0] == 0 and grey[0, -1] == 255 and abs(int(grey[0, 320]) - 128) < 3


def test_the_sheet_says_rank_and_name(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(module, "comparison_picture", lambda *words, captions: said.extend(captions))
    found = suggest(run, 2, output=tmp_path / "next")
    assert [text.split("  ")[0] for text in said] == [f"{k}. {s.name}" for k, s in enumerate(found, start=1)]


def test_a_class_ranks_by_its_share_and_its_doubt(run: Path) -> None:
    opened = open_run(run, torch.device("cpu"))
    found = suggest(run, 100, diverse=False, of_class="class_1")
    with evaluating(opened.method):
        x = torch.from_numpy(opened.images.image(opened.unlabelled[0])).permute(2, 0, 1)[None] / 255
        p = opened.method.teacher(x).logits.double().softmax(1)[0, 1]
        q = 1 - p
        doubt = -(p * p.log2() + q * q.log2()).mean()
        measured = measure(opened.method, opened.images.image(opened.unlabelled[0]), opened.config)
    first = next(s for s in found if s.name == opened.images.names[opened.unlabelled[0]])
    assert first.class_share == pytest.approx(float(p.mean()), rel=1e-5)
    assert float(measured.doubt[1]) == pytest.approx(float(doubt), rel=1e-5)
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)
    assert max(found, key=lambda s: s.class_share or 0).score > min(found, key=lambda s: s.class_share or 0).score


def test_coverage_and_scenes_by_name(run: Path) -> None:
    found = suggest(run, 4, by="coverage")
    assert len({s.name for s in found}) == 4 and all(0 < s.score <= 1 for s in found)
    for by in ("both", "coverage"):
        ends = suggest(run, 100, by, scenes=r"(\d)$")  # photo00 and photo10 are one scene
        assert len({s.name[-1] for s in ends}) == len(ends)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--class", "class_9"], "the run has no class 'class_9'"),
        (["--class", "class_1", "--by", "uncertainty"], "ranks by that class alone"),
        (["--scenes", "("], "no regular expression"),
        (["--scenes", "x", "--no-diverse"], "leave out --no-diverse"),
        (["--by", "coverage", "--no-diverse"], "leave out --no-diverse"),
        (["--by", "luck"], "choose both, uncertainty, distance, coverage"),
        (["--for", "coco"], "give --output"),
        (["--shapes", "masks"], "belong to --for"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, run: Path) -> None:
    done = CliRunner().invoke(app, ["suggest", str(run), *words])
    assert done.exit_code == 2 and message in done.stderr and done.stderr.count("\n") == 1


def test_pre_annotations_of_the_chosen_images_alone(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "next"
    done = CliRunner().invoke(app, ["suggest", str(run), "--count", "3", "--output", str(out), "--for", "coco"])
    assert done.exit_code == 0, done.stderr
    names = (out / "suggestions.txt").read_text().split()
    sheet = json.loads((out / "coco.json").read_text())
    assert [Path(row["file_name"]).stem for row in sheet["images"]] == names
    assert sorted(path.stem for path in (out / "masks").iterdir()) == sorted(names)
    assert "import coco.json" in done.stdout and "--classes class_0,class_1,class_2" in done.stdout


def test_images_without_files_cannot_be_given_to_a_tool(tmp_path: Path) -> None:
    words = ["data.dataset=toy_streets", "data.options.train=6", "data.options.val=2", "data.options.size=[32, 48]"]
    config = tiny(tmp_path, tmp_path / "run", data__labelled="2", method__name="supervised")
    values = config.model_dump(mode="json")
    values["data"]["root"] = None
    train(Config.parse(values, words), progress=False)
    done = CliRunner().invoke(app, ["suggest", str(tmp_path / "run"), "--output", str(tmp_path / "n"), "--for", "cvat"])
    assert done.exit_code == 1 and "are no files" in done.stderr
