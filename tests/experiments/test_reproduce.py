"""A table of the paper by one command: what runs, what is kept, what is said."""

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.errors import SemisegError, UsageError
from semiseg.experiments import reproduce as module
from semiseg.experiments import results as experiments
from semiseg.experiments.paper_tables import preview
from semiseg.experiments.reproduce import reproduce

TINY = [
    "data.options.train=60", "data.options.val=2", "data.options.size=[32, 48]", "data.crop=32",
    "training.iterations=2", "training.batch_size=2", "training.device=cpu", "network.pretrained=none",
    "network.backbone=resnet18", "network.decoder_channels=16", "method.contrastive.dim=16",
    "method.contrastive.bank_size=8",
]  # fmt: skip
TELLING = " ".join(word for word in TINY if "device" not in word)  # where a run computes is not part of what it is


def test_a_table_runs_what_is_missing_and_says_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only = ["table5_sup", "table5_all"]
    first = reproduce("table5", scale="mini", seeds=[0], only=only, output=tmp_path, overrides=TINY)
    assert first.failed == [] and len(first.rows) == 2
    saved = json.loads((tmp_path / "table5_mini_toy_streets.json").read_text())
    assert saved == first.rows and all(row["iterations"] == 2 for row in saved)
    words = shlex.split(saved[0]["command"])
    options = ["--scale", "mini", "--data", "toy_streets", "--seeds", "0", "--only", "table5_sup"]
    assert words == ["semiseg", "reproduce", "table5", *TINY, *options]
    planned = CliRunner().invoke(app, [*words[1:], "--dry-run"])
    assert planned.exit_code == 0 and "2 steps of 2, seeds 0" in planned.output
    assert not any((tmp_path / "runs").rglob("*.pt"))
    table = (tmp_path / "table5_mini_toy_streets.md").read_text()
    assert "for the order only" in table and "difference" not in table and "of 1 orderings of the paper" in table

    # Table 7 with 256 vectors is Table 5's last row: its run is taken over; Table 6's λ is another.
    other = reproduce("table7", scale="mini", seeds=[0], only=["table7_bank_256"], output=tmp_path, overrides=TINY)
    assert other.rows == [saved[1] | {"preset": "table7_bank_256", "same_run_as": "table5_all"}]
    another = reproduce("table6", scale="mini", seeds=[0], only=["table6_lambda_1"], output=tmp_path, overrides=TINY)
    assert "same_run_as" not in another.rows[0]

    # Again, with one more seed: only that is run, and a failure does not stop the next run.
    calls: list[tuple[str, int]] = []
    real = module.run_once

    def counted(path: Path, key: dict[str, object], *rest: object, **more: object) -> object:
        calls.append((str(key["preset"]), int(str(key["split_seed"]))))
        if key == {"preset": "table5_sup", "split_seed": 1, "overrides": TELLING}:
            raise SemisegError("loss became NaN")
        return real(path, key, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "run_once", counted)
    second = reproduce("table5", scale="mini", seeds=[0, 1], only=only, output=tmp_path, overrides=TINY)
    assert len(calls) == 4 and len(second.rows) == 3
    assert second.failed == [("table5_sup", 1, "loss became NaN")]
    calls.clear()
    monkeypatch.setattr(experiments, "_run", lambda path, key, *rest: calls.append((key["preset"], key["split_seed"])))
    without = reproduce("table5", scale="mini", seeds=[0], only=only, output=tmp_path)
    assert without.rows == [] and len(calls) == 4  # other overrides are other runs: not there yet, so they are started


def test_full_scale_keeps_its_runs_and_a_part_of_a_table_does_not_replace_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def done(path: Path, key: dict[str, object], config: object, command: str, keep: bool, columns: object) -> None:
        kept.append(keep)
        experiments.append(path, key | {"miou_last": 50.0, "miou_best": 51.0})

    kept: list[bool] = []
    monkeypatch.setattr(experiments, "_run", done)
    words = ["data.root=nowhere"]
    reproduce("table5", seeds=[0], only=["table5_sup"], output=tmp_path, overrides=words)
    reproduce("table5", seeds=[0], only=["table5_all"], output=tmp_path, overrides=words, keep=False)
    reproduce("table5", scale="mini", seeds=[0], only=["table5_all"], output=tmp_path)
    assert kept == [True, False, False]
    written = (tmp_path / "table5.md").read_text()
    assert len([line for line in written.splitlines() if line.startswith(("| table5_sup |", "| table5_all |"))]) == 2
    assert "| 49.5 | 1 | 50.0 | 51.0 | +0.5 |" in written
    printed = reproduce("table5", seeds=[0], only=["table5_all"], output=tmp_path, overrides=words).table
    assert "table5_sup" not in printed and (tmp_path / "table5.md").read_text() == written


def test_a_device_in_trouble_does_not_stop_the_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def out_of_memory(*words: object) -> None:
        raise RuntimeError("CUDA out of memory.\nDetails")

    monkeypatch.setattr(experiments, "_run", out_of_memory)
    only = ["table5_sup", "table5_all"]
    outcome = reproduce("table5", seeds=[0], only=only, output=tmp_path, overrides=["data.root=nowhere"])
    assert outcome.failed == [(name, 0, "CUDA out of memory.") for name in only]
    assert capsys.readouterr().err.count("Traceback") == 2


def test_torchrun_and_one_file_for_rows_of_different_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"network.pretrained={tmp_path / 'own.pth'}"]
    with pytest.raises(UsageError, match=r"different weights \(imagenet: .*table2_v2_imagenet_30.*; coco: .*--only"):
        reproduce("table2", output=tmp_path, overrides=words)
    planned = preview("table2", "full", "toy_streets", [0], ["table2_v2_coco_30", "table2_v2_coco_4"], words)
    assert planned.count("own.pth") == 2
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="not by torchrun"):
        reproduce("table5", output=tmp_path)


def test_the_command_plans_and_refuses() -> None:
    run = CliRunner().invoke
    planned = run(app, ["reproduce", "table6", "--dry-run"])
    assert planned.exit_code == 0 and len(planned.output.splitlines()) == 7
    assert "cityscapes 1/30, deeplabv2 resnet101 (coco), 150000 steps of 5, seeds 0, 1, 2" in planned.output
    for words, said in (
        (["table1"], "no table 'table1'"), (["table5", "--scale", "tiny"], "choose full or mini"),
        (["table5", "--seeds", "a"], "is no list of whole numbers"),
        (["table5", "training.iteration=3"], "did you mean 'training.iterations'"),
        (["table5", "training.iteration=3", "--dry-run"], "did you mean 'training.iterations'"),
    ):  # fmt: skip
        refused = run(app, ["reproduce", *words])
        assert refused.exit_code == 2 and said in refused.output, refused.output
