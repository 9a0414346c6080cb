"""Where a run stands, in one line and in a mark that changes with the page."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import tiny

from semiseg.errors import UsageError
from semiseg.report.facts import read_run
from semiseg.report.live import State, live_page, state_of
from semiseg.training.lock import RunLock, is_held


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run of 40 steps of 2 crops that this process trains."""
    path = tmp_path / "my run"
    path.mkdir()
    tiny(tmp_path / "photos", path, training__iterations=40, training__accumulation=3).save(path / "config.yaml")
    RunLock(path).acquire()
    return path


def log(run: Path, *rows: tuple[str, int, float]) -> None:
    """Lines of the log: losses at 4 images a second, and validations with their mIoU."""
    with (run / "metrics.jsonl").open("a") as file:
        for kind, iteration, value in rows:
            own = {"loss": value, "images_per_second": 4.0} if kind == "train" else {"miou": value}
            file.write(json.dumps({"kind": kind, "iteration": iteration, **own}) + "\n")


def test_a_run_that_goes_on(run: Path) -> None:
    facts = read_run(run)
    assert state_of(facts) == State("Running: step 0 of 40.", "0.0.running", False)
    log(run, ("train", 10, 1.0), ("validation", 10, 50.0), ("train", 12, 1.0), ("validation", 12, 48.25))
    # 28 steps of 3 batches of 2 crops, at 4 a second
    words = "Running: step 12 of 40, mIoU 48.2 (best 50.0), 42 s left."
    assert state_of(facts) == State(words, "2.6.running", False)
    log(run, ("train", 13, 1.0))
    assert state_of(facts).version == "2.6.running"  # too little to load the page anew
    log(run, ("train", 14, 1.0))
    assert state_of(facts).version == "2.7.running"


def test_a_run_that_was_stopped_says_how_to_go_on_and_one_that_ended_does_not(run: Path) -> None:
    facts = read_run(run)
    log(run, ("train", 10, 1.0), ("validation", 10, 50.0))
    RunLock(run).release()
    words = f"Stopped at step 10 of 40, mIoU 50.0 (best 50.0); semiseg train '{run}' --resume goes on."
    assert state_of(facts) == State(words, "1.5.ended", True)
    log(run, ("train", 40, 1.0))
    assert state_of(facts).words.startswith("Stopped at step 40")  # the last validation is not done
    (run / "evaluation.json").write_text("{}")
    assert state_of(facts) == State("Ended after 40 steps, mIoU 50.0 (best 50.0).", "1.20.ended", True)


def test_who_holds_a_run(run: Path) -> None:
    assert is_held(run)
    mine = json.loads((run / "lock.json").read_text())
    (run / "lock.json").write_text(json.dumps(mine | {"started": "another boot 1"}))
    assert not is_held(run), "the number has gone to another process"
    (run / "lock.json").write_text(json.dumps(mine | {"host": "elsewhere"}))
    assert is_held(run)
    (run / "lock.json").write_text("{")
    assert not is_held(run)
    (run / "lock.json").unlink()
    assert not is_held(run)


def test_the_page_is_the_report_and_asks_its_own_server_only(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(runs[1], tmp_path / "run<b>"))
    page = live_page(run, images=0)
    assert 'role="status" data-version="2.20.ended">Ended after 4 steps, mIoU ' in page
    assert "img-src data: blob:; connect-src 'self'\">" in page and "run&lt;b&gt;" in page and "run<b>" not in page
    assert 'id="headline"' in page and not (run / "report.html").exists()
    with pytest.raises(UsageError, match="no run folder"):
        live_page(tmp_path, images=0)
