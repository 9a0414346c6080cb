"""The experiment scripts: a finished run is saved at once and skipped the next time; tables give mean and spread."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import camvid
import gain
import gpu
import numpy as np
import options
import plots
import pytest
import switches
import time_to_quality
import tuning
import validation_noise
import yaml
from conftest import tiny

from semiseg import Config
from semiseg.cost.run import RunCount
from semiseg.experiments import results as experiment
from semiseg.experiments.comparison import curve, step_ratio

TINY = (
    "data.options.train=14", "data.options.val=2", "data.options.size=[32, 48]", "data.crop=32",
    "training.batch_size=2", "training.device=cpu", "training.log_every=1", "network.pretrained=none",
    "network.backbone=small", "network.decoder_channels=16", "method.contrastive.dim=16",
    "method.contrastive.bank_size=8",
)  # fmt: skip
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
    (broken / "config.yaml").touch()
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


@pytest.fixture
def tiny_streets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gain.DATA, "toy_streets", gain.Data("toy_streets", 2, ("3", "all"), TINY))


@pytest.mark.usefixtures("tiny_streets")
def test_a_method_stands_beside_three_supervised_runs_and_the_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiseg.experiments.comparison.runs.step_times", partial(step_ratio.step_times, pairs=2))
    words = ["--methods", "memory_bank", "--splits", "1", "--work", str(tmp_path / "work")]
    words += ["--results", str(tmp_path / "gain.json")]
    gain.main([*words, "--equal", "steps", "--labelled", "3"])
    assert len(json.loads((tmp_path / "gain.json").read_text())) == 3
    gain.main(words)
    shown = capsys.readouterr().out
    rows = json.loads((tmp_path / "gain.json").read_text())
    (time,) = (row for row in rows if row["equal"] == "step_time")
    steps = max(1, round(2 * time["ratio"]))
    assert time["crops_a_step"] == 2 + 2 * 2  # two labelled crops, two unlabelled ones in two views
    columns = ("method", "labelled", "equal", "iterations", "crops")
    assert [tuple(row[name] for name in columns) for row in rows if row is not time] == [
        ("memory_bank", 3, "steps", 2, 2 * 6),
        ("supervised", 3, "steps", 2, 2 * 2),
        ("supervised", 3, "crops", 2, 2 * 6),
        ("supervised", "all", "crops", 2, 2 * 6),
        ("supervised", 3, "seconds", steps, 2 * steps),
    ]
    wanted = {"data", "split_seed", "miou_last", "miou_best", "teacher_last", "seconds", "curve", "command", "date",
              "machine", "versions"}  # fmt: skip
    for row in rows:
        if row is not time:
            assert wanted <= set(row) and row["data"] == "toy_streets" and row["split_seed"] == 1
            clock, iterations, mious = zip(*row["curve"], strict=True)
            assert clock[0] > 0 and list(clock) == sorted(clock) and clock[-1] <= row["seconds"] + 0.1
            assert iterations[-1] == row["iterations"] and abs(mious[-1] - row["miou_last"]) < 0.01
            assert row["teacher_last"] is not None  # supervised's is the average of its weights
    assert not list((tmp_path / "work").glob("*.pt"))  # the state was for the step's time alone
    assert "| memory_bank | seconds | 1 |" in shown and "| supervised, all masks | crops | 1 |" in shown
    gain.main(words)
    assert json.loads((tmp_path / "gain.json").read_text()) == rows


def test_the_noise_of_a_validation_is_read_from_subsets_of_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(validation_noise, "SUBSETS", 5)
    results = tmp_path / "noise.json"
    words = ["toy_streets", "--iterations=8", "--validations=8", "--images=2", f"--results={results}", "--words", *TINY]
    for _ in range(2):  # a second measurement replaces the first
        monkeypatch.setattr(sys, "argv", ["validation_noise.py", *words])
        validation_noise.main()
    (row,) = json.loads(results.read_text())
    assert set(row["sigma"]) == {"1", "2"} and len(row["losses"]) == 8 and (row["images"], row["classes"]) == (2, 8)
    assert "| images | toy_streets | constant |" in capsys.readouterr().out


def test_noise_is_what_a_steady_rise_leaves() -> None:
    rng = np.random.default_rng(0)
    assert validation_noise.noise(list(range(40))) == 0
    assert validation_noise.noise((np.arange(4000) + rng.normal(0, 2, 4000)).tolist()) == pytest.approx(4, rel=0.1)


def test_every_data_set_of_the_comparison_is_configured(tmp_path: Path) -> None:
    for name, data in gain.DATA.items():
        runs = gain.Comparison(name, data, tmp_path / "gain.json", tmp_path, "photos", None)
        config = runs.config("supervised", "12", 4)
        assert (config.data.labelled, config.data.split_seed, config.training.seed) == (12, 4, 4)
        assert config.training.iterations == data.iterations and config.data.workers == 0 and config.data.cache
        assert config.data.options == ({"fold": 1} if name == "camvid_folds" else {})
        assert "photos" not in runs.command(runs.words("supervised", "12", 4, 10))
    with pytest.raises(SystemExit):
        gain.main(["--data", "nuclei,camvid_folds", "--root", "photos", "--table"])


@pytest.mark.usefixtures("tiny_streets")
def test_a_method_without_a_step_time_gets_no_run_of_equal_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = gain.Comparison("toy_streets", gain.DATA["toy_streets"], tmp_path / "gain.json", tmp_path, None, None)
    runs.run_equal_seconds("memory_bank", "3", 1)
    assert "the step of memory_bank is not timed yet; run this again when" in capsys.readouterr().err
    runs.counted["memory_bank"] = RunCount(6, rounds=2)
    runs.run_equal_seconds("memory_bank", "3", 1)
    assert "memory_bank trains in rounds whose steps differ" in capsys.readouterr().err
    assert not runs.results.exists()


@pytest.mark.usefixtures("tiny_streets")
def test_each_budget_of_minutes_is_a_run_of_its_own_beside_a_plain_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_to_quality, "PROBE", 2)
    words = ["--methods", "plain,supervised", "--minutes", "0.003,0.006", "--work", str(tmp_path / "work")]
    words += ["--results", str(tmp_path / "time.json")]
    time_to_quality.main(words)
    rows = json.loads((tmp_path / "time.json").read_text())
    assert [(row["method"], row["minutes"]) for row in rows] == [
        (method, minutes) for method in ("plain", "supervised") for minutes in (0, 0.003, 0.006)
    ]
    for before, row in pairwise(rows):
        if row["minutes"]:
            assert row["iterations"] == max(1, round(60 * row["minutes"] / curve.seconds_a_step(before)))
    assert "| data | method | 0.003 min | 0.006 min |" in capsys.readouterr().out
    time_to_quality.main(words)
    assert json.loads((tmp_path / "time.json").read_text()) == rows


def test_tuning_runs_each_line_once(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setitem(gain.DATA, "toy_streets", gain.Data("toy_streets", 2, ("12",), TINY))
    (tmp_path / "lines.txt").write_text(
        "# expected: nothing\ntoy_streets 0 supervised 2 training.learning_rate=0.001\n"
    )
    words = ["--lines", str(tmp_path / "lines.txt"), "--work", str(tmp_path / "work"), "--results",
             str(tmp_path / "tuning.json")]  # fmt: skip
    tuning.main(words)
    (row,) = json.loads((tmp_path / "tuning.json").read_text())
    assert (row["split_seed"], row["labelled"], row["words"]) == (0, 12, "training.learning_rate=0.001")
    assert "training.learning_rate=0.001" in row["command"] and "data.split_seed=0" in row["command"]
    tuning.main(words)
    assert json.loads((tmp_path / "tuning.json").read_text()) == [row]
    shown = f"| toy_streets | 0 | supervised | 2 | training.learning_rate=0.001 | {row['miou_last']:.1f} |"
    assert shown in capsys.readouterr().out


def test_the_lines_of_tuning_are_valid() -> None:
    for data, split, method, steps, words in tuning.lines(Path(tuning.__file__).with_name("tuning.txt")):
        assert data in gain.DATA and steps > 0 and split not in (1, 2, 3), "those are reported"
        Config.load(gain.DATA[data].preset, [f"method.name={method}", *words])


def test_the_gpu_script_stops_where_the_minutes_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gain.DATA, "toy_streets", gain.Data("toy_streets", 2, ("3",), TINY))
    monkeypatch.setattr("semiseg.experiments.comparison.runs.step_times", partial(step_ratio.step_times, pairs=1))
    words = [
        "--data",
        "toy_streets",
        "--methods",
        "joint_statistics",
        "--sizes",
        "32",
        "--labelled",
        "3",
        "--splits",
        "1",
    ]
    words += ["--iterations", "1", "--device", "cpu", "--precision", "fp32", "--backbone", "resnet18", "--pretrained",
              "none", "--work", str(tmp_path / "work"), "--results", str(tmp_path / "gpu.json")]  # fmt: skip
    monkeypatch.setattr(gpu, "BATCH", 2)
    gpu.main([*words, "--minutes", "0.00001"])
    found = [row["equal"] for row in json.loads((tmp_path / "gpu.json").read_text())]
    assert found == ["steps", "step_time"], "the first run is taken: nothing is known yet"
    assert "no time for supervised, equal steps, split 1" in capsys.readouterr().err
    gpu.main([*words, "--minutes", "5"])
    rows = json.loads((tmp_path / "gpu.json").read_text())
    assert {row["equal"] for row in rows} == {"steps", "crops", "seconds", "step_time"}
    assert {row["data"] for row in rows} == {"toy_streets 32"} and any(row["labelled"] == "all" for row in rows)
    assert all("network.backbone=resnet18" in row["command"] for row in rows if row["equal"] != "step_time")
