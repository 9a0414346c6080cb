"""``semiseg compare``: methods on one data set under equal conditions. Runs what is missing, then shows it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch

from semiseg.errors import SemisegError, UsageError, did_you_mean
from semiseg.experiments.comparison.page import conditions, write_page
from semiseg.experiments.comparison.recipes import PROFILES
from semiseg.experiments.comparison.request import RESULTS, Request
from semiseg.experiments.comparison.runs import EQUAL
from semiseg.experiments.comparison.settings import with_settings
from semiseg.experiments.comparison.table import report
from semiseg.experiments.results import read_results
from semiseg.runtime import distributed
from semiseg.runtime.files import write_text
from semiseg.runtime.plugins import method_names
from semiseg.runtime.signals import Signals, Stopped

SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Compared:
    """What a comparison gave: rows, the table as Markdown, the page, and the runs that failed with their reasons."""

    rows: list[dict[str, Any]]
    table: str
    page: Path
    failed: list[tuple[str, str]] = field(default_factory=list)


def compare(
    source: str | Path,
    methods: Sequence[str],
    *,
    labelled: Sequence[int | str] = (),
    seeds: Sequence[int] = SEEDS,
    equal: Sequence[str] = ("steps", "crops"),
    overrides: Sequence[str] = (),
    output: str | Path = "compare",
    jobs: int = 1,
    profile: Literal["equal", "paper"] = "equal",
) -> Compared:
    """Compare methods with ``supervised``, and thereby with each other, on the same images, masks, crops and network.

    Every finished run is saved before the next one starts, an interrupted one is resumed, and the same call later adds
    what is new in it. Several processes given the same arguments share the runs.

    Args:
        source: a preset, a YAML file, or a folder, whose settings are derived once, for all methods alike.
        methods: names; ``supervised`` need not be among them.
        labelled: numbers of labelled images, or ``"all"``; by default what the configuration says. ``all`` beside
            numbers is the upper bound: ``supervised`` on every mask.
        seeds: each chooses the labelled images and begins the run (three: one says little with few labels).
        equal: what a method and ``supervised`` have alike, one or several of ``steps``, ``crops``, ``seconds``.
        overrides: ``section.key=value`` words of all runs.
        output: folder for results, settings and runs in progress.
        jobs: processes side by side, which share the cores of this machine.
        profile: ``equal``: augmentation, teacher, class weights and warm-up are the same for all, so that only the use
            of the unlabelled images differs; ``paper``: each method has its own paper's. Both can stand in one folder.

    Raises:
        UsageError: an unknown method, equality or profile, nothing to compare, settings other than those that the runs
            in ``output`` were made with, or a start by torchrun.
        SemisegError: the data cannot be read.
    """
    if profile not in PROFILES:
        raise UsageError(f"profile {profile!r}: choose from {', '.join(PROFILES)}")
    if "method.profile=paper" in overrides:  # said in the other place
        profile, overrides = "paper", [word for word in overrides if word != "method.profile=paper"]
    request = _checked(str(source), methods, labelled, seeds, equal, Path(output), jobs)
    request = with_settings(request, list(overrides), bool(labelled), profile)
    failed = _run(request, jobs)
    rows = read_results(request.output / RESULTS)
    table = "\n\n".join(f"{line}." for line in conditions(rows)) + "\n\n" + report(rows) if rows else report(rows)
    write_text(request.output / "compare.md", table + "\n", errors="replace")
    return Compared(rows, table, write_page(rows, request.source, request.output / "compare.html"), failed)


def _checked(
    source: str, methods: Sequence[str], labelled: Sequence[int | str], seeds: Sequence[int], equal: Sequence[str],
    output: Path, jobs: int,
) -> Request:  # fmt: skip
    if distributed.launched():
        raise UsageError("runs are shared by --jobs, or by processes started one by one, not by torchrun")
    known = method_names()
    for name in methods:
        if name not in known:
            raise UsageError(f"no method {name!r}{did_you_mean(name, known)}; choose from {', '.join(known)}")
    chosen = tuple(dict.fromkeys(name for name in methods if name != "supervised"))
    if not chosen:
        others = ", ".join(name for name in known if name != "supervised")
        raise UsageError(f"nothing to compare with supervised; give --methods, one or more of {others}")
    for kind in equal:
        if kind not in EQUAL:
            raise UsageError(f"equal {kind!r}: choose from {', '.join(EQUAL)}")
    for count in labelled:
        if str(count) != "all" and not (str(count).isascii() and str(count).isdigit()):
            raise UsageError(f"labelled {count!r}: give numbers of images, or all")
    if not seeds or not equal or jobs < 1:
        raise UsageError("give at least one seed, one kind of equality and one job")
    counts = tuple(dict.fromkeys("all" if str(count) == "all" else str(int(count)) for count in labelled))
    return Request(source, chosen, counts, tuple(dict.fromkeys(seeds)), tuple(dict.fromkeys(equal)), output)


def _run(request: Request, jobs: int) -> list[tuple[str, str]]:
    """All runs, in so many processes; the last look is this one's own, at what the others have left."""
    with TemporaryDirectory() as folder:  # gone with this call: the next one tries again what failed
        return _share(replace(request, failures=Path(folder) / "failures.json"), jobs)


def _share(request: Request, jobs: int) -> list[tuple[str, str]]:
    if jobs > 1:
        context = multiprocessing.get_context("spawn")
        threads = max(1, (os.cpu_count() or 1) // jobs)
        others = [context.Process(target=_beside, args=(request, threads)) for _ in range(jobs)]
        try:
            with Signals():
                for process in others:
                    process.start()
                for process in others:
                    process.join()
        except Stopped as stop:
            name = signal.Signals(stop.signal).name
            raise Stopped(stop.signal, f"{name}: what the runs had reached is saved") from None
        finally:  # nothing trains on that nobody waits for
            begun = [process for process in others if process.pid is not None]
            for process in begun:
                process.terminate()
            for process in begun:
                process.join()
    return request.run()


def _beside(request: Request, threads: int) -> None:
    """One of several processes; what fails here is told by the one that waits."""
    if hasattr(os, "setpgrp"):  # the terminal asks the process that waits alone, which passes it on: a second signal
        os.setpgrp()  # saves nothing
    torch.set_num_threads(threads)
    try:
        request.run()
    except (SemisegError, KeyboardInterrupt):
        return
