"""Every preset: readable, complete, and run for two steps on a miniature of its data."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from miniatures import write_cityscapes, write_gta5, write_voc
from PIL import Image

import semiseg
from semiseg.config.keys import used_fields
from semiseg.config.read import Config, fields
from semiseg.data.datasets import DATASETS
from semiseg.errors import UsageError
from semiseg.networks.build import ARCHITECTURES, BACKBONES
from semiseg.presets import list_presets, merged, preset_names, preset_path, read_plain, read_yaml
from semiseg.runs.metrics import read_metrics


def miniature(dataset: str, folder: Path, tmp_path: Path) -> list[str]:
    """Words that put a few small images in the place of a preset's data."""
    if dataset == "toy_streets":
        return ["data.options.train=6", "data.options.val=2", "data.options.size=[32, 48]", "data.labelled=3"]
    if dataset == "folder":
        return [f"data.root={folder}", "data.labelled=3"]
    if dataset == "cityscapes":
        write_cityscapes(tmp_path / "cityscapes", size=(32, 64))
        write_gta5(tmp_path / "gta5")
        return [f"data.root={tmp_path / 'cityscapes'}", "data.resize=[32, 64]", "data.labelled=2",
                f"data.source.root={tmp_path / 'gta5'}", "data.source.resize=[32, 64]"]  # fmt: skip
    if dataset == "voc":
        return [f"data.root={write_voc(tmp_path / 'voc')}", "data.labelled=2", "data.resize=[32, 48]"]
    assert dataset == "camvid", f"give a miniature of {dataset}"
    rng = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2)):
        for i in range(count):
            for name, shape, highest in ((split, (36, 48, 3), 256), (f"{split}annot", (36, 48), 12)):
                (tmp_path / "camvid" / name).mkdir(parents=True, exist_ok=True)
                picture = Image.fromarray(rng.integers(0, highest, shape).astype(np.uint8))
                picture.save(tmp_path / "camvid" / name / f"seq_{i}.png")
    return [f"data.root={tmp_path / 'camvid'}", "data.labelled=3", "data.resize=[36, 48]"]


COMPARED = {row["name"] for row in list_presets() if row["system"]}
"""Cells of systems that the paper compares itself with."""
BY_SYSTEM = {(read_plain(preset_path(name))["extends"]): name for name in sorted(COMPARED)}
"""One of each set of shared settings: they differ in the number of labelled images alone."""


@pytest.mark.parametrize("name", [n for n in preset_names() if n not in COMPARED or n in BY_SYSTEM.values()])
def test_every_preset_trains(name: str, folder: Path, tmp_path: Path) -> None:
    words = [
        *miniature(Config.load(name).data.dataset, folder, tmp_path), f"run_dir={tmp_path / 'run'}", "data.crop=32",
        "data.workers=0", "network.pretrained=none", "network.decoder_channels=16", "training.iterations=2",
        "training.batch_size=2", "training.device=cpu", "training.tensorboard=false", "method.warmup=0.5",
        "method.contrastive.bank_size=8", "method.contrastive.dim=16", "training.log_every=1",
    ]  # fmt: skip
    if "table8" not in name:  # an untrained teacher is right and sure of nothing: the bank would stay empty
        words.append("method.contrastive.quality_filter=false")
    if Config.load(name).network.backbone != "efficientnet_lite0":  # hundreds of megabytes a checkpoint
        words += ["network.backbone=small", "network.output_stride=16"]
    result = semiseg.train(name, words, progress=False)
    assert 0 <= result.last_miou <= result.best_miou <= 100
    if name in COMPARED:
        rows = [row for row in read_metrics(tmp_path / "run") if row["kind"] == "train"]
        assert len(rows) == 2 and all(math.isfinite(row["loss"]) for row in rows)
        return
    method = Config.load(name, words).method
    first, second = (row for row in read_metrics(tmp_path / "run") if row["kind"] == "train")
    assert math.isfinite(second["loss"]) and first["pseudo"] == 0
    weights = method.settings.weights
    if method.name == "memory_bank":
        fills = weights.contrastive > 0 and not method.settings.contrastive.quality_filter
        assert (second["pseudo"] > 0, second["entropy"] > 0) == (
            weights.pseudo > 0,
            weights.entropy > 0,
        )  # what is read
        assert (second["contrastive"] > 0) is (second["bank_filled"] > 0) is fills
        assert first["contrastive"] == 0, "the warm-up"
    else:
        assert method.name == "fixmatch" and second["confident"] >= 0 and weights.pseudo == 1
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["title"] == Config.load(name).title


@pytest.mark.parametrize("name", preset_names())
def test_presets_name_parts_that_exist_and_a_schedule_that_is_reached(name: str) -> None:
    config = Config.load(name)
    assert config.data.dataset in DATASETS
    assert config.network.architecture in ARCHITECTURES and config.network.backbone in BACKBONES
    t = config.training
    assert max(t.validate_every, t.checkpoint_every) <= t.iterations
    assert config.method.warmup * t.iterations < t.iterations and (name in COMPARED or config.method.warmup > 0)
    assert t.precision == "fp32"
    text = preset_path(name).read_text(encoding="utf-8")
    if config.table:
        text += (preset_path(name).parent / "shared" / f"{yaml.safe_load(text)['extends']}.yaml").read_text("utf-8")
    assert text.endswith("\n") and "\t" not in text and max(map(len, text.splitlines())) <= 120
    assert not re.search(r"(^|[\s:\[{,])[~/]\S", text), "a preset holds no path of its author's machine"


