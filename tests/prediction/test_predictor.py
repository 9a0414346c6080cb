from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny, write_picture
from PIL import Image

import semiseg
from semiseg.errors import SemisegError, UsageError
from semiseg.prediction.predictor import training_scale


def train_on(base: Path, **changes: object) -> Path:
    for i in range(6):
        write_picture(base / "photos", f"photo{i}", i, mask=i < 4)
    config = tiny(base / "photos", base / "run", training__iterations=2, training__validate_every=2, **changes)
    semiseg.train(config, progress=False)
    return base / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_on(tmp_path_factory.mktemp("predictor"))


@pytest.fixture(scope="module")
def resized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_on(tmp_path_factory.mktemp("resized"), data__resize="[32, 48]", method__name="supervised")


def photo(run: Path) -> Path:
    return run.parent / "photos" / "images" / "photo5.png"


def test_every_kind_of_input_gives_what_predict_writes(run: Path, tmp_path: Path) -> None:
    written, _ = semiseg.predict(run, photo(run), tmp_path / "out", confidence=True)
    expected = np.array(Image.open(written[0].mask_path))
    predictor = semiseg.Predictor(run, device="cpu")
    image = np.array(Image.open(photo(run)))
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    for given in (photo(run), str(photo(run)), Image.open(photo(run)), image, tensor, tensor / 255):
        found = predictor(given)
        assert np.array_equal(found.mask, expected) and np.array_equal(found.image, image)
        assert found.mask.dtype == np.uint8 and found.confidence.dtype == np.float32
        assert found.shares == written[0].shares and sum(found.shares.values()) == pytest.approx(1)
    grey = np.array(Image.open(written[0].confidence_path))
    assert grey.dtype == np.uint8 and np.array_equal(grey, np.rint(found.confidence * 255))
    assert found.confidence.min() >= 1 / 3 - 1e-6 and found.confidence.max() <= 1
    assert np.array_equal(found.overlay(), np.array(Image.open(written[0].overlay_path)))
    assert np.array_equal(found.overlay(0), image)
    assert np.array_equal(found.overlay(1), np.array(predictor.info.colours, np.uint8)[found.mask])
    assert predictor.info.classes == ("class_0", "class_1", "class_2") and not predictor.network.training
    assert predictor.config.data.crop == 32 and predictor(image[..., 0]).mask.shape == (64, 64)


def test_the_teacher_and_the_checkpoint_are_chosen(run: Path) -> None:
    best = semiseg.Predictor(run)(photo(run)).confidence
    assert not np.array_equal(best, semiseg.Predictor(run, teacher=True)(photo(run)).confidence)
    assert np.array_equal(best, semiseg.Predictor(run / "checkpoints" / "best.pt")(photo(run)).confidence)


def test_options_reach_the_passes(run: Path) -> None:
    plain = semiseg.Predictor(run)(photo(run))
    for options in ({"tile": 32}, {"flip": True}, {"scales": (0.5, 1)}):
        found = semiseg.Predictor(run, **options)(photo(run))  # type: ignore[arg-type]
        assert not np.array_equal(found.confidence, plain.confidence), options
    plan = semiseg.Predictor(run, tile=32, overlap=0.5, flip=True, scales=[1, 2]).plan
    assert (plan.tile, plan.overlap, plan.flip, plan.scales) == (32, 0.5, True, (1.0, 2.0))
    assert plan.scale == (1.0, 1.0)


def test_tiles_keep_the_scale_that_training_had(resized: Path) -> None:
    predictor = semiseg.Predictor(resized, tile=1000)
    assert predictor.plan.scale == (0.5, 0.75)  # 64x64 became 32x48
    plain = semiseg.Predictor(resized)(photo(resized))
    found = predictor(photo(resized))
    assert np.array_equal(found.mask, plain.mask), "one tile of an image like the training ones is the whole"
    assert semiseg.Predictor(resized, tile=8, scale=0.25).plan.scale == (0.25, 0.25)
    by_small_side = predictor.config.model_copy(deep=True)
    by_small_side.data.resize = 48
    assert training_scale(by_small_side) == (0.75, 0.75)
    moved = predictor.config.model_copy(deep=True)
    moved.data.root = "/nowhere"
    with pytest.raises(SemisegError, match=r"scale of training.*--scale"):
        training_scale(moved)


def test_mistakes(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="scale needs tile"):
        semiseg.Predictor(run, scale=0.5)
    with pytest.raises(UsageError, match="overlap of 2"):
        semiseg.Predictor(run, tile=32, overlap=2)
    with pytest.raises(SemisegError, match="no checkpoint"):
        semiseg.Predictor(tmp_path)
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(SemisegError, match="cannot be read"):
        semiseg.Predictor(run)(tmp_path / "a.png")
