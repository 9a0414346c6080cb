"""Names of runs, principal components, and the gain."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semiseg import Config
from semiseg.errors import UsageError
from semiseg.report import write_report
from semiseg.report.content import miou_chart, time_chart
from semiseg.report.facts import RunFacts, Score, read_runs
from semiseg.report.headline import figures, gains, last_sentence
from semiseg.report.projection import principal_components


def test_names_tell_runs_apart_and_none_comes_twice(tmp_path: Path) -> None:
    folders = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "b" / "other"]
    for folder in folders:
        folder.mkdir(parents=True)
        Config().save(folder / "config.yaml")
    assert [run.name for run in read_runs([*folders, folders[0]])] == ["a/run", "b/run", "b/other"]
    assert [run.name for run in read_runs(folders[1:])] == ["run", "other"]
    assert [run.number for run in read_runs(folders)] == [0, 1, 2]
    with pytest.raises(UsageError, match="no run given"):
        read_runs([])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_file_names_that_are_not_utf_8_do_not_stop_a_report(tmp_path: Path) -> None:
    run = tmp_path / os.fsdecode(b"run\xff")
    run.mkdir()
    Config().save(run / "config.yaml")
    (run / "labelled.txt").write_bytes(b"photo\xff.png\n")
    assert len(read_runs([run])[0].labelled) == 1
    assert write_report(run, images=0).stat().st_size > 1e6


def test_principal_components_agree_with_the_covariance() -> None:
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(200, 6, generator=generator) * torch.tensor([5.0, 3, 1, 1, 1, 1])
    places, shares = principal_components(vectors)
    unit = (vectors / vectors.norm(dim=1, keepdim=True)).double().numpy()
    values = np.linalg.eigvalsh(np.cov(unit.T, bias=True))[::-1]
    assert shares == pytest.approx(list(values[:2] / values.sum()))
    assert places.var(dim=0, correction=0).tolist() == pytest.approx(list(values[:2]))
    assert abs(float((places[:, 0] * places[:, 1]).mean())) < 1e-9
    assert torch.equal(places, principal_components(3 * vectors)[0].to(places.dtype)) or torch.allclose(
        places, principal_components(3 * vectors)[0], atol=1e-6
    )


@pytest.mark.parametrize("vectors", [torch.ones(5, 4), torch.zeros(3, 4), torch.ones(1, 4), torch.rand(5, 1)])
def test_principal_components_of_too_little(vectors: torch.Tensor) -> None:
    places, shares = principal_components(vectors)
    assert places.shape == (len(vectors), 2) and torch.isfinite(places).all() and len(shares) == 2


def facts(method: str, last: float, labelled: tuple[str, ...] = ("a", "b"), iteration: int = 10) -> RunFacts:
    config = Config.parse({"method": {"name": method}, "training": {"iterations": 10}})
    values = {"miou": last / 100, "iou": [last / 100], "classes": ["x"]}
    return RunFacts(method, Path(method), config, classes=("x",), iteration=iteration, labelled=list(labelled),
                    scores={"last": Score(10, values), "best": Score(5, values)})  # fmt: skip


def test_gain_is_the_difference_of_means_over_equal_tasks() -> None:
    runs = [facts("supervised", 40), facts("supervised", 44), facts("memory_bank", 50), facts("classmix", 41)]
    bank, classmix = gains([*runs, facts("memory_bank", 90, labelled=("a", "b", "c"))])
    assert (bank.method, bank.points, bank.runs, bank.best) == ("memory_bank", pytest.approx(8), (2, 1), 8)
    assert bank.caution == "" and classmix.points == pytest.approx(-1)
    assert gains(runs[2:]) == []
    (found,) = gains([facts("supervised", 40), facts("memory_bank", 50, ("a", "c"), iteration=5)])
    assert found.caution == "the labelled images, how far the runs came"


def test_a_gain_says_at_what_price() -> None:
    plain, bank = facts("supervised", 40), facts("memory_bank", 50)
    (found,) = gains([plain, bank])
    assert found.terms == "at equal steps: 15 against 5 crops a step"
    for run, seconds in ((plain, 200.0), (bank, 600.0)):
        run.summary["seconds"] = seconds
    (found,) = gains([plain, bank])
    assert found.terms == "at equal steps: 15 against 5 crops a step, 10 min against 3 min"
    table = figures([plain, bank])
    column = table.header.index("crops a step")
    assert [row[column] for row in table.rows] == ["5", "15"]
    assert [row[table.header.index("time")] for row in table.rows] == ["3 min", "10 min"]


def test_the_same_crops_in_the_same_time_need_no_word() -> None:
    plain, bank = facts("supervised", 40), facts("memory_bank", 50)
    plain.config.training.batch_size = 15
    plain.summary["seconds"] = bank.summary["seconds"] = 300.0
    (found,) = gains([plain, bank])
    assert found.terms == "" and found.caution == ""
    plain.config.training.batch_size = 14
    (found,) = gains([plain, bank])
    assert "15 against 14 crops a step" in found.terms and found.caution == "training.batch_size"


def test_seconds_of_a_run_that_has_not_ended_are_those_of_its_last_validation() -> None:
    run = facts("supervised", 40)
    assert run.seconds is None
    run.rows = [validation(5, 30.0, seconds=10.0), validation(10, 40.0, seconds=25.0)]
    assert run.seconds == 25.0
    run.summary["seconds"] = 31.0
    assert run.seconds == 31.0


def validation(iteration: int, miou: float, **more: Any) -> dict[str, Any]:
    return {"kind": "validation", "iteration": iteration, "miou": miou, **more}


def test_the_last_sentence_is_that_of_the_last_validation_which_has_one() -> None:
    run = facts("supervised", 40)
    run.rows = [validation(5, 30.0)]
    assert last_sentence(run) is None
    run.rows += [validation(10, 40.0, sentence="mIoU 40.0 (+10.0): still rising")]
    assert last_sentence(run) == "mIoU 40.0 (+10.0): still rising"


@pytest.mark.parametrize(
    ("seconds", "unit", "shown"),
    [((10.0, 59.0), "second", [10, 59]), ((60.0, 150.0), "minute", [1, 2.5]), ((3600.0, 9000.0), "hour", [1, 2.5])],
)
def test_miou_over_time(seconds: tuple[float, float], unit: str, shown: list[float]) -> None:
    run = facts("supervised", 40)
    run.rows = [validation(5 * (i + 1), 30.0 + i, seconds=at) for i, at in enumerate(seconds)]
    chart = time_chart([run])
    assert chart is not None
    (trace,) = chart.figure["data"]
    assert (trace["x"], trace["y"], trace["name"]) == (shown, [30, 31], "student")
    assert chart.figure["layout"]["xaxis"]["title"]["text"] == unit and f"over {unit}s" in chart.description
    assert chart.table.header == [unit, "student"] and chart.table.rows == [[shown[0], 30.0], [shown[1], 31.0]]


def test_older_runs_have_no_time_and_are_named_beside_one_that_has() -> None:
    old, new = facts("supervised", 40), facts("memory_bank", 50)
    old.rows, new.rows = [validation(5, 30.0)], [validation(5, 30.0, seconds=10.0)]
    old.number, new.number = 0, 1
    assert time_chart([old]) is None
    chart = time_chart([old, new])
    assert chart is not None
    assert [trace["name"] for trace in chart.figure["data"]] == ["memory_bank"]
    assert "Not written down by supervised." in chart.note


def test_the_teachers_curve_is_drawn_where_it_was_measured() -> None:
    def run(*teacher: float) -> RunFacts:
        made = facts("fixmatch", 50)
        made.rows = [
            {"kind": "validation", "iteration": 5 * i + 5, "miou": 40.0 + i} | ({"teacher_miou": t} if t else {})
            for i, t in enumerate(teacher)
        ]
        return made

    chart = miou_chart([run(0, 42.5)])
    assert chart is not None
    assert {line["name"]: line["y"] for line in chart.figure["data"] if "lines" in line["mode"]} == {
        "student": [40.0, 41.0], "teacher": [42.5],
    }  # fmt: skip
    for runs in ([run(0, 0)], [run(42.0, 42.5), run(42.0, 43.0)]):
        chart = miou_chart(runs)
        assert chart is not None and not any(line["name"] == "teacher" for line in chart.figure["data"])
