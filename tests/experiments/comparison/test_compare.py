"""``semiseg compare``: which runs there are, that they are equal, what is resumed, and what is written."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import HANGS, write_picture
from typer.testing import CliRunner

from semiseg import Config
from semiseg.cli import app
from semiseg.errors import SemisegError, UsageError
from semiseg.experiments.comparison import compare as module
from semiseg.experiments.comparison.compare import compare
from semiseg.experiments.comparison.data import Data
from semiseg.experiments.comparison.runs import Comparison

TINY = (
    "data.options.train=14", "data.options.val=2", "data.options.size=[32, 48]", "data.crop=32", "data.workers=0",
    "network.backbone=small", "network.pretrained=none", "network.decoder_channels=8", "training.iterations=2",
    "training.batch_size=2", "training.device=cpu", "training.tensorboard=false",
)  # fmt: skip


def tiny(output: Path, **more: Any) -> module.Compared:
    given: dict[str, Any] = {"labelled": [3, 6], "seeds": [1, 2], "overrides": TINY} | more
    return compare("toy_streets", ["mean_teacher"], output=output, **given)


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["method"], row["equal"], row["labelled"], row["split_seed"], row["iterations"]


def test_profiles_stand_beside_each_other_in_one_folder(tmp_path: Path) -> None:
    given: dict[str, Any] = {"labelled": [3], "seeds": [1], "equal": ["steps"]}
    assert "method.profile=paper" not in tiny(tmp_path, **given).page.read_text(encoding="utf-8")
    compared = tiny(tmp_path, profile="paper", **given)
    rows = {row["words"]: row for row in compared.rows if row["equal"] == "steps" and row["method"] == "mean_teacher"}
    assert rows.keys() == {None, "method.profile=paper"}
    assert "method.profile" not in rows[None]["command"]
    command = rows["method.profile=paper"]["command"]
    assert "method.profile=paper method.class_balance.enabled=false" in command
    words = shlex.split(command)[3:]
    settings = str(tmp_path / "settings.yaml")
    equal, paper = Config.load(settings, ["method.name=mean_teacher"]), Config.load(settings, words)
    assert (equal.method.profile, equal.method.class_balance.enabled, equal.method.augment.weak) == (
        "equal",
        True,
        "paper",
    )
    assert (paper.method.class_balance.enabled, paper.method.augment.weak) == (False, "flip")
    assert paper.method.teacher.half_life == 0.02, "what the preset sets by hand stays"
    page = compared.page.read_text(encoding="utf-8")
    assert "under the profile equal" in page and "Rows with method.profile=paper have" in page
    assert "under the profile equal" in compared.table
    with pytest.raises(UsageError, match="profile 'own': choose from equal, paper"):
        tiny(tmp_path, profile="own", **given)
    with pytest.raises(UsageError, match="exclude each other"):
        tiny(tmp_path / "two", profile="paper", **given | {"overrides": [*TINY, "method.profile=reference"]})


def test_a_comparison_of_an_earlier_version_goes_on_as_it_began(tmp_path: Path) -> None:
    given: dict[str, Any] = {"labelled": [3], "seeds": [1], "equal": ["steps"]}
    done = tiny(tmp_path, **given)
    path = tmp_path / "settings.yaml"
    path.write_text(path.read_text().replace("profile: equal", "profile: paper"))
    assert Config.load(path).method.augseg.pseudo.colours == "random"
    assert tiny(tmp_path, **given).rows == done.rows


def test_a_method_stands_beside_supervised_at_every_budget_and_nothing_runs_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compared = tiny(tmp_path)
    expected = {
        (method, equal, labelled, seed, 2)
        for method, equal in (("mean_teacher", "steps"), ("supervised", "steps"), ("supervised", "crops"))
        for labelled in (3, 6) for seed in (1, 2)
    }  # fmt: skip
    runs = [row for row in compared.rows if row["equal"] != "step_time"]
    assert sorted(map(key, runs)) == sorted(expected) and not compared.failed
    crops = {(row["method"], row["equal"]): (row["labelled_crops"], row["unlabelled_crops"]) for row in runs}
    assert crops == {
        ("mean_teacher", "steps"): (4, 4), ("supervised", "steps"): (4, 0), ("supervised", "crops"): (8, 0)
    }  # fmt: skip
    flops = {(row["method"], row["equal"]): row["flops"] for row in runs}
    assert flops["supervised", "crops"] == 2 * flops["supervised", "steps"] < flops["mean_teacher", "steps"]
    assert all(row["memory_bytes"] > 0 for row in runs)
    measured = [(row["peak_memory_bytes"], row["memory_bytes"]) for row in runs if row["peak_memory_bytes"] is not None]
    assert all(peak > counted for peak, counted in measured), "the process holds more than a step"

    page = compared.page.read_text(encoding="utf-8")
    for words in ("toy_streets, 3 masks, 2 steps", "toy_streets, 6 masks, 2 steps", "ten masks more than 6"):
        assert words in page
    assert compared.table == (tmp_path / "compare.md").read_text(encoding="utf-8").rstrip("\n")
    assert "| mean_teacher | crops | 2 |" in compared.table

    assert not capsys.readouterr().out  # which --json fills with one document
    monkeypatch.setattr("semiseg.experiments.results._run", lambda *words: pytest.fail("trained again"))
    assert tiny(tmp_path).rows == compared.rows
    command = next(row["command"] for row in runs if row["equal"] == "crops" and row["split_seed"] == 2)
    assert len({row["command"].partition(" run_dir=")[2] for row in runs}) == len(runs), "none meets another's folder"
    assert command.startswith(f"semiseg train {tmp_path}/settings.yaml ") and "training.batch_size=4" in command


def test_a_folder_has_its_settings_derived_once_for_all(folder: Path, tmp_path: Path) -> None:
    words = ["network.backbone=small", "network.pretrained=none", "training.iterations=2", "data.workers=0",
             "training.device=cpu", "data.crop=32", "training.batch_size=2"]  # fmt: skip
    compared = compare(
        folder, ["mean_teacher", "cutmix"], seeds=[1], equal=["crops"], overrides=words, output=tmp_path / "c"
    )
    methods = sorted((row["method"], row["equal"]) for row in compared.rows if row["equal"] != "step_time")
    assert methods == [("cutmix", "steps"), ("mean_teacher", "steps"), ("supervised", "crops")]
    assert (tmp_path / "c" / "settings.yaml").is_file() and not compared.failed


def test_a_run_that_fails_is_told_and_the_others_still_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from semiseg.experiments.comparison import runs

    once = runs.run_once

    def fails(results: Path, which: dict[str, Any], *words: Any, **more: Any) -> Any:
        if which["method"] == "mean_teacher" and which["split_seed"] == 1:
            raise SemisegError("no space left")
        return once(results, which, *words, **more)

    monkeypatch.setattr(runs, "run_once", fails)
    compared = tiny(tmp_path, labelled=[3])
    assert compared.failed == [("mean_teacher, 3 masks, split 1, equal steps", "no space left")]
    assert len([row for row in compared.rows if row["equal"] != "step_time"]) == 5
    assert "| mean_teacher | steps | 1 |" in compared.table


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": ["mean_teachr"]}, r"no method 'mean_teachr'; did you mean 'mean_teacher'"),
        ({"methods": ["supervised"]}, "nothing to compare with supervised; give --methods"),
        ({"equal": ["time"]}, "equal 'time': choose from steps, crops, seconds"),
        ({"labelled": ["few"]}, "labelled 'few': give numbers of images, or all"),
        ({"labelled": ["²"]}, "labelled '²': give numbers of images, or all"),
        ({"seeds": []}, "at least one seed"),
        ({"labelled": ["3", "500"]}, "--labelled 500: 240 training images have a mask; give numbers from 1 to 240"),
        ({"labelled": [0]}, "--labelled 0: 240 training images have a mask"),
        ({"overrides": ["training.iterations=0"]}, "training.iterations"),
    ],
)
def test_misuse_is_one_line_before_anything_runs(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"methods": ["mean_teacher"], "output": tmp_path / "c"} | changes
    with pytest.raises(UsageError, match=said):
        compare("toy_streets", **given)
    assert not (tmp_path / "c").exists()


def test_what_failed_is_not_tried_again_by_another_process_of_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semiseg.experiments.comparison import runs

    tried: list[str] = []

    def fails(results: Path, which: dict[str, Any], *words: Any, **more: Any) -> None:
        tried.append(which["method"])
        raise SemisegError("no space left")

    monkeypatch.setattr(runs, "run_once", fails)
    for number in range(2):
        comparison = Comparison(
            "toy", Data("toy_streets", 2, ("3",), TINY), tmp_path / "r.json", tmp_path, None, None,
            failures=tmp_path / "failures.json",
        )  # fmt: skip
        comparison.run("steps", "mean_teacher", "3", 1, 2, None)
        assert comparison.failed == [("mean_teacher, 3 masks, split 1, equal steps", "no space left")], number
    assert tried == ["mean_teacher"]
    tiny(tmp_path / "c", labelled=[3], seeds=[1])
    again = len(tried)
    tiny(tmp_path / "c", labelled=[3], seeds=[1])  # a later call tries once more
    assert len(tried) == 2 * again - 1


def test_words_that_change_no_result_count_in_a_later_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Request, "run", lambda self: [])
    tiny(tmp_path)
    tiny(tmp_path, overrides=(*TINY, "training.log_every=3", "data.workers=1"))
    stored = Config.load(tmp_path / "settings.yaml")
    assert (stored.training.log_every, stored.data.workers) == (3, 1)
    assert (stored.training.iterations, stored.method.name) == (2, "mean_teacher")
    tiny(tmp_path)  # what is given counts, here data.workers=0
    stored = Config.load(tmp_path / "settings.yaml")
    assert (stored.training.log_every, stored.data.workers) == (3, 0)


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Request, "run", lambda self: [])
    tiny(tmp_path)
    compare("toy_streets", ["cutmix"], output=tmp_path, overrides=TINY)  # another method is no other setting
    with pytest.raises(UsageError, match=r"other settings \(training\.learning_rate\)"):
        tiny(tmp_path, overrides=(*TINY, "training.learning_rate=0.5"))
    with pytest.raises(UsageError, match=r"other settings \(method\.cutmix\.weights\.pseudo\)"):  # of any method
        tiny(tmp_path, overrides=(*TINY, "method.cutmix.weights.pseudo=2"))


def test_a_folder_is_the_same_however_it_is_written_and_whichever_method_comes_first(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(module.Request, "run", lambda self: seen.append(self.comparison().name) or [])
    words = ["training.device=cpu", "network.backbone=small", "network.pretrained=none"]
    for source, method in ((folder, "supervised"), (folder / ".." / folder.name, "unimatch"), (f"{folder}/", "cutmix")):
        compare(source, [method, "mean_teacher"], overrides=words, output=tmp_path / "c")
    assert seen == [str(folder)] * 3
    other = shutil.copytree(folder, tmp_path / "other")
    with pytest.raises(UsageError, match=r"other settings \(data\.root\)"):
        compare(other, ["mean_teacher"], overrides=words, output=tmp_path / "c")


def test_commands_of_rows_run_from_any_folder_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(8):
        write_picture(Path("-photos #2: it's"), f"photo{i}", i, mask=i < 5)
    words = ["network.backbone=small", "network.pretrained=none", "training.iterations=2", "data.workers=0",
             "training.device=cpu", "data.crop=32", "training.batch_size=2"]  # fmt: skip
    given = {"seeds": [1], "equal": ["seconds"], "overrides": words, "output": "-out #2: it's"}
    compared = compare("-photos #2: it's", ["mean_teacher"], **given)
    assert not compared.failed and not list((tmp_path / "-out #2: it's" / "runs").glob("*/checkpoints"))
    assert sorted(row["equal"] for row in compared.rows) == ["seconds", "step_time", "steps"]
    for row in compared.rows:
        result = CliRunner().invoke(app, shlex.split(row["command"])[1:])
        assert result.exit_code == 0, (row["command"], result.output)
        assert (f"last {row['miou_last']:.2f}" if "miou_last" in row else "Also as a page") in result.stdout


def test_a_data_set_with_a_long_path_has_a_file_of_its_own_for_a_state(tmp_path: Path) -> None:
    names = ["/".join(["photos" * 30] * 3) + end for end in ("/a", "/b")]
    data = Data("toy_streets", 2, ("3",), TINY)
    kept = [Comparison(n, data, tmp_path / "r.json", tmp_path, None, None).state("mean_teacher") for n in names]
    assert len(set(kept)) == 2 and all(len(path.name) < 100 and path.parent == tmp_path for path in kept)


def test_parts_of_a_step_are_counted_once(tmp_path: Path) -> None:
    compared = tiny(tmp_path, labelled=[3], seeds=[1], overrides=(*TINY, "training.accumulation=2"))
    runs = [row for row in compared.rows if row["equal"] != "step_time"]
    crops = {(row["method"], row["equal"]): (row["labelled_crops"], row["unlabelled_crops"]) for row in runs}
    assert crops == {
        ("mean_teacher", "steps"): (8, 8), ("supervised", "steps"): (8, 0), ("supervised", "crops"): (16, 0)
    }  # fmt: skip
    assert "| mean_teacher | crops | 1 |" in compared.table


def test_a_damaged_result_file_is_told_in_a_line(tmp_path: Path) -> None:
    for text in ('[{"method": "fixm', "{}", "[1]"):
        (tmp_path / "compare.json").write_text(text)
        with pytest.raises(SemisegError, match=r"compare\.json is damaged .*; restore it, or move it away"):
            tiny(tmp_path)
        assert (tmp_path / "compare.json").read_text() == text


def test_a_signal_ends_the_runs_side_by_side_as_well(tmp_path: Path) -> None:
    command = ["compare", "toy_streets", *TINY, "network.backbone=resnet18", "training.iterations=100000"]
    command += ["--methods", "mean_teacher", "--labelled", "3", "--jobs", "2", "--output", str(tmp_path)]
    started = subprocess.Popen([sys.executable, "-m", "semiseg", *command], stderr=subprocess.PIPE, text=True)
    logs = tmp_path / "runs"
    ends = time.monotonic() + HANGS
    while len(holders := list(logs.glob("*/lock.json"))) < 2 and time.monotonic() < ends:
        time.sleep(0.1)
    others = [json.loads(holder.read_text())["pid"] for holder in holders]
    started.send_signal(signal.SIGTERM)
    assert "SIGTERM" in started.communicate(timeout=HANGS)[1] and started.returncode == 128 + signal.SIGTERM
    assert len(others) == 2 and not any(Path(f"/proc/{other}").exists() for other in others)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def watched(source: str, methods: list[str], **more: Any) -> module.Compared:
        seen.update(more, source=source, methods=methods)
        return module.Compared([{"method": "cutmix"}], "table", tmp_path / "page.html", [("a run", "it broke")])

    monkeypatch.setattr(module, "compare", watched)
    words = ["compare", "toy_streets", "training.iterations=9", "--methods", "cutmix, fixmatch", "--labelled", "3,all"]
    result = CliRunner().invoke(app, [*words, "--seeds", "4", "--equal", "seconds", "--jobs", "2", "--json"])
    assert result.exit_code == 1 and "a run failed: it broke" in result.output
    assert json.loads(result.stdout[: result.stdout.rindex("}") + 1])["rows"] == [{"method": "cutmix"}]
    assert seen["methods"] == ["cutmix", "fixmatch"] and seen["labelled"] == ["3", "all"] and seen["seeds"] == [4]
    assert seen["equal"] == ["seconds"] and seen["jobs"] == 2 and seen["overrides"] == ["training.iterations=9"]
    assert CliRunner().invoke(app, ["compare", "toy_streets", "--seeds", "x"]).exit_code == 2


def test_added_batches_cost_what_one_batch_of_as_many_crops_costs(tmp_path: Path) -> None:
    found = []
    for batch, accumulation in ((4, 1), (2, 2)):
        words = (*TINY, f"training.batch_size={batch}", f"training.accumulation={accumulation}")
        comparison = Comparison("toy", Data("toy_streets", 2, ("3",), words), tmp_path / "r.json", tmp_path, None, None)
        config, count = comparison.config("mean_teacher", "3", 1), comparison.count("mean_teacher", "3")
        found.append(comparison.cost(config, 2, count))
    whole, added = found
    assert {key: whole[key] for key in ("labelled_crops", "unlabelled_crops", "flops")} == {
        key: added[key] for key in ("labelled_crops", "unlabelled_crops", "flops")
    }
    assert added["memory_bytes"] < whole["memory_bytes"]
