"""Settings that were given and do nothing are one remark at the start."""

import re
from pathlib import Path

import pytest
import yaml
from conftest import tiny

from semiseg import Config, train
from semiseg.methods import method_names
from semiseg.training.unread import unread_remark


def said(words: list[str], source: str | Path = "toy_streets") -> str | None:
    return unread_remark(Config.load(source, words), source, words)


@pytest.mark.parametrize(
    ("words", "remark"),
    [
        (["method.name=cutmix", "method.weights.entropy=0.5"],
         "method.weights.entropy has no effect with method.name=cutmix"),
        (["method.name=supervised", "method.weights.pseudo=0.5", "method.pseudo.views=1",
          "method.teacher.batch_statistics=true", "method.augment.strong=weak", "training.passes=in_turn"],
         "method.weights.pseudo, method.pseudo.views, method.teacher.batch_statistics, method.augment.strong, "
         "training.passes have no effect with method.name=supervised"),
        (["method.name=fixmatch", "method.contrastive.dim=16", "method.pseudo.views=2"],
         "method.contrastive.dim has no effect with method.name=fixmatch"),
        (["method.cutmix.weights.pseudo=1", "training.lr_multipliers.heads=2", "method.name=classmix"],
         "method.cutmix.weights.pseudo, training.lr_multipliers.heads have no effect with method.name=classmix"),
        (["method.name=joint_statistics", "method.warmup=0.1", "training.passes=in_turn",
          "training.unlabelled_ratio=2"], "method.warmup has no effect with method.name=joint_statistics"),
        (["method.name=supervised", "method.warmup=0.1", "method.class_balance.after_warmup=true"], None),
        (["method.name=supervised", "method.supervised.average=true", "method.teacher.buffers=ema"], None),
        (["method.name=adversarial", "method.teacher.half_life=0.1", "training.lr_multipliers.heads=2"],
         "method.teacher.half_life, training.lr_multipliers.heads have no effect with method.name=adversarial"),
        (["method.name=supervised", "training.unlabelled_ratio=2"],
         "training.unlabelled_ratio has no effect with method.name=supervised"),
        (["method.name=memory_bank", "method.contrastive.dim=16", "training.lr_multipliers.heads=2"], None),
        (["method.name=fixmatch", "method.pseudo.sharpness=2"],
         "method.pseudo.sharpness has no effect with method.pseudo.weighting=threshold"),
        (["method.name=fixmatch", "method.pseudo.sharpness=2", "method.pseudo.weighting=confidence"], None),
        (["method.name=memory_bank", "method.memory_bank.contrastive.ranking=prediction", "network.aspp=reference",
          "method.contrastive.attention=false"],
         "method.memory_bank.contrastive.ranking has no effect with method.memory_bank.contrastive.attention=false; "
         "network.aspp has no effect with network.architecture=deeplabv3plus"),
        (["method.name=s4gan", "method.multi_label.optimiser.momentum=0.5", "method.multi_label.burn_in=0"],
         "method.multi_label.optimiser.momentum, method.multi_label.burn_in have no effect with "
         "method.multi_label.enabled=false"),
    ],
)  # fmt: skip
def test_words_of_other_methods_are_named(words: list[str], remark: str | None) -> None:
    assert said(words) == remark


@pytest.mark.parametrize("name", method_names())
def test_what_a_preset_or_a_file_that_a_run_wrote_says_was_not_given(name: str, tmp_path: Path) -> None:
    words = [f"method.name={name}", "method.profile=reference"]
    assert said(words) is None
    Config.load("toy_streets", [f"method.name={name}"]).save(tmp_path / "config.yaml")
    assert said([], tmp_path / "config.yaml") is None


def test_what_a_file_says_was_given_but_not_what_it_extends(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    values = {"extends": "toy_streets", "method": {"name": "cutmix", "pseudo": {"views": 3, "warmup": "ramp"}}}
    path.write_text(yaml.safe_dump(values))
    assert said([], path) == "method.pseudo.views has no effect with method.name=cutmix"


def test_a_short_key_that_a_run_wrote_out_for_every_method_is_no_remark(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    Config.load("toy_streets", ["method.name=memory_bank", "method.contrastive.dim=16"]).save(path)
    assert "dim: 16" in path.read_text() and said([], path) is None
    assert said(["method.reco.contrastive.dim=16"], path) is not None, "which is given by hand"


def test_a_training_says_it_once_at_the_start(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny(folder, tmp_path / "run", method__name="supervised", training__iterations=1).save(tmp_path / "mine.yaml")
    train(tmp_path / "mine.yaml", ["method.augment.strong=weak"], progress=False)
    given = {"method.augment.strong", "method.warmup"} | {
        f"method.memory_bank.contrastive.{key}" for key in ("bank_size", "dim", "quality_threshold")
    }
    (remark,) = re.findall("^semiseg: (.*) have no effect with method.name=supervised$", capsys.readouterr().err, re.M)
    named = set(remark.split(", "))
    assert given <= named
    assert all(key.endswith((".contrastive.bank_size", ".contrastive.dim")) for key in named - given), (
        "of other methods"
    )
