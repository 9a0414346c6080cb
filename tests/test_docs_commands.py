"""Commands that the pages show: all of them parse, those of the five-minute start are run."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
from conftest import write_picture
from test_readme import SHORT
from typer.testing import CliRunner

from semiseg import Config
from semiseg.cli import app
from semiseg.presets import list_presets

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
USAGE_ERROR = typer.BadParameter.__mro__[1]
PRESETS = {row["name"] for row in list_presets()}


def commands(page: Path) -> list[list[str]]:
    """Words behind ``semiseg`` of every command in the page's blocks and code spans, comments and placeholders gone."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found = (re.match(r"(?:.* -m )?semiseg (.*)", line) for block in blocks for line in block.splitlines())
    return [shlex.split(match[1], comments=True) for match in found if match and "…" not in match[1]]


def parse(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Name and parameters of the command, as it would be called."""
    command: Any = typer.main.get_command(app)
    context = command.context_class(command)
    while hasattr(command, "resolve_command"):
        _, command, words = command.resolve_command(context, words)
    return command.name, command.make_context(command.name, words).params


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_every_command_parses(page: Path) -> None:
    for words in commands(page):
        name, given = parse(words)
        if name in ("train", "cost") and given["source"] in PRESETS:
            Config.load(given["source"], [word for word in given["overrides"] or [] if "FOLDER" not in word])


def test_a_wrong_command_would_be_found() -> None:
    for line in ("trian folder", "train", "predict runs/a b --outptu c"):
        with pytest.raises(USAGE_ERROR):
            parse(line.split())


def test_the_five_minute_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(8):
        write_picture(tmp_path / "photos", f"photo{i}", i, mask=i < 6)
    page = ROOT / "docs" / "start.md"
    (sheet,) = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "photos" / "dataset.yaml").write_text(sheet)
    monkeypatch.chdir(tmp_path)
    told = []
    for words in commands(page):
        done = CliRunner().invoke(app, words + (SHORT if words[0] == "train" else []))
        assert done.exit_code == 0, (words, done.stderr)
        told.append(done.output)
    assert re.search(r"\d+ training images \(\d+ labelled\), \d+ validation images, 3 classes: 0 errors", told[0])
    assert sum("mIoU of the student: last" in text for text in told) == 2
    assert len(list((tmp_path / "predictions" / "overlays").iterdir())) == 8
