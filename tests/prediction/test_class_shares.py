import csv
import os
from pathlib import Path

import numpy as np
import pytest

from semiseg.prediction.class_shares import SharesTable, class_shares
from semiseg.runtime import distributed


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_class_shares_count_pixels() -> None:
    mask = np.zeros((600, 5), np.uint8)
    mask[10:310, :4] = 2
    assert class_shares(mask, ("a", "b", "c")) == pytest.approx({"a": 0.6, "b": 0.0, "c": 0.4})


def test_rows_are_on_disk_as_they_come_and_quoted(tmp_path: Path) -> None:
    with SharesTable(tmp_path / "shares.csv", ["road, paved", "sky"]) as table:
        table.add(("a,b.png",), {"sky": 0.25, "road, paved": 0.75})
        assert rows(tmp_path / "shares.csv") == [["image", "road, paved", "sky"], ["a,b.png", "0.750000", "0.250000"]]


def test_the_parts_of_several_processes_become_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world", lambda: 2)
    monkeypatch.setattr(distributed, "barrier", lambda: None)
    tables = []
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        tables.append(SharesTable(tmp_path / "shares.csv", ["x"], across_processes=True))
    for table, names in zip(tables, (["a", "c"], ["d"]), strict=True):
        for name in names:
            table.add((name,), {"x": 1.0})
    tables[1].join(["a", "d", "b", "c"])
    assert not (tmp_path / "shares.csv").exists()
    monkeypatch.setattr(distributed, "rank", lambda: 0)
    tables[0].join(["a", "d", "b", "c"])
    assert [row[0] for row in rows(tmp_path / "shares.csv")] == ["image", "a", "d", "c"]
    assert [path.name for path in tmp_path.iterdir()] == ["shares.csv"]


def test_a_file_name_need_not_be_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    with SharesTable(tmp_path / "shares.csv", ["x"]) as table:
        table.add((name,), {"x": 1.0})
    assert b"caf\xe9.jpg,1.000000" in (tmp_path / "shares.csv").read_bytes()
