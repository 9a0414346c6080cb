"""The cells of the paper's tables, and the configuration of each run at both scales."""

import pytest

from semiseg.errors import UsageError
from semiseg.experiments.agreement import as_markdown
from semiseg.experiments.paper_tables import cells, configuration, preview, table_number
from semiseg.experiments.published import PUBLISHED
from semiseg.presets import list_presets


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
        assert mini.method.name == full.method.name
        assert mini.method.settings.weights == full.method.settings.weights
        if row["system"]:  # a short schedule has one set of conditions for all
            assert mini.method.profile == "equal"
            continue
        assert mini.method.class_balance == full.method.class_balance
        for switch in ("bank_size", "teacher_features", "attention", "quality_filter"):
            assert getattr(mini.method.settings.contrastive, switch) == getattr(
                full.method.settings.contrastive, switch
            )


def test_mini_scale_keeps_the_schedule_of_its_preset_and_takes_overrides_last() -> None:
    camvid = configuration("table5_sup", 0, "mini", "camvid", ["training.iterations=7"])
    assert camvid.data.dataset == "camvid" and camvid.training.iterations == 7
    assert camvid.training.optimizer == "adamw" and camvid.method.teacher.ramp
    with pytest.raises(UsageError, match="table4_adapted_30 needs a source domain, which camvid lacks"):
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


def test_a_list_for_each_seed() -> None:
    one, two = (configuration("table5_sup", s, overrides=["data.labelled_list=s_{seed}.pkl"]) for s in (0, 2))
    assert (one.data.labelled_list, two.data.labelled_list) == ("s_0.pkl", "s_2.pkl")


def test_the_compared_systems_are_rows_of_the_table_and_run_when_asked_for() -> None:
    own, whole = cells("table2"), cells("table2", compared=True)
    assert len(own) == 12 and len(whole) == 12 + 24 and {c.system for c in own} == {""}
    assert [c.preset for c in cells("table2", ["table2_dmt_8"])] == ["table2_dmt_8"]
    table = as_markdown(whole, [], published=PUBLISHED["2"])
    assert "| table2_classmix_8 | Cityscapes, 1/8 labelled, DeepLabv2-ResNet-101, COCO: ClassMix (Olsson" in table
    published = [line for line in table.splitlines() if "published only" in line]
    assert len(published) == 3 and "Error-correcting" in published[0] and "| 67.4 | 0 | – |" in published[0]
    assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) == 1
    assert "is the paper's own table" in table
    assert [len(rows) for rows in PUBLISHED.values()] == [3, 2, 8] and len(cells("table5", compared=True)) == 8
    assert "table2_cutmix_30" in preview("table2", "full", "toy_streets", [0], [], compared=True)
    assert "cutmix" not in preview("table2", "full", "toy_streets", [0], [])
