"""A step is timed alone."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import HANGS

from semiseg.experiments.comparison import step_ratio


def test_a_step_is_timed_only_while_nothing_trains(tmp_path: Path) -> None:
    measure = (
        "import pathlib; from semiseg.experiments.comparison import step_ratio\n"
        f"with step_ratio.alone(pathlib.Path({str(tmp_path)!r})): print('measuring', flush=True)"
    )
    with step_ratio.training(tmp_path), step_ratio.training(tmp_path):  # two trainings do not wait for each other
        other = subprocess.Popen([sys.executable, "-c", measure], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(5)
    assert other.communicate(timeout=HANGS)[0] == "measuring\n"
