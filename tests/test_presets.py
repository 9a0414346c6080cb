"""Every preset: readable, complete, and run for two steps on a miniature of its data."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import semiseg
from semiseg.config import Config, fields
from semiseg.data import DATASETS
from semiseg.networks.segmentation import ARCHITECTURES, BACKBONES
from semiseg.presets import list_presets, preset_names, preset_path


def miniature(dataset: str, folder: Path, tmp_path: Path) -> list[str]:
    """Words that put a few small images in the place of a preset's data."""
    if dataset == "toy_streets":
        return ["data.options.train=6", "data.options.val=2", "data.options.size=[32, 48]", "data.labelled=3"]
    if dataset == "folder":
        return [f"data.root={folder}", "data.labelled=3"]
    assert dataset == "camvid", f"give a miniature of {dataset}"
    rng = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2)):
        for i in range(count):
            for name, shape, highest in ((split, (36, 48, 3), 256), (f"{split}annot", (36, 48), 12)):
                (tmp_path / "camvid" / name).mkdir(parents=True, exist_ok=True)
                picture = Image.fromarray(rng.integers(0, highest, shape).astype(np.uint8))
                picture.save(tmp_path / "camvid" / name / f"seq_{i}.png")
    return [f"data.root={tmp_path / 'camvid'}", "data.labelled=3", "data.resize=[36, 48]"]


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_trains(name: str, folder: Path, tmp_path: Path) -> None:
    words = [
        *miniature(Config.load(name).data.dataset, folder, tmp_path), f"run_dir={tmp_path / 'run'}", "data.crop=32",
        "data.workers=0", "network.pretrained=none", "network.decoder_channels=16", "training.iterations=2",
        "training.batch_size=2", "training.device=cpu", "training.tensorboard=false", "method.warmup=0.5",
    ]  # fmt: skip
    result = semiseg.train(name, words, progress=False)
    assert 0 <= result.last_miou <= result.best_miou <= 100
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["title"] == Config.load(name).title


@pytest.mark.parametrize("name", preset_names())
def test_presets_name_parts_that_exist_and_a_schedule_that_is_reached(name: str) -> None:
    config = Config.load(name)
    assert config.data.dataset in DATASETS
    assert config.network.architecture in ARCHITECTURES and config.network.backbone in BACKBONES
    t = config.training
    assert max(t.validate_every, t.checkpoint_every) <= t.iterations
    assert 0 < config.method.warmup * t.iterations < t.iterations
    assert t.precision == "fp32"
    text = preset_path(name).read_text(encoding="utf-8")
    assert text.endswith("\n") and "\t" not in text and max(map(len, text.splitlines())) <= 120
    assert not re.search(r"(^|[\s:\[{,])[~/]\S", text), "a preset holds no path of its author's machine"


def test_runs_of_different_presets_do_not_share_a_folder() -> None:
    folders = [Config.load(name).run_dir for name in preset_names()]
    assert len(set(folders)) == len(folders)


def test_the_list_has_a_row_a_preset_with_the_figures_as_in_the_files() -> None:
    rows = list_presets()
    assert [row["name"] for row in rows] == preset_names() == sorted(preset_names())
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
