"""A table of the paper by one command: what runs, what is kept, what is said."""

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from semiseg.cli import app
from semiseg.errors import SemisegError, UsageError
from semiseg.experiments import reproduce as tables
from semiseg.experiments import results as experiments
from semiseg.experiments.reproduce import Cell, cells, configuration, order_agreement, report, reproduce, table_number
from semiseg.presets import list_presets

TINY = [
    "data.options.train=60", "data.options.val=2", "data.options.size=[32, 48]", "data.crop=32",
    "training.iterations=2", "training.batch_size=2", "training.device=cpu", "network.pretrained=none",
    "network.backbone=resnet18", "network.decoder_channels=16", "method.contrastive.dim=16",
    "method.contrastive.bank_size=8",
]  # fmt: skip
TELLING = " ".join(word for word in TINY if "device" not in word)  # where a run computes is not part of what it is


def test_every_cell_of_every_table_is_configured_at_both_scales() -> None:
    for row in list_presets():
        if row["table"] is None:
            continue
        full, mini = configuration(row["name"], 2), configuration(row["name"], 2, "mini")
        assert full.data.split_seed == full.training.seed == mini.training.seed == 2
        assert mini.data.dataset == "toy_streets" and mini.training.iterations < 1000
        assert (mini.network.backbone, mini.network.pretrained) == ("efficientnet_lite0", "imagenet")
        for key in ("architecture",):
            assert getattr(mini.network, key) == getattr(full.network, key)
        assert mini.data.labelled == full.data.labelled
        assert (mini.data.source.dataset is None) == (full.data.source.dataset is None)
        assert mini.method.weights == full.method.weights
        assert mini.method.class_balance == full.method.class_balance
        for switch in ("bank_size", "teacher_features", "attention", "quality_filter"):
            assert getattr(mini.method.contrastive, switch) == getattr(full.method.contrastive, switch)


def test_mini_scale_keeps_the_schedule_of_its_preset_and_takes_overrides_last() -> None:
    camvid = configuration("table5_sup", 0, "mini", "camvid", ["training.iterations=7"])
    assert camvid.data.dataset == "camvid" and camvid.training.iterations == 7
    assert camvid.training.optimizer == "adamw" and camvid.method.teacher.ramp
    with pytest.raises(UsageError, match="table4_adapted_30 needs a source domain, which camvid has not"):
        configuration("table4_adapted_30", 0, "mini", "camvid")
    with pytest.raises(UsageError, match="choose one of toy_streets, camvid"):
        configuration("table5_sup", 0, "mini", "cityscapes")


def test_names_of_tables_and_presets() -> None:
    assert table_number("table5") == table_number("Table 5") == table_number("5") == "5"
    with pytest.raises(UsageError, match="no table 'tabel5'; did you mean 'table5'"):
        table_number("tabel5")
    assert [c.preset for c in cells("table7")] == [f"table7_bank_{n}" for n in (32, 64, 128, 512, 256)]
    assert [c.paper for c in cells("5", ["table5_all", "table5_sup"])] == [49.5, 59.4]
    with pytest.raises(UsageError, match="table 5 has no preset 'table5_al'; did you mean 'table5_all'"):
        cells("5", ["table5_al"])


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
    real = tables.run_once

    def counted(path: Path, key: dict[str, object], *rest: object, **more: object) -> object:
        calls.append((str(key["preset"]), int(str(key["split_seed"]))))
        if key == {"preset": "table5_sup", "split_seed": 1, "overrides": TELLING}:
            raise SemisegError("loss became NaN")
        return real(path, key, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(tables, "run_once", counted)
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
    def done(path: Path, key: dict[str, object], config: object, command: str, keep: bool) -> None:
        kept.append(keep)
        experiments._append(path, key | {"miou_last": 50.0, "miou_best": 51.0})

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
    planned = tables.plan("table2", "full", "toy_streets", [0], ["table2_v2_coco_30", "table2_v2_coco_4"], words)
    assert planned.count("own.pth") == 2
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="not by torchrun"):
        reproduce("table5", output=tmp_path)


def test_a_list_for_each_seed() -> None:
    one, two = (configuration("table5_sup", s, overrides=["data.labelled_list=s_{seed}.pkl"]) for s in (0, 2))
    assert (one.data.labelled_list, two.data.labelled_list) == ("s_0.pkl", "s_2.pkl")


def test_report_gives_mean_spread_difference_and_order() -> None:
    chosen = [Cell("low", "a", 50.0), Cell("high", "b", 60.0), Cell("none", "c", 70.0)]
    rows = [{"preset": p, "miou_last": m, "miou_best": m + 1} for p, m in (("low", 48), ("low", 52), ("high", 49))]
    text = report(chosen, rows)
    assert "| low | a | 50.0 | 2 | 50.0 ± 2.8 | 51.0 ± 2.8 | +0.0 |" in text
    assert "| high | b | 60.0 | 1 | 49.0 | 50.0 | -11.0 |" in text
    assert "| none | c | 70.0 | 0 | – | – | – |" in text
    assert "0 of 1 orderings of the paper hold." in text and "- not: low < high" in text


def test_order_agreement_leaves_out_ties_of_the_paper_and_cells_without_runs() -> None:
    chosen = [Cell("a", "", 1.0), Cell("b", "", 2.0), Cell("c", "", 2.0), Cell("d", "", 3.0)]
    assert order_agreement(chosen, {"a": [5.0], "b": [6.0], "c": [4.0], "d": []}) == (1, 2, [("a", "c")])


def test_cells_with_one_run_between_them_are_no_ordering() -> None:
    chosen = [Cell("imagenet", "a", 50.0), Cell("coco", "b", 60.0), Cell("other", "c", 70.0)]
    rows: list[dict[str, object]] = [
        {"preset": p, "miou_last": m, "miou_best": m} for p, m in (("imagenet", 40.0), ("other", 41.0))
    ]
    rows.append(rows[0] | {"preset": "coco", "same_run_as": "imagenet"})
    text = report(chosen, rows, "mini")
    assert "| coco | b (the run of imagenet) | 60.0 |" in text and "2 of 2 orderings" in text


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
