"""Hostile input: configurations, files, folders, checkpoints and exports that somebody wrote badly, or in bad faith.

Each case calls the command line in this process (configurations: what training does before it builds a network), with
an alarm after 10 s, and counts as handled (exit code 0, 1 or 2 and at most one line of error), as a traceback, or as a
hang. ``python benchmarks/hostile.py OUTPUT.json --seed 0``
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.config.read import Config, fields
from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError
from semiseg.runs import checkpoint
from semiseg.runtime.version import machine, versions
from semiseg.training.limits import check_limits

SECONDS = 10
Case = tuple[str, Callable[[Path], list[str]]]

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
VALUES: list[Any] = [
    True, "true", None, "", " ", -1, 0, 2**63, 10**30, 1e308, float("nan"), float("inf"), "x" * 5000, "a\nb", "a\0b",
    [], [[]], [True, 32], [1, 2, 3], {}, {"a": 1}, "../../x",
    "1e999999999", "\N{ARABIC-INDIC DIGIT ONE}", "\x1b[31m",
]  # fmt: skip
TEXTS = [
    "", "[" * 3000, "{" * 3000, "a: &a [*a]", LAUGHS, "- 1", "7", "\0", "a: 1\n---\nb: 2", "a: 2001-99-99",
    "training: " + "1" * 5000, "x: " + "y" * 600_000, "? {a: 1}\n: 2", "training: {iterations: true}", "1: 2",
    "training: {1: 2}", "extends: [1]", "extends: ../../etc/passwd", "a: !!python/object:os.system x",
    "classes: {true: a, 0: b}", "classes: [[a], [b]]", "colours: [[true, 0, 0]]", "ignore: {}", "orientation: []",
]  # fmt: skip
NUMBERS: list[Any] = [1e308, -1e308, 10**400, True, None, "nan", "inf", {}, [], "x", 1e9]
PATHS = ["../x.png", "/etc/passwd", "a\0b.png", "a\nb.png", "x" * 5000, "", ".", "..", "C:\\x.png", 3, None, [], {}]


def configurations(draw: random.Random) -> Iterator[Case]:
    """A value at a key of a preset, as ``semiseg settings`` has them."""
    keys = sorted(fields())
    for number in range(370):
        key, value = draw.choice(keys), draw.choice(VALUES)
        word = f"{key}={json.dumps(value) if not isinstance(value, str) else value}"
        yield f"configuration {number}: {word[:60]!r}", _words("configuration", "toy_streets", word)
    for number, text in enumerate(TEXTS):
        yield f"file {number}: {text[:40]!r}", _file("own.yaml", text, lambda path: ["configuration", str(path)])


def folders(draw: random.Random) -> Iterator[Case]:
    """``semiseg data check`` of folders with a bad description, image or mask."""
    for number, text in enumerate(TEXTS):
        yield f"description {number}: {text[:40]!r}", _folder("dataset.yaml", text.encode())
    for name in ("images/a.png", "masks/a.png"):
        for number in range(20):
            yield f"{name} {number}", _folder(name, _damaged(draw))


def exports(draw: random.Random) -> Iterator[Case]:
    """``semiseg data convert`` of exports in which one value is another."""
    for number in range(130):
        form = draw.choice(["labelme", "coco", "labelstudio"])
        sheet = _sheet(form)
        holder, key = draw.choice(list(_places(sheet)))
        holder[key] = draw.choice([*NUMBERS, *PATHS])
        text = json.dumps(sheet)
        yield f"{form} {number}: {key}={str(holder[key])[:40]!r}", _export(form, text)


def checkpoints(draw: random.Random) -> Iterator[Case]:
    """``semiseg evaluate`` of checkpoints in which one value is another, or bytes are."""
    for number in range(44):
        if number % 4 == 0:
            data = draw.randbytes(draw.choice([0, 1, 100, 5000]))
            yield f"checkpoint {number}: bytes", _file("bad.pt", data, lambda path: ["evaluate", str(path)])
            continue
        state: dict[str, Any] = {
            "config": Config.load("toy_streets").model_dump(mode="json"), "iteration": 1,
            "method": {"student.a": torch.zeros(1)},
            "info": {"name": "x", "classes": ["a", "b"], "colours": [[0, 0, 0], [1, 1, 1]]},
        }  # fmt: skip
        holder, key = draw.choice([*_places({"method": state["method"], "info": state["info"]}), ({}, "config")])
        holder = state if key in state else holder
        holder[key] = draw.choice([v for v in VALUES if not isinstance(v, str) or v.isprintable()])
        yield f"checkpoint {number}: {key}={str(holder[key])[:40]!r}", _checkpoint(state)


def _words(*words: str) -> Callable[[Path], list[str]]:
    return lambda folder: list(words)


def _file(name: str, content: str | bytes, words: Callable[[Path], list[str]]) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return words(path)

    return write


def _photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(path)


def _folder(name: str, content: bytes) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        for stem in "abcdef":
            _photo(folder / "images" / f"{stem}.png")
            (folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30) % 2).save(folder / "masks" / f"{stem}.png")
        (folder / name).write_bytes(content)
        return ["data", "check", str(folder), "--no-looks"]

    return write


def _damaged(draw: random.Random) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        _photo(Path(file.name))
        data = bytearray(Path(file.name).read_bytes())
    kind = draw.randrange(3)
    if kind == 0:
        return bytes(data[: draw.randrange(len(data))])
    if kind == 1:
        return draw.randbytes(draw.randrange(200))
    for _ in range(draw.randrange(1, 5)):
        data[draw.randrange(len(data))] = draw.randrange(256)
    return bytes(data)


def _sheet(form: str) -> Any:
    corners = [[1, 1], [6, 1], [6, 6]]
    if form == "labelme":
        shapes = [{"label": "a", "points": corners, "shape_type": "polygon"},
                  {"label": "b", "points": [[9, 9], [9, 12]], "shape_type": "circle"}]  # fmt: skip
        return {"shapes": shapes, "imagePath": "a.png", "imageHeight": 20, "imageWidth": 30, "imageData": None}
    if form == "coco":
        row = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 6, 1, 6, 6]], "bbox": [1, 1, 5, 5]}
        images = [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}]
        return {"images": images, "annotations": [row], "categories": [{"id": 1, "name": "a"}]}
    value = {"points": corners, "polygonlabels": ["a"]}
    oval = {"x": 50, "y": 50, "radiusX": 5, "radiusY": 5, "rotation": 0, "ellipselabels": ["b"]}
    return [{"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": [{"value": value}, {"value": oval}]}]}]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key of a nested value."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


def _export(form: str, text: str) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        _photo(folder / "in" / "a.png")
        (folder / "in" / "a.json").write_text(text)
        return ["data", "convert", str(folder / "in"), "--from", form, "--output", str(folder / "out")]

    return write


def _checkpoint(state: dict[str, Any]) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        checkpoint.save(folder / "bad.pt", state)
        return ["evaluate", str(folder / "bad.pt")]

    return write


class Hang(BaseException):
    """A case took too long."""


def prepared(source: str, words: list[str]) -> str:
    """What ``semiseg train`` does before it builds a network: no command does so little."""
    try:
        config = Config.load(source, words)
        check_limits(config)
        open_run_data(config.data)
    except SemisegError as error:
        return "handled" if len(str(error).splitlines()) <= 1 and len(str(error)) < 5000 else "no line"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "handled"


def outcome(words: list[str]) -> str:
    """``handled``, ``hang`` or what the traceback ends with."""

    def stop(*_: Any) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        if words[0] == "configuration":
            return prepared(words[1], words[2:])
        done = CliRunner().invoke(app, words)
    except Hang:
        return "hang"
    finally:
        signal.alarm(0)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return f"{type(done.exception).__name__}: {str(done.exception)[:200]}"
    lines = [line for line in done.stderr.splitlines() if "Error" in line or line.startswith("semiseg: ")]
    told = done.exit_code == 0 or len(done.stderr.strip().splitlines()) <= 1 or len(lines) <= 1
    if max((len(line) for line in done.stderr.splitlines()), default=0) > 5000:
        return "a line of more than 5000 characters"
    return "handled" if told else f"{len(lines)} lines"


def main() -> None:
    """Run all cases, or those of one kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=["configurations", "folders", "exports", "checkpoints"])
    given = parser.parse_args()
    kinds = {f.__name__: f for f in (configurations, folders, exports, checkpoints)}
    found: dict[str, Any] = {}
    for kind in given.kinds:
        counts, bad, began = {"handled": 0, "traceback": 0, "hang": 0}, [], time.monotonic()
        for name, write in kinds[kind](random.Random(f"{given.seed} {kind}")):
            folder = Path(tempfile.mkdtemp())
            try:
                result = outcome(write(folder))
            except (SemisegError, OSError, ValueError) as error:
                result = f"not written: {error}"
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            counts[result if result in counts else "traceback"] += 1
            if result != "handled":
                bad.append({"case": name, "outcome": result})
                print(f"{name}: {result}", file=sys.stderr, flush=True)
        found[kind] = counts | {"bad": bad, "seconds": round(time.monotonic() - began)}
        print(kind, counts, flush=True)
        command = ["python", *sys.argv]
        facts = {
            "command": " ".join(command),
            "seed": given.seed,
            "date": str(date.today()),
            "machine": machine(),
            "versions": versions(),
        }
        given.output.write_text(json.dumps(facts | {"kinds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
