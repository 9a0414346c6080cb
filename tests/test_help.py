"""Every command's help ends in an example, and the examples run."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from conftest import write_picture
from test_docs_commands import parse
from typer.testing import CliRunner

from semiseg.cli import app

OUTSIDE = {"push", "pull", "app", "watch", "data get", "torchrun"}
"""A hub, a page that stays open, a download, other processes: their own tests run them."""
TINY = [
    "training.iterations=2", "training.batch_size=2", "data.crop=32", "data.options.train=14", "data.options.val=2",
    "network.pretrained=none", "network.backbone=small", "network.decoder_channels=8", "training.tensorboard=false",
]  # fmt: skip


def walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from walk(inner, (*words, name))
    else:
        yield " ".join(words), command


COMMANDS = dict(walk(typer.main.get_command(app)))


def example(name: str) -> list[str]:
    """Words behind ``semiseg`` of the example in the command's help."""
    text = " ".join((COMMANDS[name].help or "").split())
    found = re.search(r"Example: semiseg (.+)$", text)
    assert found, f"semiseg {name} --help ends in no example"
    return shlex.split(found[1])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_is_of_this_command_and_parses(name: str) -> None:
    words = example(name)
    assert words[: len(name.split())] == name.split()
    assert parse(words)[0] == name.split()[-1]
    sentence = " ".join((COMMANDS[name].help or "").split()).split(" Example:")[0]
    assert sentence.endswith(".") and sentence[0].isupper() and len(sentence) > 10


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        write_picture(tmp_path / "photos", f"photo{i}", i, mask=False)
        (tmp_path / "photos" / "images" / f"photo{i}.png").rename(tmp_path / "photos" / f"photo{i}.png")
    shutil.copytree(tmp_path / "photos", tmp_path / "labels", ignore=shutil.ignore_patterns("images", "masks"))
    shape = {"label": "leaf", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}
    sheet = {"shapes": [shape], "imagePath": "photo0.png", "imageHeight": 64, "imageWidth": 64}
    (tmp_path / "labels" / "photo0.json").write_text(json.dumps(sheet))
    names = [name for name in COMMANDS if name not in OUTSIDE]
    assert names[0] == "train"
    for name in names:
        words = example(name) + {"train": TINY, "compare": [*TINY, "--seeds", "1", "--labelled", "3"]}.get(name, [])
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (words, done.stderr, done.exception)
