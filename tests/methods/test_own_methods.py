"""A package of four methods, installed as a stranger would, through everything that a method goes through.

``examples/own_methods`` brings a critic with its own Adam, two students, two rounds with stored pseudo-labels, and two
overlapping crops, by entry points alone.
"""

import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import tiny, write_picture
from torch import Tensor

from semiseg import Config, train
from semiseg.config import method as method_config
from semiseg.config import read
from semiseg.cost import cost
from semiseg.data.stored_labels import StoredLabels
from semiseg.errors import SemisegError, UsageError
from semiseg.methods import Step, method_class, method_names
from semiseg.report import write_report
from semiseg.runs import checkpoint
from semiseg.runs.metrics import read_metrics
from semiseg.runtime import plugins
from semiseg.training.loop import Run

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "own_methods"
TERMS = {
    "adversary": ("supervised", "adversarial", "critic"),
    "two_students": ("supervised", "cross"),
    "two_rounds": ("supervised", "stored"),
    "two_crops": ("supervised", "overlap"),
}
CACHES = (
    plugins.installed,
    plugins.method_names,
    method_config.method_sections,
    method_config.complete,
    read._complete,
)


def forget() -> None:
    """Look for installed packages anew."""
    importlib.invalidate_caches()
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip has installed the package into."""
    target = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "own_methods"  # building writes beside the sources
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return target


@pytest.fixture(autouse=True)
def _found(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(installed)
    forget()
    yield
    monkeypatch.undo()
    forget()


def small(folder: Path, run_dir: Path, name: str, **changes: Any) -> Config:
    return tiny(folder, run_dir, method__name=name, training__optimizer="sgd", **changes)


def weights(run_dir: Path, which: str = "last") -> dict[str, Tensor]:
    return checkpoint.load(run_dir / "checkpoints" / f"{which}.pt")["method"]


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def test_all_four_are_found_beside_the_shipped_ones() -> None:
    assert set(TERMS) < set(method_names()) and "memory_bank" in method_names()
    assert Config.parse({}, ["method.name=adversary"]).method.settings.learning_rate == 1e-4
    with pytest.raises(UsageError, match=r"method\.two_rounds\.first: .* \(given 2\)"):
        Config.parse({}, ["method.two_rounds.first=2"])
    with pytest.raises(UsageError, match="did you mean 'two_crops'"):
        Config.parse({}, ["method.name=two_crop"])


@pytest.mark.parametrize("name", TERMS)
def test_it_trains_and_its_terms_are_logged_and_reported(name: str, folder: Path, tmp_path: Path, capsys: Any) -> None:
    config = small(folder, tmp_path / "run", name)
    train(config)
    rows = [row for row in read_metrics(tmp_path / "run") if row["kind"] == "train"]
    for term in TERMS[name]:
        assert all(term in row for row in rows)
    progress = capsys.readouterr().err
    assert name in progress and all(f"{term} " in progress for term in TERMS[name])
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert all(f'"{term}"' in page for term in TERMS[name] if len(TERMS[name]) > 1)
    counted = cost(config, 3)
    assert counted.memory_total > 0 and next(iter(counted.parameters)) == "student"
    assert ("second" in counted.parameters) == (name == "two_students")
    assert list(yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["method"])[-1] == name


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("stop", [2, 3, 5])  # two_rounds begins its second round after step 3
def test_stopped_and_resumed_is_bit_equal(name: str, stop: int, folder: Path, tmp_path: Path) -> None:
    words = {"training__iterations": 6, "training__checkpoint_every": 1, "training__validate_every": 6}
    train(small(folder, tmp_path / "whole", name, **words), progress=False)
    run = Run(small(folder, tmp_path / "broken", name, **words))
    losses = run.method.losses

    def fails(step: Step) -> dict[str, Tensor]:
        if step.iteration == stop:
            raise RuntimeError("power cut")
        return losses(step)

    run.method.losses = fails  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    train(small(folder, tmp_path / "broken", name, **words), resume=True, progress=False)
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))
    first, second = (checkpoint.load(tmp_path / n / "checkpoints" / "last.pt") for n in ("whole", "broken"))
    for optimiser, state in first["optimisers"].items():
        for number, values in state["state"].items():
            for key, value in values.items():
                other = second["optimisers"][optimiser]["state"][number][key]
                assert torch.equal(torch.as_tensor(value), torch.as_tensor(other))


def test_the_second_round_learns_from_what_the_first_one_stored(folder: Path, tmp_path: Path) -> None:
    config = small(folder, tmp_path / "run", "two_rounds", training__iterations=6, training__checkpoint_every=3)
    run = Run(config)
    run.train(progress=False)
    rows = [row for row in read_metrics(tmp_path / "run") if row["kind"] == "train"]
    assert [row["stored"] > 0 for row in rows] == [False] * 3 + [True] * 3
    assert rows[3]["learning_rate"] == rows[0]["learning_rate"] > rows[2]["learning_rate"], "a schedule a round"
    stored = StoredLabels(tmp_path / "run" / "pseudo_labels" / "round_1")
    assert set(stored.indices()) == set(run.data.unlabelled)
    labels, confidence = stored.read(run.data.unlabelled[0])
    assert labels.shape == confidence.shape == (64, 64) and labels.max() < 3 and confidence.min() >= 1 / 3


def test_labels_of_an_interrupted_survey_are_not_trained_on(folder: Path, tmp_path: Path) -> None:
    words = {"training__iterations": 6, "training__checkpoint_every": 1}
    train(small(folder, tmp_path / "whole", "two_rounds", **words), progress=False)
    run = Run(small(folder, tmp_path / "broken", "two_rounds", **words))
    begin = run.method.begin_round

    def breaks(number: int, survey: Any) -> None:
        for index, image in survey:
            survey.store(index, torch.zeros(image.shape[-2:]), torch.ones(image.shape[-2:]))
        raise RuntimeError("power cut")

    run.method.begin_round = breaks  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    assert begin is not None
    train(small(folder, tmp_path / "broken", "two_rounds", **words), resume=True, progress=False)
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))


def test_missing_stored_labels_are_one_line(folder: Path, tmp_path: Path) -> None:
    words = {"training__iterations": 6, "training__checkpoint_every": 1, "training__validate_every": 6}
    run = Run(small(folder, tmp_path / "run", "two_rounds", **words))
    losses = run.method.losses
    stop = 4

    def fails(step: Step) -> dict[str, Tensor]:
        if step.iteration == stop:
            raise RuntimeError("power cut")
        return losses(step)

    run.method.losses = fails  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    for path in (tmp_path / "run" / "pseudo_labels" / "round_1").iterdir():
        path.unlink()
    with pytest.raises(SemisegError) as caught:
        train(small(folder, tmp_path / "run", "two_rounds", **words), resume=True, progress=False)
    assert "\n" not in str(caught.value) and "round_1" in str(caught.value)


def test_the_critic_learns_by_its_own_optimiser_and_leaves_the_student_alone(folder: Path, tmp_path: Path) -> None:
    run = Run(small(folder, tmp_path / "run", "adversary", method__adversary__weight=0))
    assert isinstance(run.optimisers.by_name["critic"], torch.optim.Adam)
    assert {id(p) for p in run.optimisers.parameters("critic")} == {id(p) for p in run.method.critic.parameters()}
    before = [p.clone() for p in run.method.critic.parameters()]
    run.train(progress=False)
    assert all(not torch.equal(a, b) for a, b in zip(before, run.method.critic.parameters(), strict=True))
    train(small(folder, tmp_path / "plain", "adversary", method__adversary__weight=0,
                method__adversary__learning_rate=1e-9), progress=False)  # fmt: skip
    for key, value in weights(tmp_path / "plain").items():
        if key.startswith("student."):
            assert torch.equal(value, weights(tmp_path / "run")[key]), key


def test_two_processes_are_one_with_the_joint_batch(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for i in range(12):
        write_picture(folder, f"photo{i:02d}", i, mask=i < 5)
    words = {
        "network__architecture": "deeplabv2", "network__batch_norm": "frozen", "method__augment__weak": "none",
        "training__batch_size": 4, "training__learning_rate": 0.001,
    }  # fmt: skip

    def trained(world: int) -> dict[str, dict[str, Tensor]]:
        files = []
        for name in TERMS:
            files.append(tmp_path / f"{name}-{world}.yaml")
            small(folder, tmp_path / str(world) / name, name, **words).save(files[-1])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, (installed, ROOT / "src"))), "OMP_NUM_THREADS": "1",
            "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
        command = [sys.executable, str(ROOT / "tests" / "own_methods_worker.py"), *map(str, files)]
        workers = [
            subprocess.Popen(
                command,
                env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(world)
        ]
        for worker in workers:
            _, error = worker.communicate(timeout=240)
            assert worker.returncode == 0, error
        return {name: weights(tmp_path / str(world) / name) for name in TERMS}

    alone, pair = trained(1), trained(2)
    for name in TERMS:
        assert alone[name].keys() == pair[name].keys()
        for key, value in alone[name].items():
            torch.testing.assert_close(pair[name][key], value, rtol=1e-6, atol=1e-9, msg=f"{name}: {key}")
    one, two = (StoredLabels(tmp_path / str(w) / "two_rounds" / "pseudo_labels" / "round_1") for w in (1, 2))
    assert one.indices() == two.indices()
    for index in one.indices():
        assert (one.read(index)[0] == two.read(index)[0]).mean() > 0.999


def test_a_run_whose_method_is_gone_says_so_and_others_load_without_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(small(folder, tmp_path / "own", "two_students"), progress=False)
    train(small(folder, tmp_path / "shipped", "supervised", method__two_students__weight=1.5), progress=False)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    forget()
    with pytest.raises(UsageError, match=r"no such method.*'two_students'") as caught:
        checkpoint.load_model(tmp_path / "own")
    assert "\n" not in str(caught.value)
    assert checkpoint.load_model(tmp_path / "shipped").config.method.name == "supervised"


def test_a_package_that_cannot_be_imported_is_named(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "own_methods.adversary", None)
    with pytest.raises(SemisegError, match=r"'adversary' of semiseg\.methods comes from the package own-methods"):
        method_class("adversary")


def test_the_guide_shows_the_file_as_it_is() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = guide.split("```python\n", 1)[1].split("```", 1)[0]
    assert shown.strip() == (PACKAGE / "own_methods" / "two_rounds.py").read_text(encoding="utf-8").strip()
    for name in TERMS:
        assert f"`{name}`" in guide
