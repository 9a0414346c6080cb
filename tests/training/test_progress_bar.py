import io
from collections.abc import Callable

import pytest
from rich.console import Console

from semiseg.training import progress_bar as module
from semiseg.training.progress_bar import ProgressBar

LOSSES = {"loss": 1.25, "supervised": 1.0, "pseudo": 0.25, "bank_filled": 0.5}


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """``terminal(80)``: stderr is a terminal of so many columns."""

    def of(columns: int) -> None:
        monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns))

    return of


def test_without_a_terminal_a_line_every_30_seconds_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    bar = ProgressBar(100, 20, "classmix", ("loss", "pseudo"))
    for iteration, now in ((21, 10.0), (30, 31.0), (40, 50.0), (60, 80.0), (100, 81.0)):
        clock.now = now
        if iteration == 60:
            bar.miou = 43.21
        bar.advance(iteration, LOSSES, 12.34)
    bar.close()
    first, expected, second, last = capsys.readouterr().err.splitlines()
    # 10 steps in 31 s from the start at 20, 70 left: 217 s.
    assert first == "classmix 30/100: 4 min left, 12.3 img/s, loss 1.250, pseudo 0.250"
    # 9 steps in 21 s, since the first line came at 10 s: 70 take 163 s.
    assert expected == "expected: 3 min for the 70 steps that are left, 2.3 s each, and the validations"
    assert second == "classmix 60/100: mIoU 43.2, 80 s left, 12.3 img/s, loss 1.250, pseudo 0.250"
    assert last.startswith("classmix 100/100: mIoU 43.2, 0 s left")


def test_a_run_of_seconds_expects_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(monkeypatch)
    bar = ProgressBar(100, 0, "classmix", ("loss",))
    for iteration in (10, 20, 30):
        clock.now += 1.0
        bar.advance(iteration, LOSSES, 12.34)
    assert capsys.readouterr().err == ""


def test_quiet_prints_nothing(terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]) -> None:
    terminal(80)
    bar = ProgressBar(2, 0, "quiet", ("loss",), shown=False)
    bar.advance(2, {"loss": 1.0}, 1.0)
    bar.say("a sentence")
    bar.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (120, "5/8, mIoU 43.2, 6 s left, 2.0 img/s, loss 1.250, supervised 1.000, pseudo 0.250"),
        (80, "5/8, mIoU 43.2, 6 s left, 2.0 img/s, loss 1.250"),
        (60, "5/8, mIoU 43.2, 6 s left, 2.0 img/s"),
        (40, "5/8, mIoU 43.2"),
    ],
)
def test_a_terminal_shows_what_fits_and_the_losses_go_first(
    monkeypatch: pytest.MonkeyPatch, terminal: Callable[[int], None], columns: int, shown: str
) -> None:
    clock = Clock(monkeypatch)
    terminal(columns)
    bar = ProgressBar(8, 3, "memory_bank", ("loss", "supervised", "pseudo"))
    clock.now, bar.miou = 4.0, 43.21
    bar.advance(5, LOSSES, 2.0)
    assert bar.bar is not None and bar.bar.tasks[0].completed == 5
    output = io.StringIO()
    Console(file=output, width=columns).print(bar.bar.get_renderable())
    bar.close()
    (line,) = output.getvalue().rstrip("\n").splitlines()
    assert line[module.BAR + 1 :].rstrip() == shown and len(line.rstrip()) <= columns


@pytest.mark.parametrize("in_terminal", [True, False])
def test_a_sentence_is_one_whole_line_whatever_the_width(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str], in_terminal: bool
) -> None:
    if in_terminal:
        terminal(40)
    bar = ProgressBar(8, 3, "memory_bank", ("loss",))
    line = "5/8: mIoU 58.2 [-2.1 from its best at 4]: :fire: more masks would help more than more time"
    bar.say(line)
    bar.close()
    assert line + "\n" in capsys.readouterr().err  # codes that clear the bar may stand before it
