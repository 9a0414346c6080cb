"""The README's commands run, in their order, on a folder like the one it describes."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import write_picture
from typer.testing import CliRunner

from semiseg.cli import app

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
SHORT = [
    "training.iterations=2", "training.batch_size=2", "data.crop=32", "data.workers=0", "network.pretrained=none",
    "network.decoder_channels=8", "training.tensorboard=false",
]  # fmt: skip


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i in range(6):
        write_picture(tmp_path / "photos", f"photo{i}", i, mask=i < 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands(photos: Path) -> None:
    blocks = re.findall(r"```\n(.*?)```", README, re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines() if line.startswith("semiseg ")]
    commands = [command for command in commands if "camvid" not in command]
    assert len(commands) >= 5
    for command in commands:
        words = shlex.split(command, comments=True)[1:]
        if words[0] == "train":
            words += SHORT
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (command, done.stderr)
    assert len(list((photos / "predictions" / "masks").iterdir())) == 6


def test_python(photos: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    given = '"run_dir=runs/again"'
    assert given in block
    code = block.replace(given, f"{given}, " + ", ".join(f'"{word}"' for word in SHORT))
    exec(code, {})
    assert len(list((photos / "predictions-again" / "overlays").iterdir())) == 6
