import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from semiseg.config.profiles import reference
from semiseg.config.read import Config, fields
from semiseg.errors import UsageError
from semiseg.presets import list_presets, preset_names


def value(config: Config, key: str) -> object:
    found: object = config
    for part in key.split("."):
        found = getattr(found, part)
    return found


def test_defaults_are_the_papers() -> None:
    config = Config()
    weights = config.method.settings.weights
    assert (weights.supervised, weights.pseudo, weights.entropy, weights.contrastive) == (1, 1, 0.01, 0.1)
    assert config.method.warmup * config.training.iterations == pytest.approx(2000)
    assert (config.method.settings.pseudo.views, config.method.settings.pseudo.sharpness) == (2, 6)
    assert (config.method.settings.contrastive.bank_size, config.method.settings.contrastive.quality_threshold) == (
        256,
        0.95,
    )
    assert (config.method.teacher.momentum_start, config.method.teacher.momentum_end) == (0.995, 1)
    assert (config.training.learning_rate, config.training.momentum, config.training.batch_size) == (2e-4, 0.9, 5)


def test_every_mistake_is_reported_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        Config.parse({"training": {"iterations": -1, "precision": "fp8"}, "methd": {}})
    message = str(caught.value)
    assert "training.iterations" in message and "training.precision" in message and "did you mean 'method" in message
    assert "\n" not in message


def test_unknown_key_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"training.iteratoins.*did you mean 'training.iterations'"):
        Config.parse({}, ["training.iteratoins=3"])


def test_words_without_equals_and_unknown_presets_are_refused() -> None:
    with pytest.raises(UsageError, match=r"section\.key=value"):
        Config.parse({}, ["training.iterations"])
    with pytest.raises(UsageError, match="did you mean 'toy_streets'"):
        Config.load("toy_street")


def test_exponents_are_numbers_also_where_yaml_reads_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("training: {learning_rate: 1e-3}\n")  # PyYAML reads a string here
    assert Config.load(path).training.learning_rate == 1e-3
    assert Config.parse({}, ["training.learning_rate=1e-3"]).training.learning_rate == 1e-3


def test_a_folder_stands_for_its_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "camvid"):
        (tmp_path / name).mkdir()
    named = Config.load("folder", ["data.root=photos", "data.crop=64"])
    assert Config.load("photos", ["data.crop=64"]) == named
    assert Config.load("camvid").data.root is None  # the preset, not the folder of that name
    with pytest.raises(UsageError, match="no preset 'phots', no such folder"):
        Config.load("phots")


def test_cross_checks() -> None:
    with pytest.raises(UsageError, match="fp16 is for GPUs"):
        Config.parse({}, ["training.device=cpu", "training.precision=fp16"])
    assert Config.parse({}, ["training.device=cpu", "training.precision=bf16"]).training.precision == "bf16"
    with pytest.raises(UsageError, match="momentum_end"):
        Config.parse({}, ["method.teacher.momentum_end=0.5"])
    with pytest.raises(UsageError, match="exclude each other"):
        Config.parse({}, ["data.labelled=12", "data.labelled_list=a.txt"])


def test_reference_profile_switches_every_row_but_hand_set_values_win() -> None:
    paper, authors = Config(), Config.parse({}, ["method.profile=reference"])
    assert "method.memory_bank.contrastive.bank_keep" in reference()
    for key, wanted in reference().items():
        assert value(authors, key) == wanted, key
        assert value(paper, key) != wanted, key
    by_hand = Config.parse({"method": {"contrastive": {"bank_keep": "highest"}}}, ["method.profile=reference"])
    assert by_hand.method.settings.contrastive.bank_keep == "highest"
    assert by_hand.method.settings.contrastive.ranking == "prediction"


def test_saved_configuration_reads_back(tmp_path: Path) -> None:
    config = Config.load("toy_streets", ["training.seed=7", "data.labelled=1/30"])
    config.save(tmp_path / "config.yaml")
    assert Config.load(tmp_path / "config.yaml") == config
    assert set(yaml.safe_load((tmp_path / "config.yaml").read_text())) == set(Config.model_fields)


def test_every_field_is_described() -> None:
    assert [key for key, field in fields().items() if not field.description] == []


@pytest.mark.parametrize("name", preset_names())
def test_presets_load_and_say_what_they_need(name: str) -> None:
    Config.load(name)
    row = next(row for row in list_presets() if row["name"] == name)
    assert row["title"] and row["needs"]


def test_the_file_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    code = "from pathlib import Path; from semiseg import Config; "
    code += f"Config.parse({{'title': 'B\\xe4ume'}}).save(Path({str(path)!r}))"
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | locale)
    assert Config.load(path).title == "Bäume"


def test_crop_and_window_as_height_and_width() -> None:
    config = Config.parse({"data": {"crop": 96}})
    assert config.data.crop_size == config.window == (96, 96)
    config = Config.parse({"data": {"crop": [64, 96]}, "evaluation": {"window": [32, 48]}})
    assert config.data.crop_size == (64, 96) and config.window == (32, 48)


def test_an_end_of_the_momentum_beside_a_half_life_is_not_lost_unsaid() -> None:
    words = ["method.teacher.momentum_start=0.9"]
    with pytest.raises(UsageError, match=r"momentum_start; add method\.teacher\.half_life=null"):
        Config.load("toy_streets", words)
    teacher = Config.load("toy_streets", [*words, "method.teacher.half_life=null"]).method.teacher
    assert (teacher.half_life, teacher.momentum_start) == (None, 0.9)
    assert Config.load("toy_streets").method.teacher.half_life == 0.02
