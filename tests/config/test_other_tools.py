"""What is typed from other tools is answered with what it is called here; slips of the finger stay slips."""

import re

import pytest
from commands import call

from semiseg.config.other_tools import ANSWERS, answer, refuse_options
from semiseg.config.read import Config, fields
from semiseg.errors import UsageError


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("epochs=100", "unknown key 'epochs'; a run is counted in steps, not in epochs: training.iterations=3000"),
        ("training.epochs=5", "in steps, not in epochs: training.iterations=3000"),
        ("trainer.max_epochs=5", "in steps, not in epochs: training.iterations=3000"),
        ("batch=8", "write training.batch_size=8"),
        ("lr=0.01", "write training.learning_rate=0.01"),
        ("training.lr=0.01", "write training.learning_rate=0.01"),
        ("imgsz=640", "write data.crop=640 for the side of the training crops, data.resize=640 for that of the images"),
        ("device=0", "write training.device=cuda:0"),
        ("device=0,1", "semiseg torchrun --nproc-per-node 2 train FOLDER"),
        ("training.device=0", "training.device: write cuda:0 for a GPU by its number"),
        ("trainin.seed=1", "did you mean 'training.seed'"),
        ("data.num_workers=1", "did you mean 'data.workers'"),
        ("nonsense=1", "unknown key 'nonsense'; `semiseg settings` lists them"),
    ],
)
def test_words(word: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config.parse({}, [word])
    assert told in str(caught.value)


def test_keys_of_a_file() -> None:
    with pytest.raises(UsageError, match=r"unknown key 'train\.epochs'; a run is counted in steps"):
        Config.parse({"train": {"epochs": 3}})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["photos", "--epochs", "100"], "no option --epochs; a run is counted in steps"),
        (["photos", "--batch-size", "8"], "no option --batch-size; write training.batch_size=8 (labelled crops a"),
        (["photos", "--lr=0.1"], "no option --lr; write training.learning_rate=0.1"),
        (["photos", "--amp", "training.seed=1"], "no option --amp; write training.precision=bf16"),
        (["--data", "my photos"], "no option --data; the data comes first: semiseg train 'my photos'"),
        (["photos", "--resum"], "no option --resum; did you mean '--resume'?"),
        (["photos", "-z"], "no option -z; settings are section.key=value words"),
        (["data=photos"], "'data=photos' is no preset and no folder; the data comes first: semiseg train photos"),
    ],
)  # fmt: skip
def test_options_and_sources(words: list[str], told: str) -> None:
    code, _, err = call("train", *words)
    assert code == 2 and err.startswith(f"semiseg: {told}") and len(err.splitlines()) == 1, err


def test_what_is_no_option_passes() -> None:
    refuse_options(["photos", "data.root=-x", "-"], [])


def test_every_answer_names_settings_that_exist_and_no_setting_has_a_foreign_name() -> None:
    for name in ANSWERS:
        for value in ("3", ""):
            told = answer(name, value) or ""
            for key in re.findall(r"\b((?:data|network|method|training)\.[a-z_.]*[a-z])=", told):
                assert key in fields(), told
    assert answer("training.iterations_", "3") is None
