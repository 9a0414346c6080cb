"""Validation runs as training does: in its precision, and leaving the network as it was."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny
from fake_networks import INFO, Colours, FakeOutput, Strided
from torch import Tensor

import semiseg
from semiseg.data.base import DatasetInfo, ImageSet
from semiseg.errors import SemisegError
from semiseg.evaluation.pseudo_label_quality import pseudo_label_quality
from semiseg.evaluation.validation import validate, validation_pictures


class Noise(ImageSet):
    """Three pictures of noise and masks of class 1."""

    info = DatasetInfo("four", ("a", "b", "c", "d"), ((0, 0, 0),) * 4)
    names = ("0", "1", "2")

    def image(self, i: int) -> np.ndarray:
        return np.random.default_rng(i).integers(0, 256, (16, 24, 3)).astype(np.uint8)

    def label(self, i: int) -> np.ndarray:
        return np.ones((16, 24), np.uint8)

    def has_label(self, i: int) -> bool:
        return True


class Watched(Strided):
    """Remembers the type of its own logits."""

    def __init__(self) -> None:
        super().__init__()
        self.types: list[torch.dtype] = []

    def forward(self, images: Tensor) -> FakeOutput:
        output = super().forward(images)
        self.types.append(output.logits.dtype)
        return output


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_is_that_of_training(precision: str, dtype: torch.dtype) -> None:
    config = semiseg.Config.parse({}, [f"training.precision={precision}"])
    network = Watched()
    validate(network, Noise(), config)
    pseudo_label_quality(network, Noise(), [0, 1], config)
    validation_pictures(network, Noise(), config)
    assert network.types == [dtype] * 8
    network.types.clear()
    validate(network, Noise(), config, precision="fp32")
    assert network.types == [torch.float32] * 3


def test_metrics_are_of_single_precision_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    types: list[torch.dtype] = []
    real = Tensor.max

    def watched(self: Tensor, *words: Any, **more: Any) -> Any:
        types.append(self.dtype)
        return real(self, *words, **more)

    monkeypatch.setattr(Tensor, "max", watched)
    config = semiseg.Config.parse({}, ["training.precision=bf16"])
    validate(Strided(), Noise(), config)
    pseudo_label_quality(Strided(), Noise(), [0], config)
    assert types == [torch.float32] * 4


def test_every_module_keeps_its_mode() -> None:
    class Dots(Noise):
        info = INFO

    network = Colours().train()
    network.frozen.eval()
    validate(network, Dots(), semiseg.Config())
    assert network.training and not network.frozen.training


def test_evaluate_of_a_bf16_run_is_in_single_precision(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    semiseg.train(tiny(folder, tmp_path / "run", training__precision="bf16"), progress=False)
    used: list[str] = []
    real = torch.autocast

    class Watching(real):  # type: ignore[misc,valid-type]
        def __init__(self, *words: Any, **more: Any) -> None:
            used.append("autocast")
            super().__init__(*words, **more)

    monkeypatch.setattr(torch, "autocast", Watching)
    semiseg.evaluate(tmp_path / "run", device="cpu")
    assert used == []


@pytest.mark.parametrize(("word", "size"), [("null", (16, 24)), ("[8, 12]", (8, 12)), ("32", (32, 48))])
def test_images_are_resized_as_in_training(word: str, size: tuple[int, int]) -> None:
    sizes: list[tuple[int, ...]] = []

    class Sized(Strided):
        def forward(self, images: Tensor) -> FakeOutput:
            sizes.append(tuple(images.shape[-2:]))
            return super().forward(images)

    config = semiseg.Config.parse({}, [f"data.resize={word}"])
    assert validate(Sized(), Noise(), config).confusion.sum() == 3 * 16 * 24  # at the masks' own size
    pictures = validation_pictures(Sized(), Noise(), config)
    assert {picture.shape for picture in pictures.values()} == {(16, 3 * 24, 3)}
    assert sizes == [size] * 6


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ([], "evaluation.mode=sliding, in windows of the training crop"),
        (["evaluation.batch_size=2"], "evaluation.mode=sliding, in windows of the training crop"),
        (["evaluation.mode=sliding", "evaluation.batch_size=2"], "evaluation.batch_size=1"),
        (["evaluation.mode=sliding", "data.crop=64"], "a smaller evaluation.window than [64, 64], or a smaller"),
    ],
)
def test_a_lack_of_memory_is_one_line_with_its_mend_and_another_error_stays(words: list[str], mend: str) -> None:
    class Failing(Strided):
        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

        def forward(self, images: Tensor) -> FakeOutput:
            raise self.error

    config = semiseg.Config.parse({}, words)
    with pytest.raises(SemisegError, match=f"out of memory on cpu in a validation: try {re.escape(mend)}"):
        validate(Failing(torch.OutOfMemoryError("no")), Noise(), config)
    with pytest.raises(RuntimeError, match="another"):
        validate(Failing(RuntimeError("another")), Noise(), config)
