import re

import pytest

from semiseg.runtime import progress
from semiseg.runtime.progress import CountingBar, duration, fitting


def test_durations() -> None:
    assert [duration(s) for s in (42.4, 720, 12_240)] == ["42 s", "12 min", "3.4 h"]


def test_parts_are_left_out_whole_from_the_end() -> None:
    parts = ["12/99", "mIoU 43.2", "loss 1.25"]
    assert [fitting(parts, width) for width in (80, 26, 25, 15, 4)] == [
        "12/99, mIoU 43.2, loss 1.25", "12/99, mIoU 43.2", "12/99, mIoU 43.2", "12/99", ""
    ]  # fmt: skip


def test_a_log_file_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with CountingBar("images") as bar:
        for done, now in ((0, 31.0), (1, 40.0), (100, 62.0), (101, 63.0), (400, 400.0)):  # noqa: B007 - read by the clock
            bar.update(done, 400)
    assert capsys.readouterr().err.splitlines() == [
        "images: 0 of 400", "images: 100 of 400, 3 min left", "images: 400 of 400, 0 s left",
    ]  # fmt: skip


@pytest.mark.parametrize("columns", [80, 60])
def test_a_terminal_gets_a_bar_that_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    for shown in (True, False):
        with CountingBar("images", shown) as bar:
            bar.update(12_345, 100_000)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)  # without colours
        lines = re.split(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]", plain)  # other codes move the cursor
        assert any("12345/100000" in line for line in lines) == shown
        assert max(map(len, lines), default=0) <= columns
