"""Do the tests bite? Small mutations of the code, one at a time, and whether a file's own tests notice.

    OMP_NUM_THREADS=1 python benchmarks/mutations.py --most 60 --minutes 15

Every mutation is a fork of one process that has imported all: it exchanges the code of the mutated functions and runs
the tests of that file until the first fails. cosmic-ray starts an interpreter, and so PyTorch, for every mutation, and
mutmut passes over decorated functions, which here are half of what matters (``@torch.no_grad``, ``@property``).
Left out are annotations, docstrings, the words of errors, and tests that train a network.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import datetime
import importlib
import inspect
import io
import json
import os
import random
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import mutants
import pytest
import torch

from semiseg.runtime.version import machine, versions

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "mutations.json"
# Every loss has a test file of its name, and all share the one of half precision.
LOSSES = sorted(path.stem for path in (ROOT / "src" / "semiseg" / "losses").glob("[a-z]*.py"))
TESTS = {
    **{f"losses/{name}": [f"losses/test_{name}.py", "losses/test_half_precision.py"] for name in LOSSES},
    "memory_bank": ["test_memory_bank.py"],
    "contrastive/quality": ["contrastive/test_quality.py", "contrastive/test_admission.py"],
    "teacher": ["test_teacher.py"],
    "class_balance": ["test_class_balance.py"],
    "pseudo_labels": ["test_pseudo_labels.py"],
    "evaluation/confusion": ["evaluation/test_confusion.py"],
    "evaluation/image_set": ["evaluation/test_image_set.py"],
    "evaluation/pseudo_label_quality": ["evaluation/test_pseudo_label_quality.py"],
    "evaluation/validation": ["evaluation/test_validation.py"],
}
TRAIN = (
    "test_a_run_writes_it_at_every_validation", "test_validations_note_how_alike", "test_supervised_runs_have_none",
    "test_evaluate_of_a_bf16_run",
)  # fmt: skip
LIMIT = 90  # seconds of one mutation; a mutation that makes a test hang is noticed, too


def exchange(module: ModuleType, source: ast.Module) -> None:
    """Let every function of ``module`` run the code of ``source``, wherever it has been imported to."""
    fresh = ModuleType(module.__name__)
    sys.modules[module.__name__] = fresh  # dataclasses look their module up
    exec(compile(source, str(module.__file__), "exec"), fresh.__dict__)
    sys.modules[module.__name__] = module
    for name, value in vars(fresh).items():
        if getattr(value, "__module__", None) == module.__name__:
            _exchange_code(getattr(module, name), value)
        elif isinstance(value, (int, float)):
            setattr(module, name, value)


def _exchange_code(old: Any, new: Any) -> None:
    if inspect.isclass(new):
        for name, value in vars(new).items():
            if name in vars(old):
                _exchange_code(vars(old)[name], value)
        return
    if isinstance(new, property):
        old, new = old.fget, new.fget
    old, new = (inspect.unwrap(getattr(f, "__func__", f)) for f in (old, new))
    if isinstance(new, FunctionType) and isinstance(old, FunctionType) and len(old.__code__.co_freevars) == len(
        new.__code__.co_freevars
    ):  # fmt: skip
        old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__


def noticed(act: Callable[[], object], tests: list[str]) -> bool:
    """Whether the tests fail in a fork in which ``act`` has run."""
    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT)
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        try:
            act()
            chosen = ["-k", " and ".join(f"not {name}" for name in TRAIN)]
            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *chosen, *tests]))
        except BaseException:
            code = 1
        os._exit(code)
    return os.waitpid(child, 0)[1] != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", default=[], help=f"of {', '.join(TESTS)}; all by default")
    parser.add_argument("--most", type=int, default=10**6, help="mutations of one file, drawn at random")
    parser.add_argument("--minutes", type=float, default=60, help="no file is begun after them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    words = parser.parse_args()
    os.chdir(ROOT)
    begun, found, command = time.monotonic(), {}, shlex.join(["python", "benchmarks/mutations.py", *sys.argv[1:]])
    for name in words.files or TESTS:
        module = importlib.import_module(f"semiseg.{name.replace('/', '.')}")
        tests = [f"tests/{test}" for test in TESTS[name]]
        with contextlib.redirect_stdout(io.StringIO()):
            pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *tests])  # imports all, once for all forks
        torch.testing.assert_close(torch.ones(1), torch.ones(1))  # imports more; a backward pass would forbid forks
        if noticed(lambda: None, tests):
            raise SystemExit(f"{tests}: these tests fail without a mutation")
        possible = mutants.of(Path(str(module.__file__)).read_text(encoding="utf-8"))
        drawn = random.Random(words.seed).sample(possible, min(words.most, len(possible)))
        counted, survivors = 0, []
        for mutant in sorted(drawn, key=lambda mutant: mutant.line):
            if time.monotonic() - begun > 60 * words.minutes:
                break
            counted += 1
            if not noticed(lambda tree=mutant.tree, module=module: exchange(module, tree), tests):  # type: ignore[misc]
                survivors.append({"line": mutant.line, "mutation": mutant.what})
                print(f"{name}:{mutant.line}: {mutant.what}", flush=True)
        if possible and not counted:
            break
        killed = counted - len(survivors)
        found[name] = {
            "command": command,
            "possible": len(possible),
            "tried": counted,
            "killed": killed,
            "survivors": survivors,
        }
        print(f"{name}: {killed} of {counted} noticed, {time.monotonic() - begun:.0f} s", flush=True)
    found = _with_earlier(found, words.output)
    tried, killed = (sum(part[key] for part in found.values()) for key in ("tried", "killed"))
    reasons = [survivor.get("reason") or "" for part in found.values() for survivor in part["survivors"]]
    equivalent = sum(reason.startswith("equivalent") for reason in reasons)  # no test can tell them apart
    words.output.write_text(json.dumps({
        "date": datetime.date.today().isoformat(), "machine": machine(), "versions": versions(),
        "tried": tried, "killed": killed, "equivalent": equivalent,
        "share": round(killed / max(tried - equivalent, 1), 3), "files": found,
    }, indent=1) + "\n")  # fmt: skip


def _with_earlier(found: dict[str, Any], output: Path) -> dict[str, Any]:
    """With the files that were not tried this time, and why a mutation may live, which a person has written there."""
    earlier = json.loads(output.read_text(encoding="utf-8"))["files"] if output.exists() else {}
    for name, part in found.items():
        known = {s["mutation"]: s.get("reason") for s in earlier.get(name, {}).get("survivors", [])}
        for survivor in part["survivors"]:
            if known.get(survivor["mutation"]):
                survivor["reason"] = known[survivor["mutation"]]
    return earlier | found


if __name__ == "__main__":
    main()
