"""The experiment scripts: a finished run is saved at once and skipped the next time; tables give mean and spread."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import camvid
import options
import plots
import switches
import yaml
from conftest import tiny

from semiseg import Config
from semiseg.experiments import results as experiment

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"


def test_run_is_saved_and_skipped(folder: Path, tmp_path: Path) -> None:
    preset = tmp_path / "own.yaml"
    preset.write_text(yaml.safe_dump(tiny(folder, tmp_path / "unused").model_dump(mode="json")))
    results, key = tmp_path / "results" / "own.json", {"method": "supervised", "labelled": 2, "split_seed": 1}
    words = ["method.name=supervised", "data.labelled=2", "data.split_seed=1"]
    row = experiment.run_once(results, key, str(preset), words, tmp_path / "work")
    (saved,) = json.loads(results.read_text())
    assert saved == row
    wanted = {"method", "labelled", "split_seed", "miou_last", "miou_best", "iou_last", "iterations", "seconds",
              "command", "date", "machine", "versions"}  # fmt: skip
    assert wanted <= set(saved) and len(saved["iou_last"]) == 3 and saved["iterations"] == 4
    assert experiment.run_once(results, key, "no such preset", [], tmp_path / "work") == row


def test_further_columns_come_from_the_folder_before_it_is_removed(folder: Path, tmp_path: Path) -> None:
    preset, results = tmp_path / "own.yaml", tmp_path / "own.json"
    preset.write_text(yaml.safe_dump(tiny(folder, tmp_path / "unused").model_dump(mode="json")))
    row = experiment.run_once(
        results, {"method": "supervised"}, str(preset), ["method.name=supervised"], tmp_path / "work",
        columns=lambda run_dir: {"lines": len((run_dir / "metrics.jsonl").read_text().splitlines())},
    )  # fmt: skip
    assert row is not None and row["lines"] == 5 and json.loads(results.read_text()) == [row]  # 4 steps, 1 validation
    assert not (tmp_path / "work" / "supervised").exists()


def test_a_run_that_broke_off_before_its_first_checkpoint_starts_afresh(folder: Path, tmp_path: Path) -> None:
    preset, broken = tmp_path / "own.yaml", tmp_path / "work" / "supervised"
    preset.write_text(yaml.safe_dump(tiny(folder, tmp_path / "unused").model_dump(mode="json")))
    broken.mkdir(parents=True)
    (broken / "metrics.jsonl").write_text('{"kind": "train", "iteration": 1, "loss": 9.0}\n')
    key, words = {"method": "supervised"}, ["method.name=supervised"]
    row = experiment.run_once(tmp_path / "own.json", key, str(preset), words, tmp_path / "work")
    assert row is not None and row["resumed"] is False and row["last_losses"]["loss"] != 9.0


def test_a_run_that_another_process_is_at_is_left_to_it(folder: Path, tmp_path: Path) -> None:
    preset = tmp_path / "own.yaml"
    preset.write_text(yaml.safe_dump(tiny(folder, tmp_path / "unused").model_dump(mode="json")))
    results, key, work = tmp_path / "own.json", {"method": "supervised", "split_seed": 1}, tmp_path / "work"
    holder = (
        f"import fcntl, pathlib, sys; work = pathlib.Path({str(work)!r}); work.mkdir(); "
        "lock = (work / '.supervised-1.lock').open('w'); fcntl.flock(lock, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert experiment.run_once(results, key, str(preset), ["method.name=supervised"], work) is None
        assert not results.exists()
        other.communicate()
    assert experiment.run_once(results, key, str(preset), ["method.name=supervised"], work) is not None  # it died


def test_table_of_mean_and_spread() -> None:
    common = {"method": "a", "miou_last_teacher": None, "seconds": 10.0}
    rows = [common | {"miou_last": m, "miou_best": m + 1} for m in (40, 44)]
    assert experiment.table(rows, ("method",)).splitlines()[-1] == "| a | 2 | 42.0 ± 2.8 | 43.0 ± 2.8 | – | 10 |"


def test_camvid_matrix_is_the_one_the_docs_name() -> None:
    jobs = camvid.jobs((1, 2, 3))
    assert len(jobs) == 3 * (5 + 3) + 1
    assert len({json.dumps(key) for key, _ in jobs}) == len(jobs)
    assert len(camvid.TERMS) == 8


def test_a_measuring_script_runs_and_names_its_goals(tmp_path: Path) -> None:
    path = Path(camvid.__file__).parent / "data_and_evaluation.py"
    done = subprocess.run([sys.executable, str(path), "--quick", "--device", "cpu"], cwd=tmp_path, text=True,
                          capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^(holds |MISSED) ", done.stdout, re.MULTILINE) and not list(tmp_path.iterdir())


def test_plots_are_drawn_from_the_committed_results(tmp_path: Path) -> None:
    written = plots.main(tmp_path)
    assert {path.name for path in written} == {path.name for path in PICTURES.glob("table?_*.png")}
    assert all(path.stat().st_size > 5_000 for path in written)


def test_switches_are_compared_on_the_same_seed() -> None:
    def row(switch: str, seed: int, miou: float) -> dict[str, object]:
        return {"switch": switch, "split_seed": seed, "miou_last": miou}

    rows = [row("paper", 1, 40.0), row("paper", 2, 50.0), row("a", 2, 52.0), row("a", 1, 41.0), row("b", 1, 39.0)]
    assert switches.differences([*rows, row("a", 3, 90.0)]).splitlines()[2:] == [
        "| `b` | -1.0 | -1.0 |",
        "| `a` | +1.0 · +2.0 | +1.5 |",
    ]
    for words in switches.arms().values():
        Config.load("toy_streets", words)


def test_every_option_of_the_comparison_trains(tmp_path: Path) -> None:
    small = ["training.batch_size=2", "network.backbone=resnet18", "data.options.train=14"]
    found = options.one([*small, "training.accumulation=2"], 4)
    assert found["seconds"] > 0 and found["mib"] >= 0
    for words in options.OPTIONS:
        Config.load("toy_streets", [*options.BASE, *words])
