"""Messages are one readable line, whatever stands in them."""

import pickle

import pytest

from semiseg.errors import LONGEST_LINE, LONGEST_WORD, SemisegError, UsageError, one_line, value_shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\r\t\0", r"\r\t\x00"),
        ("photo\udcff.png", r"photo\udcff.png"),
        ("line\u2028end", r"line\u2028end"),
        ("Zürich 東京 😀 \N{NO-BREAK SPACE}", "Zürich 東京 😀 \N{NO-BREAK SPACE}"),
    ],
)
def test_a_message_is_one_line(given: str, shown: str) -> None:
    assert one_line(given) == shown == str(SemisegError(given)) == str(UsageError(given))
    assert str(pickle.loads(pickle.dumps(UsageError(given)))) == shown


def test_what_nobody_reads_is_left_out_of_the_middle() -> None:
    word = "a" * 5000 + "END"
    assert len(one_line(word)) < LONGEST_WORD + 40 and one_line(f"{word}; do this").endswith("END; do this")
    assert "4003 characters" in one_line(word)
    many = "word " * 3000 + "do this"
    assert len(one_line(many)) < LONGEST_LINE + 40 and one_line(many).endswith("do this")
    assert len(value_shown({"a": "b" * 5000})) < 200 and value_shown([1, "x"]) == "[1, 'x']"
    path = "/".join(["folder"] * 100)
    assert one_line(path) == path
