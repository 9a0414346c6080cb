"""A folder that was pulled from a hub may hold anything: it is a network, or one line that says what is wrong."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny, write_picture

import semiseg
from semiseg.errors import SemisegError
from semiseg.export import write_weights
from semiseg.runs.checkpoint import PULLED, load_model

safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed: pip install 'semiseg[hub]'")

NO_EXPORT = "is not what `semiseg export --format safetensors` writes"
LACKS = "lacks what a checkpoint holds"
MISFIT = "its weights do not fit its configuration"


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("pulled")
    for i in range(6):
        write_picture(base / "photos", f"photo{i}", i, mask=i < 5)
    semiseg.train(tiny(base / "photos", base / "run", training__iterations=1), progress=False)
    write_weights(load_model(base / "run"), base / PULLED)
    return base / PULLED


class Parts:
    """The tensors and the header of an export, to be written anew with changes."""

    def __init__(self, path: Path) -> None:
        with safetensors.safe_open(str(path), framework="pt") as file:
            self.header = dict(file.metadata())
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        self.raw = path.read_bytes()

    def write(self, path: Path, tensors: dict[str, torch.Tensor] | None = None, **header: Any) -> None:
        from safetensors.torch import save_file

        changed = self.header | {key: value for key, value in header.items() if value is not None}
        kept = {key: value for key, value in changed.items() if key not in header or header[key] is not None}
        save_file(self.tensors if tensors is None else tensors, str(path), metadata=kept)

    def info(self, **changes: Any) -> str:
        return json.dumps(json.loads(self.header["info"]) | changes)

    def config(self, section: str, **changes: Any) -> str:
        values = json.loads(self.header["config"])
        values[section] |= changes
        return json.dumps(values)

    @property
    def weight(self) -> str:
        return next(name for name in self.tensors if name.endswith("weight"))


Writes = Callable[[Parts, Path], None]
CASES: dict[str, tuple[Writes, str]] = {
    "empty": (lambda parts, path: path.write_bytes(b""), NO_EXPORT),
    "bytes of anything": (lambda parts, path: path.write_bytes(bytes(range(256)) * 40), NO_EXPORT),
    "cut off": (lambda parts, path: path.write_bytes(parts.raw[: len(parts.raw) // 2]), NO_EXPORT),
    "a header of 2^60 bytes": (
        lambda parts, path: path.write_bytes(struct.pack("<Q", 2**60) + parts.raw[8:]), NO_EXPORT
    ),
    "a pickle": (lambda parts, path: torch.save({"format": 1}, path), NO_EXPORT),
    "a folder": (lambda parts, path: path.mkdir(), "no file"),
    "a link elsewhere": (lambda parts, path: path.symlink_to(os.__file__), NO_EXPORT),
    "without configuration": (lambda parts, path: parts.write(path, config=None), NO_EXPORT),
    "without classes": (lambda parts, path: parts.write(path, info=None), NO_EXPORT),
    "configuration cut off": (lambda parts, path: parts.write(path, config="{"), NO_EXPORT),
    "brackets without end": (lambda parts, path: parts.write(path, config="[" * 100_000), NO_EXPORT),
    "configuration is a list": (lambda parts, path: parts.write(path, config="[1]"), LACKS),
    "no such backbone": (
        lambda parts, path: parts.write(path, config=parts.config("network", backbone="x")), "backbone=x"
    ),
    "no such method": (
        lambda parts, path: parts.write(path, config=parts.config("method", name="../x")), "method.name"
    ),
    "too wide": (
        lambda parts, path: parts.write(path, config=parts.config("network", decoder_channels=10**9)),
        "decoder_channels",
    ),
    "classes are nothing": (lambda parts, path: parts.write(path, info="null"), LACKS),
    "a million classes": (
        lambda parts, path: parts.write(path, info=parts.info(classes=["a"] * 10**6, colours=[[0, 0, 0]] * 10**6)),
        MISFIT,
    ),
    "no class": (lambda parts, path: parts.write(path, info=parts.info(classes=[], colours=[])), MISFIT),
    "colours of two parts": (lambda parts, path: parts.write(path, info=parts.info(colours=[[1, 2]] * 3)), LACKS),
    "colours above 255": (lambda parts, path: parts.write(path, info=parts.info(colours=[[1, 2, 300]] * 3)), LACKS),
    "fewer colours": (lambda parts, path: parts.write(path, info=parts.info(colours=[[1, 2, 3]])), LACKS),
    "one mask value twice": (lambda parts, path: parts.write(path, info=parts.info(ids=[0, 1, 1])), LACKS),
    "a mask value below 0": (lambda parts, path: parts.write(path, info=parts.info(ids=[-1, 0, 1])), LACKS),
    "no number of steps": (lambda parts, path: parts.write(path, iteration='"x"'), LACKS),
    "a tensor more": (lambda parts, path: parts.write(path, parts.tensors | {"more": torch.zeros(2)}), MISFIT),
    "a tensor less": (
        lambda parts, path: parts.write(path, {k: v for k, v in parts.tensors.items() if k != parts.weight}), MISFIT
    ),
    "another size": (lambda parts, path: parts.write(path, parts.tensors | {parts.weight: torch.zeros(3)}), MISFIT),
    "no tensors": (lambda parts, path: parts.write(path, {}), MISFIT),
    "not a number": (
        lambda parts, path: parts.write(
            path, parts.tensors | {parts.weight: torch.full_like(parts.tensors[parts.weight], torch.nan)}
        ),
        "not finite",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize(("write", "words"), CASES.values(), ids=CASES)
def test_what_is_no_export_is_one_line(write: Writes, words: str, pulled: Path, tmp_path: Path) -> None:
    write(Parts(pulled), tmp_path / PULLED)
    with pytest.raises(SemisegError) as caught:
        load_model(tmp_path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_same_parts_written_again_are_a_network(pulled: Path, tmp_path: Path) -> None:
    parts = Parts(pulled)
    parts.write(tmp_path / PULLED)
    assert torch.equal(load_model(tmp_path).network.state_dict()[parts.weight], parts.tensors[parts.weight])
