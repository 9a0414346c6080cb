"""The script that asks whether suggestions beat chance: five runs a split from the same start, each made once."""

import json
from pathlib import Path

import pytest
import suggest as script
import yaml
from conftest import tiny, write_picture

from semiseg.experiments.comparison.data import Data


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i in range(14):
        write_picture(tmp_path / "photos", f"photo{i:02d}", i, mask=True, size=(32, 40))
    preset = tmp_path / "own.yaml"
    preset.write_text(yaml.safe_dump(tiny(tmp_path / "photos", tmp_path / "unused").model_dump(mode="json")))
    monkeypatch.setitem(script.DATA, "own", Data(str(preset), 2, ("2",), ("method.name=supervised",)))
    monkeypatch.setattr(script, "FIRST", 2)
    monkeypatch.setattr(script, "MORE", 2)
    return tmp_path


def test_all_arms_start_from_one_run_and_are_made_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", "own", "--splits", "1", "--work", str(data / "work"), "--results", str(data / "own.json")]
    script.main([*words, "--most", "2"])
    assert [row["choice"] for row in json.loads((data / "own.json").read_text())] == ["start", "random"]
    script.main(words)
    rows = json.loads((data / "own.json").read_text())
    assert [(row["choice"], row["masks"]) for row in rows] == [
        ("start", 2), ("random", 4), ("uncertainty", 4), ("diverse", 4), ("coverage", 4),
    ]  # fmt: skip
    assert all(len(row["curve"]) == 2 and row["command"].endswith("--data own --splits 1") for row in rows)
    lists = {path.stem: path.read_text().split() for path in (data / "work" / "own" / "lists").iterdir()}
    first = lists["start-1"]
    assert all(names[:2] == first and len(set(names)) == len(names) for names in lists.values())
    script.main(words)
    assert json.loads((data / "own.json").read_text()) == rows
    assert "own, coverage - random: " in capsys.readouterr().out