def test_runs_of_different_presets_do_not_share_a_folder() -> None:
    folders = [Config.load(name).run_dir for name in preset_names()]
    assert len(set(folders)) == len(folders)


def test_the_list_has_a_row_a_preset_with_the_figures_as_in_the_files() -> None:
    rows = list_presets()
    assert sorted(row["name"] for row in rows) == preset_names() == sorted(preset_names())
    assert [row["table"] or "" for row in rows] == sorted(row["table"] or "" for row in rows)
    for row in rows:
        config = Config.load(row["name"])
        assert (row["table"], row["paper_miou"]) == (config.table, config.paper_miou)
        assert (row["title"], row["needs"]) == (config.title, config.needs)
        assert row["paper_miou"] is None or row["table"], "a figure of the paper names its table"


def test_the_keys_that_every_preset_has() -> None:
    named = """run_dir data.root data.labelled data.split_seed method.name network.architecture network.backbone
    network.pretrained training.iterations training.batch_size training.seed training.checkpoint_every
    training.validate_every training.precision training.device"""
    assert set(named.split()) <= set(fields())


# Typed from the paper, cell by cell, without looking at the presets.
PAPER = {
    "table2_v2_imagenet": {"30": 58.0, "8": 63.0, "4": 64.8, "full": 66.4},
    "table2_v2_coco": {"30": 59.4, "8": 64.4, "4": 65.9, "full": 67.3},
    "table2_v3plus_imagenet": {"30": 64.9, "8": 70.1, "4": 71.7, "full": 74.2},
    "table3_v2_imagenet": {"50": 65.6, "20": 67.8, "8": 69.9, "full": 72.6},
    "table3_v2_coco": {"50": 68.2, "20": 70.1, "8": 71.8, "full": 74.1},
    "table3_v3plus_imagenet": {"50": 63.4, "20": 69.1, "8": 72.0, "full": 75.9},
    "table4_adapted": {"30": 59.9, "15": 62.0, "6": 64.2, "3": 65.6},
    "table4_target_only": {"30": 58.0, "15": 59.9, "6": 63.7, "3": 65.1},
    "table5": {"sup": 49.5, "sup_entropy": 52.2, "sup_contrastive": 54.4, "sup_pseudo": 56.7,
               "sup_entropy_contrastive": 57.3, "sup_pseudo_entropy": 57.4, "sup_pseudo_contrastive": 59.0,
               "all": 59.4},
    "table6_lambda": {"1e4": 50.3, "1e2": 51.4, "1e1": 54.8, "1": 59.1, "1e-1": 59.4, "1e-2": 58.7, "1e-4": 57.6},
    "table7_bank": {"32": 58.7, "64": 58.9, "128": 59.2, "256": 59.4, "512": 59.3},
    "table8": {"base": 58.3, "teacher_features": 58.7, "attention": 58.6, "quality_filter": 59.0, "all": 59.4},
}  # fmt: skip


def test_every_cell_of_the_paper_is_a_preset_with_its_figure() -> None:
    wanted = {f"{group}_{name}": figure for group, figures in PAPER.items() for name, figure in figures.items()}
    assert len(wanted) == 57
    assert {row["name"]: row["paper_miou"] for row in list_presets() if row["table"] and not row["system"]} == wanted
    assert all(row["table"] == row["name"][5] for row in list_presets() if row["table"])


# Likewise; without the systems that have no recipe.
OTHERS = {
    "table2_adversarial": {"8": 58.8, "4": 62.3, "full": 66.4}, "table2_s4gan": {"8": 59.3, "4": 61.9, "full": 66.0},
    "table2_cutmix": {"30": 51.2, "8": 60.3, "4": 63.9, "full": 67.5},
    "table2_cbc": {"30": 48.7, "8": 60.5, "4": 64.4, "full": 66.9},
    "table2_classmix": {"30": 54.1, "8": 61.4, "4": 63.6, "full": 66.2},
    "table2_dmt": {"30": 54.8, "8": 63.0, "full": 68.2}, "table2_context_aware": {"8": 69.7, "4": 72.7, "full": 77.5},
    "table3_adversarial": {"50": 57.2, "20": 64.7, "8": 69.5, "full": 74.9},
    "table3_s4gan": {"50": 63.3, "20": 67.2, "8": 71.4, "full": 73.6},
    "table3_cutmix": {"50": 64.8, "20": 66.5, "8": 67.6, "full": 72.5},
    "table3_cbc": {"50": 65.5, "20": 69.3, "8": 70.7, "full": 73.6},
    "table3_classmix": {"50": 66.2, "20": 67.8, "8": 71.0, "full": 74.1},
    "table3_dmt": {"50": 67.2, "20": 69.9, "8": 72.7, "full": 74.8},
    "table3_context_aware": {"8": 72.4, "full": 76.5},
}  # fmt: skip


