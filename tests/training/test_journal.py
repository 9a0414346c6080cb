import json
from pathlib import Path

import pytest

from semiseg.runs.metrics import read_metrics
from semiseg.training import journal as progress
from semiseg.training.journal import MetricsLog
from semiseg.training.progress_bar import ProgressBar


def filled(run_dir: Path, start: int, rows: list[tuple[str, int]]) -> None:
    log = MetricsLog(run_dir, start)
    for kind, iteration in rows:
        log.write(kind, iteration, {"loss": iteration / 2})
    log.close()


def test_lines_are_objects_with_kind_and_iteration(tmp_path: Path) -> None:
    filled(tmp_path, 0, [("train", 1), ("validation", 1)])
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"kind": "train", "iteration": 1, "loss": 0.5}, {"kind": "validation", "iteration": 1, "loss": 0.5},
    ]  # fmt: skip
    assert read_metrics(tmp_path) == [json.loads(line) for line in lines]
    assert read_metrics(tmp_path / "nowhere") == []


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    log.write("train", 1, {"loss": 1.0})
    assert len(read_metrics(tmp_path)) == 1  # a killed run keeps it
    log.close()


def test_a_resumed_run_drops_the_lines_past_its_checkpoint(tmp_path: Path) -> None:
    filled(tmp_path, 0, [("train", 2), ("validation", 2), ("train", 3), ("train", 4)])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "iterat')  # the crash
    assert [row["iteration"] for row in read_metrics(tmp_path)] == [2, 2, 3, 4]
    filled(tmp_path, 2, [("train", 3), ("train", 4)])
    rows = [(row["kind"], row["iteration"]) for row in read_metrics(tmp_path)]
    assert rows == [("train", 2), ("validation", 2), ("train", 3), ("train", 4)]


def test_a_fresh_run_starts_an_empty_log(tmp_path: Path) -> None:
    filled(tmp_path, 0, [("train", 1)])
    filled(tmp_path, 0, [])
    assert read_metrics(tmp_path) == []


def test_a_logger_that_fails_is_left_out_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    class Good:
        def scalars(self, kind: str, iteration: int, values: object) -> None:
            told.append(f"{kind} {iteration}")

        def pictures(self, iteration: int, pictures: object) -> None:
            told.append(f"pictures {iteration}")

        def close(self) -> None:
            told.append("close")

    class Gone(Good):
        def scalars(self, kind: str, iteration: int, values: object) -> None:
            raise ConnectionError("no answer\nfrom the server")

    log = MetricsLog(tmp_path, 0, [Gone(), Good()])
    log.write("train", 1, {"loss": 1.0})
    log.write("train", 2, {"loss": 1.0})
    log.pictures(2, {})
    log.close()
    assert told == ["train 1", "train 2", "pictures 2", "close"] and len(read_metrics(tmp_path)) == 2
    assert capsys.readouterr().err == "semiseg: Gone failed and gets nothing more: no answer\n"


class ClosedTerminal:
    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def isatty(self) -> bool:
        return False


def test_a_terminal_that_was_closed_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.sys, "stderr", ClosedTerminal())
    bar = ProgressBar(10, 0, "run", [])
    bar.advance(10, {}, 1.0)  # the last step, which is told
    bar.say("a sentence")
    progress.remark("a remark")
