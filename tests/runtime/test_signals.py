"""A signal waits for what has to be saved; a second one does not."""

import os
import signal
import subprocess
import sys

import pytest

from semiseg.runtime.signals import ASKING, Signals, Stopped


def works(signals: Signals, number: int) -> None:
    with signals.deferred():
        os.kill(os.getpid(), number)
        assert signals.received == number
        with pytest.raises(Stopped), signals.at_once():
            pytest.fail("nothing may begin that a signal was to prevent")


@pytest.mark.parametrize("number", ASKING)
def test_deferred_work_goes_on_and_other_work_ends(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    def own(*_: object) -> None:
        """Not the handler that the tests were started with: nohup has SIGHUP ignored."""

    before = signal.signal(number, own)
    try:
        with Signals() as signals:
            with pytest.raises(Stopped) as caught:
                works(signals, number)
            assert caught.value.signal == number
        assert signal.getsignal(number) is own
        assert "once more ends at once" in capfd.readouterr().err
        with Signals(), pytest.raises(Stopped):
            os.kill(os.getpid(), number)
        assert isinstance(caught.value, KeyboardInterrupt)
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)
    assert signals.received is None


SCRIPT = """
import os, signal
from semiseg.runtime.signals import Signals
signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a shell starts in the background ignores it
with Signals() as signals, signals.deferred():
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    print("went on", flush=True)
"""


@pytest.mark.parametrize(("torchrun", "code", "output"), [(False, -signal.SIGINT, ""), (True, 1, "went on\n")])
def test_a_second_one_ends_at_once_unless_torchrun_passed_on_the_first(torchrun: bool, code: int, output: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "TORCHELASTIC_RUN_ID"}
    if torchrun:
        environment["TORCHELASTIC_RUN_ID"] = "7"
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, output), done.stderr
