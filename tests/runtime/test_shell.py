"""Commands to copy."""

import shlex
from pathlib import Path

import pytest

from semiseg.runtime.shell import command_line, path_word


@pytest.mark.parametrize(
    ("path", "word"), [("photos", "photos"), ("-photos/a", "./-photos/a"), ("/a/-b", "/a/-b"), ("a-b", "a-b")]
)
def test_a_path_is_no_option(path: str, word: str) -> None:
    assert path_word(path) == path_word(Path(path)) == word


def test_a_command_is_split_into_its_words_again() -> None:
    line = command_line(["semiseg", "predict", Path("-it's my run"), "--teacher"])
    assert shlex.split(line) == ["semiseg", "predict", "./-it's my run", "--teacher"]
