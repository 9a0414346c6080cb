"""Write ``docs/configuration.md`` from the definition of the configuration.

python docs/make_configuration.py
"""

from __future__ import annotations

from pathlib import Path

from semiseg.config.table import list_keys

PATH = Path(__file__).parent / "configuration.md"


def table() -> str:
    """The page: one table a section, with key, type, default and meaning."""
    sections: dict[str, list[str]] = {}
    for row in list_keys():
        section = row.key.rsplit(".", 1)[0] if "." in row.key else "run"
        meaning = row.meaning.replace("|", "\\|")
        sections.setdefault(section, []).append(f"| `{row.key}` | {row.kind} | `{row.default}` | {meaning} |")
    lines = ["# Configuration", "", "Made by `docs/make_configuration.py` from `semiseg.config`; change it there.",
             "`semiseg settings [WORD]` prints the same."]  # fmt: skip
    for section, rows in sections.items():
        lines += ["", f"## {section}", "", "| key | type | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(table(), encoding="utf-8")
