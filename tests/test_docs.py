"""Pages that are made from the code are up to date, and links lead somewhere."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def test_configuration_page_is_current() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_configuration.py"))
    assert made["PATH"].read_text(encoding="utf-8") == made["table"](), "run python docs/make_configuration.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_relative_links_exist(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_equations_page_covers_the_paper() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "equations.md").read_text(encoding="utf-8"), re.MULTILINE)
    found = set()
    for kind, numbers in re.findall(r"(eqs?\.|Tables?|)\s*([\d.]+(?:(?:, |-)[\d.]+)*)", "\n".join(rows)):
        first, *rest = re.split(r", |-", numbers)
        names = [str(n) for n in range(int(first), int(rest[0]) + 1)] if "-" in numbers else [first, *rest]
        found |= {(kind.rstrip("s.") or "section", name) for name in names}
    wanted = {("eq", str(n)) for n in range(1, 12)} | {("Table", str(n)) for n in range(1, 9)}
    wanted |= {("section", name) for name in ("3.1", "3.2", "3.3", "3.4", "4.1", "4.2", "4.3.1", "4.3.2", "4.4")}
    assert wanted <= found, sorted(wanted - found)


def test_equations_page_names_files_and_keys_that_exist() -> None:
    from semiseg.config.read import fields

    text = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z_/0-9]+\.py)", text):
        assert (ROOT / "src" / "semiseg" / name).exists(), name
    for file, function in re.findall(r"`([a-z_/0-9]+\.py): ([\w.]+)`", text):
        source = (ROOT / "src" / "semiseg" / file).read_text(encoding="utf-8")
        assert re.search(rf"(def|class) {function.split('.')[0]}\b", source), (file, function)
    keys = fields()
    for key in re.findall(r"`((?:method|network|training|data|evaluation)\.[a-z_.]+[a-z_])(?:\.\*)?`", text):
        assert any(k == key or k.startswith(key + ".") for k in keys), key


def test_every_method_stands_on_its_page() -> None:
    from semiseg.methods import method_class, method_names

    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE))))
    assert set(method_names()) <= listed
    described = re.findall(r"autoclass:: (semiseg\.methods\.\w+)\.(\w+)", text)
    classes = {(method_class(name).__module__, method_class(name).__name__) for name in method_names()}
    assert classes == set(described)
