"""examples/own_methods, installed as a stranger would: methods that need more than a student and a teacher."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import own_methods_worker
import pytest
import torch
from commands import call
from conftest import HANGS
from own_methods_runs import PACKAGE, ROOT, TERMS, WORDS, assert_same, kept, look_again
from together import start_together

from semiseg import Config
from semiseg.data.stored_labels import StoredLabels
from semiseg.methods import Method, method_class, method_names
from semiseg.methods.base import ParameterGroup, Step, Survey
from semiseg.runs.metrics import read_metrics
from semiseg.training.loop import Run
from semiseg.training.optimisers import Optimisers

pytestmark = pytest.mark.usefixtures("installed")
STAGED = {f"{name}@0.5": TERMS[name] for name in ("adversary", "two_students")} | {
    "mean_teacher@0.5": ("supervised", "pseudo")
}


@pytest.fixture(scope="module")
def whole(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """By method: the folder of a run that nothing stopped, and what it printed; made when first asked for."""
    base = tmp_path_factory.mktemp("whole")

    class Runs(dict[str, tuple[Path, str]]):
        def __missing__(self, name: str) -> tuple[Path, str]:
            code, _, err = call("train", images, f"method.name={name}", f"run_dir={base / name}", *WORDS)
            assert code == 0, err
            self[name] = base / name, err
            return self[name]

    return Runs()


def test_a_term_that_is_not_returned_is_noticed_at_the_first_step(images: Path, tmp_path: Path) -> None:
    run = Run(Config.load(str(images), ["method.name=two_students", f"run_dir={tmp_path / 'run'}", *WORDS]))
    losses = run.method.losses
    run.method.losses = lambda step: {k: v for k, v in losses(step).items() if k != "cross"}  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"losses\(\) gave \['loss', 'supervised'\]; .*'cross'"):
        run.train(progress=False)


def test_they_are_listed_with_their_settings() -> None:
    assert set(TERMS) <= set(method_names())
    keys = {row["key"]: row["default"] for row in json.loads(call("settings", "--json")[1])}
    assert keys["method.adversary.critic.kind"] == "'adam'" and keys["method.two_rounds.first_round"] == "0.5"
    assert [name for name in TERMS if method_class(name).terms != TERMS[name]] == []


def test_a_command_of_its_own_process_finds_them(site: Path, images: Path, tmp_path: Path) -> None:
    words = ["train", images, "method.name=overlap", f"run_dir={tmp_path / 'run'}", *WORDS]
    done = subprocess.run(
        [sys.executable, "-m", "semiseg", *words], capture_output=True, text=True, timeout=HANGS,
        env=os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{ROOT / 'src'}", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0 and "overlap 4/4: " in done.stderr, done.stderr


@pytest.mark.parametrize("name", TERMS)
def test_its_terms_are_in_the_progress_line_the_log_and_the_report(
    name: str, whole: dict[str, tuple[Path, str]]
) -> None:
    run, printed = whole[name]
    assert re.search(rf"^{name} 4/4: .*loss " + "".join(rf".*{term} \d" for term in TERMS[name]), printed, re.MULTILINE)
    rows = [row for row in read_metrics(run) if row["kind"] == "train"]
    assert len(rows) == 4 and all(set(TERMS[name]) <= set(row) for row in rows)
    assert all(rows[-1][term] > 0 for term in TERMS[name])
    code, _, err = call("report", run, "--images", 0)
    assert code == 0, err
    page = (run / "report.html").read_text(encoding="utf-8")
    assert all(term in page for term in ("loss", *TERMS[name]))


@pytest.mark.parametrize(
    ("name", "parts"),
    [("adversary", ["student", "critic"]), ("two_students", ["student", "second"]), ("two_rounds", ["student"]),
     ("overlap", ["student"])],
)  # fmt: skip
def test_its_cost_is_counted(name: str, parts: list[str]) -> None:
    code, out, err = call("cost", "folder", f"method.name={name}", "--classes", 3, "--json", *WORDS)
    assert code == 0, err
    counted = json.loads(out)
    assert list(counted["parameters"]) == parts
    learnt = sum(counted["parameters"].values())
    assert counted["memory_bytes"]["gradients"] == 4 * learnt
    words = [*WORDS, "training.optimizer=sgd", "training.momentum=0.9"]
    with_sgd = json.loads(call("cost", "folder", f"method.name={name}", "--classes", 3, "--json", *words)[1])
    critic = counted["parameters"].get("critic", 0)  # it keeps its Adam, with two averages instead of one momentum
    assert counted["memory_bytes"]["optimiser"] == 8 * learnt
    assert with_sgd["memory_bytes"]["optimiser"] == 4 * (learnt + critic)


@pytest.mark.parametrize(
    ("name", "stop"),
    [("adversary", 2), ("two_students", 2), ("overlap", 2), ("two_rounds", 1), ("two_rounds", 2), ("two_rounds", 3)],
)
def test_stopped_and_resumed_is_bit_equal(
    name: str, stop: int, whole: dict[str, tuple[Path, str]], images: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    words = [f"method.name={name}", f"run_dir={tmp_path / 'run'}", *WORDS, "training.checkpoint_every=1"]
    run = Run(Config.load(images, words))
    losses = run.method.losses

    def fails(step: Step) -> Any:
        if step.iteration == stop:
            raise RuntimeError("power cut")
        return losses(step)

    monkeypatch.setattr(run.method, "losses", fails)
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    torch.rand(7)  # the global generator stands elsewhere now
    assert call("train", images, "--resume", *words)[0] == 0
    assert_same(kept(whole[name][0]), kept(tmp_path / "run"))


def test_stopped_while_it_labels_and_resumed_is_bit_equal(
    whole: dict[str, tuple[Path, str]], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["method.name=two_rounds", f"run_dir={tmp_path / 'run'}", *WORDS, "training.checkpoint_every=2"]
    store = Survey.store

    def fails(survey: Survey, index: int, labels: torch.Tensor, confidence: torch.Tensor) -> None:
        if survey.labels.indices():
            raise RuntimeError("power cut")
        store(survey, index, labels, confidence)

    with monkeypatch.context() as patched:
        patched.setattr(Survey, "store", fails)
        with pytest.raises(RuntimeError, match="power cut"):
            Run(Config.load(images, words)).train(progress=False)
    left = StoredLabels(tmp_path / "run" / "pseudo_labels" / "round_1")
    assert len(left.indices()) == 1
    left.write(999, np.zeros((64, 64), np.uint8), np.ones((64, 64)))  # of no image
    assert call("train", images, "--resume", *words)[0] == 0
    assert_same(kept(whole["two_rounds"][0]), kept(tmp_path / "run"))
    assert len(left.indices()) == 7


def test_what_the_first_round_learnt_is_what_it_stores(whole: dict[str, tuple[Path, str]]) -> None:
    rows = [row for row in read_metrics(whole["two_rounds"][0]) if row["kind"] == "train"]
    assert [row["stored"] > 0 for row in rows] == [False] * 2 + [True] * 2
    rates = [row["learning_rate"] for row in rows]
    assert rates[:2] == rates[2:], "the schedule begins anew with the second round"


@pytest.fixture(scope="module")
def pair(site: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Run folders of two processes that train every method together, and what each of them found."""
    runs = tmp_path_factory.mktemp("pair")
    start_together("own_methods_worker.py", images, runs, *TERMS, *STAGED, path=[site])
    return runs, [torch.load(runs / f"found.{rank}", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize(("name", "terms"), (TERMS | STAGED).items())
def test_two_processes_are_one_with_the_joint_batch(
    name: str, terms: tuple[str, ...], pair: tuple[Path, list[dict[str, Any]]], images: Path, tmp_path: Path
) -> None:
    alone = own_methods_worker.trained(images, tmp_path / "run", name)
    runs, found = pair
    assert len(alone["gradients"]) == 2 and all(alone["gradients"])
    for rank in found:
        torch.testing.assert_close(rank[name], alone, rtol=1e-8, atol=1e-10)
    one, two = ([row for row in read_metrics(run) if row["kind"] == "train"] for run in (tmp_path / "run", runs / name))
    for mine, theirs in zip(one, two, strict=True):
        assert [theirs[term] for term in terms] == pytest.approx([mine[term] for term in terms], rel=1e-6)
    one_labels, two_labels = (
        StoredLabels(run / "pseudo_labels" / "round_1") for run in (tmp_path / "run", runs / name)
    )
    assert one_labels.indices() == two_labels.indices() and len(one_labels.indices()) == 7 * (name == "two_rounds")
    for index in one_labels.indices():
        for mine, theirs in zip(one_labels.read(index), two_labels.read(index), strict=True):
            np.testing.assert_allclose(theirs, mine, atol=1e-3)


def test_run_folders_without_the_package(
    site: Path, whole: dict[str, tuple[Path, str]], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = whole["overlap"][0], tmp_path / "run"
    # The word reaches every method that has the key, those of the package among them.
    words = ["method.name=supervised", "method.weights.supervised=2", f"run_dir={other}", *WORDS]
    words += ["network.backbone=resnet18"]  # the other backbone is of the package too
    assert call("train", images, *words, "training.iterations=1")[0] == 0
    assert Config.load(other / "config.yaml").method.overlap.weights.supervised == 2
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(site)])
    look_again()
    assert not set(TERMS) & set(method_names())
    for words in (["evaluate", own], ["report", own], ["train", own / "config.yaml", "--resume"]):
        code, _, err = call(*words)
        assert code in (1, 2) and len(err.splitlines()) == 1
        assert "'overlap' comes from the package own-methods, which is not installed; install it" in err
    code, _, err = call("evaluate", other)
    assert code == 0, err


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("teacher = own_methods.overlap:Overlap", "the package bad calls its method 'teacher', which is a key of all"),
        ("settings = own_methods.overlap:Overlap", "the package bad calls its method 'settings', which is a key of"),
        ("lone = own_methods.overlap", "the package bad calls own_methods.overlap a method, which is no class"),
        ("lost = nowhere:Lost", "comes from the package bad, which cannot be imported"),
    ],
)
def test_an_entry_point_that_cannot_be_used_is_one_line(
    entry: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / "bad-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1\n")
    (facts / "entry_points.txt").write_text(f"[semiseg.methods]\n{entry}\n")
    monkeypatch.syspath_prepend(tmp_path)
    look_again()
    code, _, err = call("settings")
    assert code == 1 and len(err.splitlines()) == 1 and message in err
    assert "uninstall" in err


def test_groups_that_leave_something_out(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(Config.load(images, ["method.name=adversary", f"run_dir={tmp_path / 'run'}", *WORDS]))
    kind = type(run.method)
    with monkeypatch.context() as patched:
        patched.setattr(kind, "groups", Method.groups)
        with pytest.raises(ValueError, match=r"no group of groups\(\) holds critic\.0\.weight, critic\.0\.bias, .*, …"):
            Optimisers(run.method)
    more = [*run.method.groups()[:-1], ParameterGroup("critic", list(run.method.critic.parameters()), 1.0, "judge")]
    monkeypatch.setattr(kind, "groups", lambda method: more)
    with pytest.raises(ValueError, match=r"groups\(\) names the optimisers \['judge'\]"):
        Optimisers(run.method)


def test_the_guide_shows_the_file() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", guide, re.DOTALL)
    assert (PACKAGE / "own_methods" / "overlap.py").read_text(encoding="utf-8") in blocks
    entry_points = next(block for block in blocks if "entry-points" in block)
    assert entry_points.strip() in (PACKAGE / "pyproject.toml").read_text(encoding="utf-8")
