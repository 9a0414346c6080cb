"""Exported files against PyTorch, what they say of themselves, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny, write_picture
from PIL import Image
from typer.testing import CliRunner

import semiseg
from semiseg.cli import app
from semiseg.errors import SemisegError, UsageError
from semiseg.export import FORMATS, export
from semiseg.export.card import write_card
from semiseg.export.model import ImageToLogits, compare, metadata, prepared
from semiseg.runs.checkpoint import load_model

SHAPES = [(1, 3, 33, 70), (2, 3, 128, 96)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("export")
    for i in range(8):
        write_picture(base / "photos", f"photo{i:02d}", i, mask=i < 5)
    semiseg.train(tiny(base / "photos", base / "run"), progress=False)
    return base / "run"


@pytest.fixture(scope="module")
def onnx_file(run: Path) -> Path:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = run.parent / "out" / "net.onnx"
    done = CliRunner().invoke(app, ["export", str(run), "--format", "onnx", "--output", str(path)])
    assert done.exit_code == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def program_file(run: Path) -> Path:
    return export(run, run.parent / "out" / "net.pt2", "torch")


def expected(run: Path, images: torch.Tensor, teacher: bool = False) -> np.ndarray:
    with torch.no_grad():
        logits: np.ndarray = ImageToLogits(load_model(run, "best", teacher).network)(images).numpy()
    return logits


@pytest.mark.parametrize("shape", SHAPES)
def test_onnx_gives_pytorchs_logits_at_other_sizes(run: Path, onnx_file: Path, shape: tuple[int, ...]) -> None:
    import onnxruntime

    images = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    (logits,) = onnxruntime.InferenceSession(str(onnx_file)).run(None, {"images": images.numpy()})
    assert logits.dtype == np.float32 and logits.shape == (shape[0], 3, *shape[2:])
    np.testing.assert_allclose(logits, expected(run, images), atol=1e-4)


def test_onnx_is_one_file_that_names_its_classes(run: Path, onnx_file: Path) -> None:
    import onnx

    model = onnx.load(onnx_file)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(facts["classes"]) == ["class_0", "class_1", "class_2"]
    assert json.loads(facts["colours"]) == [list(colour) for colour in load_model(run).info.colours]
    assert json.loads(facts["resize"]) is None
    assert json.loads(facts["ignore_index"]) == 255 and facts["semiseg"] == semiseg.__version__
    onnx.checker.check_model(model)
    assert sorted(p.name for p in onnx_file.parent.glob("*.onnx*")) == ["net.onnx", "net.onnx.md"]


def test_the_cards_code_runs(
    run: Path, onnx_file: Path, program_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = export(run, onnx_file.parent / "net.safetensors", "safetensors")
    monkeypatch.chdir(onnx_file.parent)
    photo = run.parent / "photos" / "images" / "photo01.png"
    image = torch.from_numpy(np.array(Image.open(photo))).permute(2, 0, 1)[None] / 255
    classes = expected(run, image)[0].argmax(0)
    for file in (onnx_file, program_file, weights):
        card = file.with_name(f"{file.name}.md").read_text(encoding="utf-8")
        assert "| 1 | class_1 |" in card
        (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        place: dict[str, Any] = {}
        exec(code.replace("photo.jpg", str(photo)).replace("predictions", str(tmp_path / "predictions")), place)
        if file == weights:
            found = np.array(Image.open(tmp_path / "predictions" / "masks" / "photo01.png"))
        else:
            found = np.asarray(place["classes"])
        assert (found == classes).mean() > 0.999  # a tie may fall otherwise


def test_the_program_gives_pytorchs_logits_at_other_sizes(run: Path, program_file: Path) -> None:
    extra = {"semiseg.json": ""}
    program = torch.export.load(program_file, extra_files=extra).module()
    for shape in SHAPES:
        images = torch.rand(shape, generator=torch.Generator().manual_seed(1))
        np.testing.assert_allclose(program(images).detach().numpy(), expected(run, images), atol=1e-4)
    assert json.loads(json.loads(extra["semiseg.json"])["classes"])[2] == "class_2"


@pytest.mark.parametrize(
    ("format", "name", "key", "value"),
    [
        ("onnx", "net.onnx", "decoder_norm", "group"),
        ("torch", "net.pt2", "decoder_norm", "group"),
        ("onnx", "net.onnx", "architecture", "dpt"),
    ],
)
def test_other_decoders_give_pytorchs_logits(
    run: Path, tmp_path: Path, format: str, name: str, key: str, value: str
) -> None:
    config = tiny(run.parent / "photos", tmp_path / "run", method__name="supervised", training__iterations=1,
                  network__decoder_channels=32, **{f"network__{key}": value})  # fmt: skip
    semiseg.train(config, progress=False)
    images = torch.rand(SHAPES[0], generator=torch.Generator().manual_seed(1))
    if format == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
        path = export(tmp_path / "run", tmp_path / name, format)
        (logits,) = onnxruntime.InferenceSession(str(path)).run(None, {"images": images.numpy()})
    else:
        path = export(tmp_path / "run", tmp_path / name, format)
        logits = torch.export.load(path).module()(images).detach().numpy()
    np.testing.assert_allclose(logits, expected(tmp_path / "run", images), atol=1e-4)


def test_every_command_reads_the_weights(run: Path, tmp_path: Path) -> None:
    path = export(run, tmp_path / "net.safetensors", "safetensors", which="last")
    mine, theirs = load_model(path), load_model(run, "last")
    assert mine.info == theirs.info and mine.iteration == theirs.iteration and mine.config == theirs.config
    for (name, value), other in zip(
        mine.network.state_dict().items(), theirs.network.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other), name
    assert semiseg.evaluate(path).miou == semiseg.evaluate(run).miou
    with pytest.raises(SemisegError, match="has no teacher"):
        load_model(path, teacher=True)


def test_a_file_that_differs_is_not_kept(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: Any, path: Path) -> None:
        path.write_text("x", encoding="utf-8")
        network = prepared(model)
        compare(network, lambda images: network(images) + 0.01, path)

    monkeypatch.setitem(FORMATS, "torch", wrong)
    with pytest.raises(SemisegError, match=r"differs from PyTorch by 0\.01"):
        export(run, tmp_path / "net.pt2", "torch")
    assert list(tmp_path.iterdir()) == []


def test_resize_is_told_in_facts_and_card(run: Path, tmp_path: Path) -> None:
    model = load_model(run)
    model.config.data.resize = (48, 96)
    assert json.loads(metadata(model)["resize"]) == [48, 96]
    write_card(model, tmp_path / "net.onnx", tmp_path / "card.md", "onnx")
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "96×48 pixels (width×height)" in card and ".resize((96, 48)," in card
    model.config.data.resize = 48
    write_card(model, tmp_path / "net.onnx", tmp_path / "card.md", "onnx")
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "brought to 48 pixels on their small side" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    image = Image.new("RGB", (60, 90))
    lines = [line for line in code.splitlines() if line.startswith(("scale", "image = image"))]
    values = {"image": image, "Image": Image}
    exec("\n".join(lines), values)
    assert values["image"].size == (48, 72)


@pytest.mark.parametrize(("format", "suffix"), [("onnx", ".onnx"), ("torch", ".pt2")])
def test_an_exporter_that_fails_is_one_line_and_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, suffix: str
) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no such operator\nand a long trace")

    monkeypatch.setattr(torch.export, "export", fails)
    monkeypatch.setattr(torch.onnx, "export", fails)
    words = ["export", str(run), "--format", format, "--output", str(tmp_path / f"net{suffix}")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1 and done.stderr.count("\n") == 1, done.stderr
    assert f"small cannot be written as {format} by PyTorch {torch.__version__} (no such operator)" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_refusals(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one of onnx, torch, safetensors"):
        export(run, tmp_path / "net", "tflite")
    with pytest.raises(UsageError, match=r"name it .*net\.pt2"):
        export(run, tmp_path / "net.onnx", "torch")
    with pytest.raises(UsageError, match=r"name it .*net\.v1\.safetensors"):
        export(run, tmp_path / "net.v1", "safetensors")
    path = export(run, tmp_path / "net.safetensors", "safetensors")
    before = path.read_bytes()
    with pytest.raises(SemisegError, match="--overwrite"):
        export(run, path, "safetensors", teacher=True)
    assert path.read_bytes() == before
    told: list[tuple[int, int]] = []
    export(run, path, "safetensors", teacher=True, overwrite=True, progress=lambda *done: told.append(done))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert path.read_bytes() != before
    (tmp_path / "other.safetensors").write_bytes(b"nonsense")
    with pytest.raises(SemisegError, match="is not what"):
        load_model(tmp_path / "other.safetensors")
    done = CliRunner().invoke(app, ["export", str(tmp_path / "nowhere"), "--output", str(tmp_path / "x.onnx")])
    assert done.exit_code == 1 and len(done.stderr.strip().splitlines()) == 1
