"""What Windows lacks is not asked for: no module of POSIX alone, no signal of its own."""

import subprocess
import sys
from pathlib import Path

import yaml
from conftest import HANGS, tiny

WITHOUT = """
import os, pkgutil, importlib, signal, sys
import filelock, torch, torch.distributed.run
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("SIGCHLD", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"):
    delattr(signal, name)
for name in ("fork", "getpgid", "getuid", "mkfifo", "sched_getaffinity", "setpgrp", "uname"):
    delattr(os, name)
"""
IMPORT_ALL = """
import semiseg
sys.path.append(sys.argv[3])
import conftest  # the small backbone
for module in pkgutil.walk_packages(semiseg.__path__, "semiseg."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def run(code: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *arguments], capture_output=True, text=True, timeout=HANGS
    )
    assert done.returncode == 0, done.stderr[:2000]


def test_every_module_imports_and_a_run_trains_measures_and_resumes(folder: Path, tmp_path: Path) -> None:
    preset = tmp_path / "own.yaml"
    preset.write_text(yaml.safe_dump(tiny(folder, tmp_path / "run").model_dump(mode="json")))
    run(
        IMPORT_ALL
        + """
from pathlib import Path
from semiseg.cli import main
from semiseg.experiments.comparison.step_ratio import alone, training
from semiseg.experiments.results import run_once

preset, work = sys.argv[1], Path(sys.argv[2])
for words in (["train", preset], ["train", preset, "--auto-resume"]):
    sys.argv = ["semiseg", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
with training(work):
    assert run_once(work / "rows.json", {"method": "supervised"}, preset, ["method.name=supervised"], work)
with alone(work):
    pass
""",
        str(preset),
        str(tmp_path / "work"),
        str(Path(__file__).parents[1]),
    )
