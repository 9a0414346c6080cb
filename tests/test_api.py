"""``semiseg.evaluate`` and ``semiseg.predict`` on a run of two steps: they must agree with each other."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import HANGS, tiny, write_picture
from PIL import Image

import semiseg
from semiseg import api
from semiseg.data.datasets.folder import open_folder
from semiseg.errors import SemisegError, UsageError
from semiseg.evaluation.validation import validate
from semiseg.runs import checkpoint


def train_on(base: Path, **changes: object) -> tuple[Path, Path]:
    """A folder of 8 images, 5 with masks, and a run of 2 steps on it."""
    for i in range(8):
        write_picture(base / "photos", f"photo{i:02d}", i, mask=i < 5)
    semiseg.train(
        tiny(
            base / "photos",
            base / "run",
            network__backbone="resnet18",
            training__iterations=2,
            training__validate_every=2,
            **changes,
        ),
        progress=False,
    )
    return base / "photos", base / "run"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return train_on(tmp_path_factory.mktemp("api"))


def confusion(run: Path, photos: Path, split: str, output: Path, which: str) -> np.ndarray:
    """Rows truth, columns prediction, counted pixel by pixel from the masks that ``predict`` writes."""
    images = open_folder(photos, split)
    counts = np.zeros((3, 3), np.int64)
    named = [i for i in range(len(images)) if images.has_label(i)]
    files = [photos / "images" / f"{images.names[i]}.png" for i in named]
    written, failed = semiseg.predict(run, files, output, which=which)  # type: ignore[arg-type]
    assert failed == [] and [p.path for p in written] == files
    for i, one in zip(named, written, strict=True):
        with Image.open(one.mask_path) as mask:
            np.add.at(counts, (images.label(i), np.array(mask)), 1)
    return counts


@pytest.mark.parametrize(("split", "which"), [("val", "last"), ("train", "best")])
def test_evaluation_counts_what_prediction_writes(
    trained: tuple[Path, Path], tmp_path: Path, split: str, which: str
) -> None:
    photos, run = trained
    result = semiseg.evaluate(run, split, which)  # type: ignore[arg-type]
    counts = confusion(run, photos, split, tmp_path / "out", which)
    assert result.confusion.tolist() == counts.tolist()
    assert counts.sum() == result.images * 64 * 64 and result.images == {"val": 1, "train": 4}[split]
    hits = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - hits
    np.testing.assert_allclose(result.iou[union > 0], hits[union > 0] / union[union > 0])
    assert result.miou == pytest.approx(np.mean(hits[union > 0] / union[union > 0]))
    assert result.classes == ("class_0", "class_1", "class_2")


@pytest.mark.parametrize(
    "changes",
    [
        {"data__resize": "[40, 56]"},
        {"data__resize": 40},
        {"evaluation__mode": "sliding", "evaluation__window": "[48, 48]"},
    ],
)
def test_prediction_follows_the_resizing_and_the_window_of_the_run(tmp_path: Path, changes: dict[str, object]) -> None:
    photos, run = train_on(tmp_path, method__name="supervised", **changes)
    counts = confusion(run, photos, "train", tmp_path / "out", "last")
    assert semiseg.evaluate(run, "train").confusion.tolist() == counts.tolist()
    plain = checkpoint.load_model(run, "last")
    plain.config.data.resize, plain.config.evaluation.mode = None, "whole"
    without = validate(plain.network, open_folder(photos, "train"), plain.config)
    assert without.confusion.tolist() != counts.tolist(), "the option must have an effect to be tested"


def test_evaluate_is_what_the_run_wrote_and_takes_a_file(trained: tuple[Path, Path]) -> None:
    _, run = trained
    written = json.loads((run / "evaluation.json").read_text())
    for which in ("last", "best"):
        by_folder = semiseg.evaluate(run, which=which)  # type: ignore[arg-type]
        by_file = semiseg.evaluate(run / "checkpoints" / f"{which}.pt")
        assert by_folder.to_json() == by_file.to_json() == written[which]
    assert semiseg.evaluate(run, teacher=True).to_json() == written["last_teacher"]


def test_another_data_root_leaves_the_configuration_of_the_model_alone(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, run = trained
    model = api.load_model(run, "last")
    before = model.config.model_copy(deep=True)
    monkeypatch.setattr(api, "load_model", lambda *_: model)
    semiseg.evaluate(run, data_root=f"{photos}/.")
    assert model.config == before


def test_data_that_moved(trained: tuple[Path, Path], tmp_path: Path) -> None:
    photos, run = trained
    before = semiseg.evaluate(run).to_json()
    away = photos.rename(photos.parent / "elsewhere")
    try:
        with pytest.raises(SemisegError, match="no such folder"):
            semiseg.evaluate(run)
        assert semiseg.evaluate(run, data_root=away).to_json() == before
    finally:
        away.rename(photos)


def test_predict_shares_progress_and_overwriting(trained: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = trained
    write_picture(tmp_path, "wide", 7, mask=False, size=(21, 45))
    (tmp_path / "images" / "broken.jpg").write_bytes(b"no picture")
    seen: list[tuple[int, int]] = []
    written, failed = semiseg.predict(
        run, tmp_path / "images", tmp_path / "out", overlay=False, progress=lambda *counts: seen.append(counts)
    )
    assert seen == [(1, 2), (2, 2)]
    assert [f.path.name for f in failed] == ["broken.jpg"] and "cannot be read" in failed[0].reason
    (one,) = written
    assert one.overlay_path is None and not (tmp_path / "out" / "overlays").exists()
    with Image.open(one.mask_path) as mask:
        values = np.array(mask)
    assert values.shape == (21, 45)
    assert one.shares == {f"class_{c}": pytest.approx((values == c).mean()) for c in range(3)}
    stamp = one.mask_path.read_bytes()
    one.mask_path.write_bytes(b"mine")
    with pytest.raises(SemisegError, match="output files exist"):
        semiseg.predict(run, tmp_path / "images" / "wide.png", tmp_path / "out", overlay=False)
    assert one.mask_path.read_bytes() == b"mine"
    semiseg.predict(run, tmp_path / "images" / "wide.png", tmp_path / "out", overlay=False, overwrite=True)
    assert one.mask_path.read_bytes() == stamp


def test_teacher_and_student_predict_apart(trained: tuple[Path, Path]) -> None:
    _, run = trained
    student, teacher = (checkpoint.load_model(run, "last", teacher=t).network for t in (False, True))
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not torch.equal(student(image).logits, teacher(image).logits)


def test_what_is_not_there_is_named(trained: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = trained
    with pytest.raises(SemisegError, match="no checkpoint"):
        semiseg.evaluate(tmp_path)
    with pytest.raises(UsageError, match="no split 'test'"):
        semiseg.evaluate(run, "test")
    with pytest.raises(UsageError, match="is no device"):
        semiseg.evaluate(run, device="gpu")
    with pytest.raises(SemisegError, match="does not exist"):
        semiseg.predict(run, tmp_path / "photo.jpg", tmp_path / "out")
    with pytest.raises(SemisegError, match="no images in"):
        semiseg.predict(run, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_package_offers_what_it_lists_and_loads_torch_late() -> None:
    for name in semiseg.__all__:
        assert getattr(semiseg, name) is not None
    with pytest.raises(AttributeError, match="'trian'"):
        _ = semiseg.trian
    code = "import sys, semiseg, semiseg.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=HANGS).returncode == 0


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (
            "[class_0, class_2, class_1]",
            "3 classes, the network 3; class 1 is class_2 here and was class_1",
        ),
        ("[class_0, class_1, class_2, new]", "4 classes, the network 3; class 3 is new here and was nothing"),
        ("[class_0, class_1]", "2 classes, the network 3; class 2 is nothing here and was class_2"),
    ],
)
def test_data_of_other_classes_is_refused(trained: tuple[Path, Path], tmp_path: Path, classes: str, said: str) -> None:
    photos, run = trained
    shutil.copytree(photos, tmp_path / "photos")
    assert semiseg.evaluate(run, data_root=tmp_path / "photos").images == 1
    (tmp_path / "photos" / "dataset.yaml").write_text(f"classes: {classes}\n")
    with pytest.raises(SemisegError, match=said):
        semiseg.evaluate(run, data_root=tmp_path / "photos")