def test_every_cell_of_a_compared_system_with_a_recipe_is_a_preset_of_that_method() -> None:
    wanted = {f"{group}_{name}": figure for group, figures in OTHERS.items() for name, figure in figures.items()}
    assert {row["name"]: row["paper_miou"] for row in list_presets() if row["system"]} == wanted and len(wanted) == 50
    for name in wanted:
        config, method = Config.load(name), name.split("_", 1)[1].rpartition("_")[0]
        assert config.method.name == method and config.method.profile == "paper" and config.system in config.title
        fraction = name.rpartition("_")[2]
        assert config.data.labelled == ("all" if fraction == "full" else f"1/{fraction}")
        assert config.data.dataset == {"2": "cityscapes", "3": "voc"}[config.table or ""]
        assert config.network.architecture == ("deeplabv3plus" if method == "context_aware" else "deeplabv2")
    assert Config.load("table2_cutmix_8").method.teacher.momentum_start == 0.99
    assert not Config.load("table3_classmix_8").method.class_balance.enabled


@pytest.mark.parametrize("group", PAPER)
def test_the_settings_of_section_4_2(group: str) -> None:
    for name in PAPER[group]:
        c = Config.load(f"{group}_{name}")
        voc, plus = group.startswith("table3"), "v3plus" in group
        assert (c.data.dataset, c.data.crop) == (("voc", 321) if voc else ("cityscapes", 512))
        assert c.network.architecture == ("deeplabv3plus" if plus else "deeplabv2")
        assert (c.network.backbone, c.network.output_stride) == ("resnet50" if plus else "resnet101", 8)
        assert (
            c.training.batch_size
            == {(False, False): 5, (False, True): 7, (True, False): 14, (True, True): 20}[voc, plus]
        )
        assert c.training.learning_rate == (4e-4 if plus else 2e-4)
        assert (c.training.iterations, c.training.momentum, c.training.optimizer) == (150_000, 0.9, "sgd")
        assert round(c.method.warmup * c.training.iterations) == 2000
        assert c.method.class_balance.enabled is not voc
        assert c.data.resize == (None if voc or plus else (512, 1024))
        assert c.network.pretrained == ("imagenet" if "imagenet" in group or group.startswith("table4") else "coco")
        fraction = name if group[5] in "234" else "30"
        assert c.data.labelled == ("all" if fraction == "full" else f"1/{fraction}")
        assert c.data.source.dataset == ("gta5" if group == "table4_adapted" else None)
        assert c.evaluation.mode == "whole"


def test_what_the_ablations_vary_and_nothing_else() -> None:
    full = Config.load("table5_all")

    def differs(name: str) -> dict[str, object]:
        def leaf(config: Config, key: str) -> object:
            value: object = config
            for part in key.split("."):
                value = getattr(value, part)
            return value

        other = Config.load(name)
        keys = [k for k in fields() if k not in ("name", "title", "table", "paper_miou", "run_dir")]
        read = used_fields(other, dict.fromkeys(keys))
        return {
            k.removeprefix("method.").removeprefix("memory_bank."): leaf(other, k)
            for k in read
            if leaf(other, k) != leaf(full, k)
        }

    for name in PAPER["table5"]:
        on = (
            set()
            if name == "sup"
            else {"pseudo", "entropy", "contrastive"}
            if name == "all"
            else set(name.split("_")[1:])
        )
        assert differs(f"table5_{name}") == {
            f"weights.{term}": 0.0 for term in {"pseudo", "entropy", "contrastive"} - on
        }
    for name in PAPER["table6_lambda"]:
        value = float(name)
        assert differs(f"table6_lambda_{name}") == ({} if value == 0.1 else {"weights.contrastive": value})
    for name in PAPER["table7_bank"]:
        assert differs(f"table7_bank_{name}") == ({} if name == "256" else {"contrastive.bank_size": int(name)})
    parts = {"teacher_features", "attention", "quality_filter"}
    for name in PAPER["table8"]:
        on = parts if name == "all" else {name} & parts
        assert differs(f"table8_{name}") == {f"contrastive.{part}": False for part in parts - on}


def test_extends_is_one_level_and_goes_section_by_section(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("extends: camvid\ndata: {crop: 96}\n")
    config = Config.load(own)
    assert config.data.crop == 96 and config.data.dataset == "camvid" and config.training.optimizer == "adamw"
    own.write_text("extends: table5_all\n")
    with pytest.raises(UsageError, match="extends 'table5_all', which extends 'cityscapes_deeplabv2': only one level"):
        read_yaml(own)
    own.write_text("extends: nothing\n")
    with pytest.raises(UsageError, match="extends 'nothing', which is no preset"):
        Config.load(own)
    below, above = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 5}, "d": {"e": 1}}
    assert merged(below, above) == {"a": {"b": 1, "c": 5}, "d": {"e": 1}} and below["a"] == {"b": 1, "c": 2}
