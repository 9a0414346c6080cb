"""What other people's YAML and JSON may do, and may not."""

from pathlib import Path

import pytest

from semiseg.runtime import documents
from semiseg.runtime.documents import parse_json, parse_yaml, read_yaml_file

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LAUGHS, "aliases"),
        (MERGES, "aliases"),
        ("a: &a [*a]", "inside what it names"),
        ("[" * 5000, "too deep"),
        ("a: [1", "expected ',' or ']'"),
        ("a: \0", "not allowed"),
        ("a: 2001-99-99", "month"),
        ("a: " + "1" * 5000, "digits"),
        ("? {a: 1}\n: 2", "unhashable"),
        ("a: !!python/object:os.system x", "could not determine"),
        ("a: 1\n---\nb: 2", "single document"),
        ("a: " + "x" * documents.MOST_YAML, "characters"),
    ],
)
def test_yaml_that_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        parse_yaml(text)
    assert len(str(caught.value).splitlines()) == 1


def test_yaml_that_is_read(tmp_path: Path) -> None:
    assert parse_yaml("") is None and parse_yaml("# nothing") is None
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]") == {
        "a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": [{"x": 1}, {"x": 1}],
    }  # fmt: skip
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_yaml_file(tmp_path / "a.yaml") == {"a": 1}
    (tmp_path / "a.yaml").write_bytes(b"a: " + b"1" * documents.MOST_YAML)
    with pytest.raises(ValueError, match="bytes"):
        read_yaml_file(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ValueError, match="utf-8"):
        read_yaml_file(tmp_path / "a.yaml")


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "1e999", "-1e400", "[" * 100_000, "1" * 5000, "{", ""])
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|too deep|digits|Expecting"):
        parse_json(text)


def test_json_that_is_read() -> None:
    assert parse_json('{"a": [1, 2.5, null, true]}') == {"a": [1, 2.5, None, True]}
