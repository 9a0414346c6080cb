"""A table of the paper by one command: run or resume what is missing, then paper | measured | difference."""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from semiseg.config.keys import FREE_ON_RESUME, used_fields, value_of
from semiseg.config.read import Config, fields
from semiseg.errors import SemisegError, UsageError
from semiseg.experiments.agreement import as_markdown
from semiseg.experiments.paper_tables import Cell, Scale, cells, check_weights, configuration, seed_words, table_number
from semiseg.experiments.published import PUBLISHED
from semiseg.experiments.results import read_results, run_once
from semiseg.runtime import distributed

DEFAULT_SEEDS = (0, 1, 2)  # "the mean of three runs" over three label splits (section 4.2)


@dataclass
class Outcome:
    """What became of a table: the rows of the result file, the table as Markdown, and what failed with its reason."""

    rows: list[dict[str, Any]]
    table: str
    failed: list[tuple[str, int, str]] = field(default_factory=list)

    def to_json(self) -> str:
        """Rows and failures for programs."""
        return json.dumps({"rows": self.rows, "failed": self.failed}, indent=1)


def reproduce(
    table: str,
    *,
    scale: Scale = "full",
    data: str = "toy_streets",
    seeds: list[int] | tuple[int, ...] = DEFAULT_SEEDS,
    only: list[str] | tuple[str, ...] = (),
    output: str | Path = "reproduce",
    overrides: list[str] | None = None,
    keep: bool | None = None,
    compared: bool = False,
) -> Outcome:
    """Run what is missing of a table and write ``OUTPUT/NAME.json`` (rows) and ``OUTPUT/NAME.md`` (the table).

    Every finished run is saved before the next one starts; an interrupted one is resumed. A run that fails is reported
    at the end, and the others still run. Several processes with the same arguments, each started by itself, share the
    runs.

    Args:
        table: ``table2`` … ``table8``.
        scale, data: as in :func:`configuration`; a mini table has a separate result file.
        seeds: three by default, as in the paper.
        only: presets of the table to run.
        output: folder of results and of runs in progress.
        overrides: ``section.key=value`` words for every run, e.g. ``data.root=FOLDER``; those that may change a result
            distinguish one run from another. ``{seed}`` in a word stands for the seed of the run.
        keep: whether to keep the folders of finished runs, checkpoints included, under ``OUTPUT/runs``; by default at
            full scale only, where a run takes days.
        compared: whether to run the systems too that the paper compares itself with, where they have a preset. The
            table shows their rows, and those that are published only, in any case.

    Raises:
        UsageError: a wrong table, preset, scale or override; weights for rows that the paper starts from different
            ones; a start by ``torchrun``.
    """
    if distributed.launched():
        raise UsageError(
            "the runs of a table are shared by processes that are started one by one, not by torchrun: start one for "
            "each GPU, as in `CUDA_VISIBLE_DEVICES=0 semiseg reproduce table5 …`"
        )
    chosen, words = cells(table, only, compared), list(overrides or [])
    name = f"table{table_number(table)}" + (f"_mini_{data}" if scale == "mini" else "")
    results, work = Path(output) / f"{name}.json", Path(output) / "runs" / name
    jobs = [(cell, seed) for seed in seeds for cell in chosen]
    # All configurations are made before the first run, so that every mistake in one is found now.
    configs = {(c.preset, s): configuration(c.preset, s, scale, data, words) for c, s in jobs}
    check_weights(chosen, seeds[0], scale, data, words)
    decisive = " ".join(word for word in words if word.partition("=")[0] not in FREE_ON_RESUME)
    failed = []
    for cell, seed in jobs:
        key = {"preset": cell.preset, "split_seed": seed, "overrides": decisive}
        try:
            config = configs[cell.preset, seed]
            same = partial(_same_run, results, key, config, scale, data, words)
            command = _mini_command(table, cell, seed, data, words) if scale == "mini" else None
            kept = scale == "full" if keep is None else keep
            run_once(results, key, cell.preset, seed_words(words, seed), work, config, kept, same, command)
        except SemisegError as error:
            failed.append((cell.preset, seed, str(error)))
        except RuntimeError as error:  # out of memory, or a faulty device: days of other runs must not wait for it
            traceback.print_exc(file=sys.stderr)
            failed.append((cell.preset, seed, str(error).partition("\n")[0]))
    rows = [row for row in read_results(results) if row.get("overrides", "") == decisive]
    others = PUBLISHED.get(table_number(table), [])
    # With the cells that another call has run.
    whole = as_markdown(cells(table, compared=True), rows, scale, data, others)
    (Path(output) / f"{name}.md").parent.mkdir(parents=True, exist_ok=True)
    (Path(output) / f"{name}.md").write_text(whole + "\n", encoding="utf-8")
    return Outcome(rows, as_markdown(chosen, rows, scale, data) if only else whole, failed)


def _mini_command(table: str, cell: Cell, seed: int, data: str, words: list[str]) -> str:
    """The command line of one mini run, for which there is no preset."""
    selected = ["--scale", "mini", "--data", data, "--seeds", str(seed), "--only", cell.preset]
    return shlex.join(["semiseg", "reproduce", table, *words, *selected])


def _same_run(
    results: Path, key: dict[str, Any], wanted: Config, scale: Scale, data: str, words: list[str]
) -> dict[str, Any] | None:
    """A row of another cell, of any table in this folder, with the same configuration: Tables 5 to 8 share one."""
    kind = results.stem.partition("_")[2]
    for path in sorted(results.parent.glob("table?*.json")):
        if path.stem.partition("_")[2] != kind:
            continue
        for row in read_results(path):
            if row["split_seed"] != key["split_seed"] or row.get("overrides") != key.get("overrides"):
                continue
            try:
                used = configuration(row["preset"], row["split_seed"], scale, data, words)
            except UsageError:  # a preset that no longer exists
                continue
            if _decisive(used) == _decisive(wanted):
                return {"same_run_as": row["preset"]} | row  # of a chain of cells the first stays named
    return None


def _decisive(config: Config) -> dict[str, Any]:
    """What decides on the result of a run."""
    return {key: value_of(config, key) for key in used_fields(config, fields()) if key not in FREE_ON_RESUME}
