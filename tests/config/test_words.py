"""``section.key=value`` words: text that YAML would take for something else."""

import pytest

from semiseg import Config
from semiseg.errors import UsageError


@pytest.mark.parametrize("key", ["run_dir", "data.root", "data.labelled_list"])
@pytest.mark.parametrize(
    "text",
    ["runs/a #2", "2024", "1e3", "true", "it's", "a: b", "[x]", "{x}", "*a", "&a", "!a", "%a", "@a", "- a", "'70s/x"],
)
def test_a_path_is_taken_as_it_is_written(key: str, text: str) -> None:
    config = Config.parse({}, [f"{key}={text}"])
    section, _, name = key.rpartition(".")
    assert getattr(config.data if section else config, name) == text


def test_quotes_and_nothing_mean_what_they_mean_in_yaml() -> None:
    config = Config.parse({"data": {"root": "photos"}}, ["run_dir='runs/a b'", 'name="x"', "data.root=null"])
    assert (config.run_dir, config.name, config.data.root) == ("runs/a b", "x", None)
    assert Config.parse({}, ["data.root="]).data.root is None


def test_what_may_be_more_than_text_is_still_yaml() -> None:
    config = Config.parse({}, ["data.labelled=12", "data.crop=[32, 64]", "method.pseudo.warmup=off"])
    assert (config.data.labelled, config.data.crop) == (12, (32, 64))
    with pytest.raises(UsageError, match="not valid YAML"):
        Config.parse({}, ["data.crop=[32"])
