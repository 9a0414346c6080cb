"""Whatever a user writes in a file or after a command, the answer is one UsageError of one line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.config.profiles import reference
from semiseg.config.read import Config, fields
from semiseg.errors import UsageError


def message(values: Any, *words: str) -> str:
    with pytest.raises(UsageError) as caught:
        Config.parse(values, list(words))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wrong_words_and_wrong_values_are_named_together() -> None:
    text = message(
        {"training": {"precision": "fp8"}}, "data.crop=[1", "trainin.seed=1", "training.iterations", "training.seed=x"
    )
    assert "'data.crop=[1'" in text and "valid YAML" in text
    assert "did you mean 'training.seed'" in text
    assert "'training.iterations' is not section.key=value" in text
    assert "training.precision" in text and "training.seed: " in text


@pytest.mark.parametrize("section", ["data", "network", "method", "training", "evaluation"])
@pytest.mark.parametrize("value", ["text", 3, [1], None])
def test_a_section_that_is_no_mapping_is_named(section: str, value: Any) -> None:
    assert section in message({section: value})


def test_a_wrong_section_is_not_replaced_in_silence() -> None:
    assert "training" in message({"training": 3}, "training.seed=1")
    assert "method.contrastive" in message({"method": {"profile": "reference", "contrastive": [1]}})


@pytest.mark.parametrize(
    ("content", "part"),
    [("training: [1", "not valid YAML"), ("- a\n- b\n", "sections such as 'training:'"), ("7", "not a single value")],
)
def test_files_that_hold_no_configuration(tmp_path: Path, content: str, part: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=part) as caught:
        Config.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="no file"):
        Config.load(tmp_path / "none.yaml")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not valid YAML"):
        Config.load(path)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(key=st.sampled_from(sorted(fields())), value=anything, profile=st.sampled_from(["paper", "reference"]))
def test_any_value_of_any_key_is_accepted_or_refused_by_a_usage_error(key: str, value: Any, profile: str) -> None:
    *sections, last = key.split(".")
    values: dict[str, Any] = {"method": {"profile": profile}}
    inner = values
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[last] = value
    refusal = ""
    try:
        Config.parse(values)
    except UsageError as error:
        refusal = str(error)
    assert not refusal or (sections[0] if sections else key) in refusal


def test_every_row_of_the_reference_can_be_set_back_by_hand() -> None:
    paper = Config()
    for key in reference():
        wanted: Any = paper
        for part in key.split("."):
            wanted = getattr(wanted, part)
        word = f"{key}={'' if wanted is None else str(wanted).lower()}"
        found: Any = Config.parse({}, ["method.profile=reference", word])
        for part in key.split("."):
            found = getattr(found, part)
        assert found == wanted, key


def test_parsing_leaves_what_it_was_given_alone_and_shares_nothing() -> None:
    given_values = {"method": {"profile": "reference"}, "data": {"options": {"train": 3}}}
    first, second = (Config.parse(given_values, ["data.options.val=2"]) for _ in range(2))
    assert given_values == {"method": {"profile": "reference"}, "data": {"options": {"train": 3}}}
    assert first.data.options == {"train": 3, "val": 2}
    first.data.options["train"], first.training.seed = 9, 9
    assert (second.data.options["train"], second.training.seed, Config().training.seed) == (3, 0, 0)


def test_a_bare_off_is_the_word_it_looks_like(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("method: {profile: reference, pseudo: {warmup: off}}\n")  # PyYAML reads False here
    config = Config.load(path)
    assert config.method.settings.pseudo.warmup == "off"
    config.save(tmp_path / "saved.yaml")
    assert Config.load(tmp_path / "saved.yaml") == config
    assert "method.pseudo.warmup" in message({"method": {"pseudo": {"warmup": True}}})


@pytest.mark.parametrize("word", [
    "training.iterations=true", "training.batch_size=yes", "data.crop=[true, 32]", "data.resize=true",
    "training.learning_rate=true", "data.labelled=true", "method.teacher.half_life=true", "training.seed=on",
    "evaluation.window=[64, false]", "training.loggers=[true]",
])  # fmt: skip
def test_true_is_no_number(word: str) -> None:
    assert "true and false are no value of this key" in message({}, word)
    assert Config.parse({}, ["training.deterministic=true", "data.options={a: true}"]).training.deterministic


@pytest.mark.parametrize("word", [
    "training.accumulation=100000000", "data.workers=100000", "training.iterations=1000000000000", "training.seed=-1",
    "data.crop=100000", "training.unlabelled_ratio=1e9", "network.decoder_channels=1000000000", "run_dir=\"a\\0b\"",
    "data.split_seed=-1", "training.loggers=" + "[" * 5000, "training.seed=" + "9" * 5000,
])  # fmt: skip
def test_values_that_no_run_has(word: str) -> None:
    assert len(message({}, word)) < 600


def test_long_values_are_cut_and_many_mistakes_counted() -> None:
    assert len(message({}, f"training.precision={'x' * 5000}")) < 600
    assert len(message({}, f"{'x' * 5000}=1")) < 600 and len(message({}, "x" * 5000)) < 600
    assert message({f"key{i}": 1 for i in range(1000)}).endswith("and 980 more")
