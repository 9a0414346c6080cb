"""What ``make`` installs: one version of everything, and its hash."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BY_VERSION_ALONE = {"torch"}  # its build depends on the machine
ASKED_FOR = {"timm", "torchvision", "segmentation-models-pytorch"}  # not in dev, see pyproject.toml


def pins(path: Path) -> dict[str, str]:
    """Version by name, of all lines that pin one."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_hashes_are_those_of_the_pinned_versions() -> None:
    pinned = pins(ROOT / "constraints.txt")
    expected = {name: version for name, version in pinned.items() if name not in BY_VERSION_ALONE | ASKED_FOR}
    assert pins(ROOT / ".ci" / "requirements.txt") == expected and len(expected) > 100


def test_every_file_has_a_hash_and_no_address_is_named() -> None:
    text = (ROOT / ".ci" / "requirements.txt").read_text()
    entries = re.split(r"\n(?=[\w.-]+==)", text)
    assert [entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text and "--index-url" not in text
