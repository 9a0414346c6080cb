"""The page holds what the run folder holds, changes nothing there, and works with whatever is left of it."""

import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects
import pytest
from commands import call
from conftest import tiny

import semiseg
from semiseg.errors import SemisegError, UsageError
from semiseg.methods import method_class, method_names
from semiseg.report import write_report


class Page(HTMLParser):
    """Attributes of every tag, the text that is shown, and the charts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self.inside = ""
        text = path.read_text(encoding="utf-8")
        self.feed(text)
        self.text = " ".join(" ".join(self.shown).split())
        found = re.search(r'<script type="application/json" id="drawings">(.*?)</script>', text, re.DOTALL)
        assert found is not None
        self.charts: dict[str, Any] = json.loads(found[1])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.shown.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def state(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "report.html")
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / run.name, ignore=shutil.ignore_patterns("report.html")))


def edit(run: Path, **values: object) -> None:
    """As if the run had been started with other settings: in its ``config.yaml`` and its checkpoints."""
    config = semiseg.Config.load(run / "config.yaml", [f"{key.replace('__', '.')}={v}" for key, v in values.items()])
    config.save(run / "config.yaml")
    for path in (run / "checkpoints").glob("*.pt"):
        state = semiseg.runs.checkpoint.load(path)
        semiseg.runs.checkpoint.save(path, state | {"config": config.model_dump(mode="json")})


def test_two_runs_side_by_side(runs: tuple[Path, Path], tmp_path: Path) -> None:
    before = [state(run) for run in runs]
    told: list[tuple[int, int]] = []
    page = Page(write_report(runs, tmp_path / "both.html", images=1, progress=lambda *done: told.append(done)))
    assert told == [(1, 2), (2, 2)]
    assert [state(run) for run in runs] == before
    summaries = [json.loads((run / "evaluation.json").read_text()) for run in runs]
    for summary in summaries:
        assert f"{100 * summary['last']['miou']:.2f}" in page.text
        assert f"{100 * summary['best']['miou']:.2f} (at {summary['best_iteration']})" in page.text
    assert f"{100 * summaries[1]['last_teacher']['miou']:.2f}" in page.text
    gain = 100 * (summaries[1]["last"]["miou"] - summaries[0]["last"]["miou"])
    assert f"{gain:+.1f} points of mIoU from the unlabelled images" in page.text
    assert "Not under equal conditions" not in page.text
    assert "This gain is at equal steps: 6 against 2 crops a step, " in page.text
    assert {
        "miou", "miou-time", "loss-loss", "loss-supervised", "loss-pseudo", "loss-entropy", "loss-contrastive", "iou-0",
        "confusion-0", "confusion-1", "pseudo-labels", "sureness-0", "bank-0", "weights-0",
    } <= set(page.charts)  # fmt: skip
    assert [trace["name"] for trace in page.charts["miou-time"]["data"]] == [run.name for run in runs]
    for run in runs:
        validations = [
            json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines() if "sentence" in line
        ]
        assert f"{run.name} : {validations[-1]['sentence']}." in page.text
        assert validations[0]["sentence"] not in page.text
    iou = {trace["name"]: trace["x"] for trace in page.charts["iou-0"]["data"]}
    for run, summary in zip(runs, summaries, strict=True):
        assert iou[run.name] == pytest.approx([100 * value for value in summary["last"]["iou"]], rel=1e-3)
    quality = {trace["name"]: trace["y"] for trace in page.charts["pseudo-labels"]["data"]}
    rows = [json.loads(line) for line in (runs[1] / "metrics.jsonl").read_text().splitlines()]
    accuracy = [100 * row["accuracy"] for row in rows if row["kind"] == "pseudo_labels"]
    assert quality["memory_bank: accuracy"] == pytest.approx(accuracy, rel=1e-3) and len(accuracy) == 2
    (sureness,) = page.charts["sureness-0"]["data"]
    last = [row for row in rows if row["kind"] == "pseudo_labels"][-1]["class_confidence"]
    assert sureness["x"] == [None if v is None else pytest.approx(100 * v, rel=1e-3) for v in last]


def test_a_run_has_one_colour_in_every_chart(runs: tuple[Path, Path], tmp_path: Path) -> None:
    charts = Page(write_report(runs, tmp_path / "both.html", images=0)).charts
    colours = {
        trace["marker"]["color"]
        for key, chart in charts.items()
        if not key.startswith(("confusion", "projection"))
        for trace in chart["data"]
        if trace["name"].startswith("memory_bank")
    }
    assert colours == {"#D55E00"}


def test_every_chart_is_valid_and_has_words_and_a_table(runs: tuple[Path, Path], tmp_path: Path) -> None:
    page = Page(write_report(runs, tmp_path / "both.html", images=0))
    for figure in page.charts.values():
        plotly.graph_objects.Figure(figure)  # raises for anything Plotly does not know
    places = [attributes for attributes in page.all("div") if "data-chart" in attributes]
    figures = [attributes for attributes in page.all("figure") if attributes.get("role") == "img"]
    assert sorted(place["data-chart"] or "" for place in places) == sorted(page.charts)
    assert len(figures) == len(places) and all(len(figure["aria-label"] or "") > 40 for figure in figures)
    assert len(page.all("details")) == len(places) + 1  # and all settings


def test_nothing_from_outside_and_names_stay_text(runs: tuple[Path, Path], tmp_path: Path) -> None:
    page = Page(write_report(runs, tmp_path / "both.html"))
    links = [value for _, a in page.tags for name, value in a.items() if name in ("src", "href", "srcset", "action")]
    assert links and all((link or "").startswith(("data:image/", "#")) for link in links)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert (policy or "").startswith("default-src 'none'")
    assert "<b>tree</b>" in page.text and "sky</script>" in page.text
    assert page.charts["iou-0"]["data"][0]["y"] == ["road", "&lt;b&gt;tree&lt;/b&gt;", "sky&lt;/script&gt;"]
    pictures = page.all("img")
    assert len(pictures) == 2 * (2 + 2 * 2) and all(picture["alt"] for picture in pictures)  # 2 validation images


def test_one_run_of_every_method(runs: tuple[Path, Path], folder: Path, tmp_path: Path) -> None:
    trained = {run.name: copied(run, tmp_path) for run in runs}
    for method in method_names():
        run = trained.get(method, tmp_path / method)
        if method not in trained:
            semiseg.train(tiny(folder, run, method__name=method, training__iterations=2), progress=False)
        path = write_report(run)
        assert path == run / "report.html"
        page = Page(path)
        assert {"miou", "loss", "iou-0", "confusion-0", "weights-0"} <= set(page.charts)
        assert ("bank-0" in page.charts) == (method == "memory_bank")
        found = method_class(method)
        without = not (found.keeps_teacher or {"confident", "confidence"} & set(found.watched))  # of a student's labels
        assert ("pseudo-labels" in page.charts) != without
        assert ("No run here has a teacher that makes pseudo-labels" in page.text) == without
        assert "% of the pixels get the right class" in page.text and "points of mIoU" not in page.text


def test_settings_that_are_not_the_defaults_are_marked(runs: tuple[Path, Path], tmp_path: Path) -> None:
    text = Page(write_report(runs, tmp_path / "both.html", images=0)).text
    short = text[text.index("Settings and versions") : text.index(" settings ", text.index("Settings and versions"))]
    assert "data.crop 512 32 changed 32 changed" in short
    assert "method.name runs differ memory_bank supervised changed memory_bank" in short
    assert "training.poly_power" not in short and "training.poly_power" in text
    assert "semiseg" in text and f"this report {semiseg.__version__}" in text


def test_a_run_of_an_earlier_version_has_neither_sentence_nor_time(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = copied(runs[1], tmp_path)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    older = [{k: v for k, v in row.items() if k not in ("sentence", "seconds", "confident_accuracy")} for row in rows]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in older))
    page = Page(write_report(run, images=0))
    assert "miou" in page.charts and "miou-time" not in page.charts
    assert 'class="sentence"' not in (run / "report.html").read_text(encoding="utf-8")


def test_interrupted_without_summary_and_with_a_cut_line(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = copied(runs[1], tmp_path)
    (run / "evaluation.json").unlink()
    kept = [line for line in (run / "metrics.jsonl").read_text().splitlines() if json.loads(line)["iteration"] <= 2]
    (run / "metrics.jsonl").write_text("\n".join(kept) + '\n{"kind": "train", "iter')
    (run / "checkpoints" / "last.pt").unlink()
    edit(run, training__iterations=40)
    page = Page(write_report(run))
    assert "No last.pt yet: pictures, bank and class weights are those of the best checkpoint." in page.text
    known = next(json.loads(line)["miou"] for line in kept if "validation" in line)
    assert f"{known:.2f}" in page.text and "of 40 iterations are logged" in page.text
    assert {"miou", "loss", "iou-0", "bank-0"} <= set(page.charts)


def test_config_alone_is_enough(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    shutil.copy(runs[0] / "config.yaml", tmp_path / "bare")
    page = Page(write_report(tmp_path / "bare"))
    assert page.charts == {} and "No checkpoint" in page.text and "No validation is logged yet" in page.text


def test_data_that_is_gone_is_said(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = copied(runs[1], tmp_path)
    config = semiseg.Config.load(run / "config.yaml")
    config.data.root = str(tmp_path / "gone")
    config.save(run / "config.yaml")
    page = Page(write_report(run))
    assert "the validation images cannot be read" in page.text and not page.all("img")
    assert "confusion-0" in page.charts


def test_damaged_checkpoint_is_said(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = copied(runs[1], tmp_path)
    (run / "checkpoints" / "last.pt").write_bytes(b"half a file")
    page = Page(write_report(run))
    assert "cannot be read" in page.text and "iou-0" in page.charts and "bank-0" not in page.charts


def test_unequal_conditions_are_said(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = copied(runs[0], tmp_path)
    edit(run, training__batch_size=7, network__pretrained="imagenet", data__workers=5)  # workers change nothing
    (run / "labelled.txt").write_text("photo01\nphoto02\nphoto03\n")
    text = Page(write_report([run, runs[1]], tmp_path / "both.html", images=0)).text
    assert "equal conditions: network.pretrained, training.batch_size, the labelled images differ as well" in text


def test_nothing_is_written_over(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text("mine")
    with pytest.raises(UsageError, match="exists; choose another --output"):
        write_report(runs, other, images=0)
    assert other.read_text() == "mine"
    write_report(runs, other, overwrite=True, images=0)
    assert "semiseg report" in other.read_text(encoding="utf-8")
    own = copied(runs[0], tmp_path)
    assert write_report(own, images=0) == write_report(own, images=0)  # ours: replaced
    with pytest.raises(UsageError, match=r"ends in \.html"):
        write_report(own, own / "config.yaml", overwrite=True)
    with pytest.raises(SemisegError, match="cannot write"):
        write_report(own, other / "report.html", images=0)
    assert not list(tmp_path.rglob("*.partial"))


def test_command(runs: tuple[Path, Path], tmp_path: Path) -> None:
    code, out, err = call("report", *runs, "--output", tmp_path / "r.html", "--images", "1")
    assert code == 0 and out.strip() == f"report: {tmp_path / 'r.html'}", err
    assert len(Page(tmp_path / "r.html").all("img")) == 6
    for words, text in (
        ([tmp_path / "nowhere"], "is no run folder (found nothing)"),
        ([tmp_path], "found a folder without config.yaml"),
        ([tmp_path / "r.html"], "found a file"),
        ([runs[0], "--output", tmp_path / "r.html"], "--overwrite"),
    ):
        code, _, err = call("report", *words)
        assert code == 2 and text in err and len(err.strip().splitlines()) == 1
    code, out, _ = call("report", "--help")
    assert "Example: semiseg report" in " ".join(out.replace("│", " ").split())
