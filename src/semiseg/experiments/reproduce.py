"""A table of the paper by one command: run or resume what is missing, then paper | measured | difference.

At full scale the presets run as they are. At mini scale (``--scale mini``) the same rows run on toy streets or CamVid
with the short schedule of that preset: what a row is about (terms, weights, bank, labelled fraction, architecture,
source domain) is kept, what it takes a GPU for is not. Mini figures stand beside the paper's for their *order* only.
"""

from __future__ import annotations

import json
import shlex
import statistics
import sys
import traceback
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from semiseg.config.keys import FREE_ON_RESUME, value_of
from semiseg.config.read import Config, fields
from semiseg.errors import SemisegError, UsageError, did_you_mean
from semiseg.experiments.results import mean_sd, read_results, run_once
from semiseg.presets import list_presets, merged, preset_path, read_yaml
from semiseg.runtime import distributed

Scale = Literal["full", "mini"]
MINI_DATA = ("toy_streets", "camvid")
DEFAULT_SEEDS = (0, 1, 2)  # "the mean of three runs" over three label splits (section 4.2)


@dataclass(frozen=True)
class Cell:
    """One figure of a table: its preset and the paper's value in percent."""

    preset: str
    title: str
    paper: float


@dataclass
class Outcome:
    """What a table came to: rows of the result file, the table as Markdown, and what failed with its reason."""

    rows: list[dict[str, Any]]
    table: str
    failed: list[tuple[str, int, str]] = field(default_factory=list)


def table_number(name: str) -> str:
    """``table5``, ``Table 5`` or ``5`` → ``5``.

    Raises:
        UsageError: the presets have no such table.
    """
    number = name.lower().replace(" ", "").removeprefix("table")
    known = sorted({row["table"] for row in list_presets() if row["table"]})
    if number not in known:
        tables = [f"table{n}" for n in known]
        raise UsageError(f"no table {name!r}{did_you_mean(name, tables)}; there are {', '.join(tables)}")
    return number


def cells(table: str, only: list[str] | tuple[str, ...] = ()) -> list[Cell]:
    """The cells of a table, those of the paper's text only, by rising figure of the paper.

    Raises:
        UsageError: no such table, or ``only`` names what it does not have.
    """
    number = table_number(table)
    found = [Cell(r["name"], r["title"], r["paper_miou"]) for r in list_presets() if r["table"] == number]
    names = [cell.preset for cell in found]
    for name in only:
        if name not in names:
            raise UsageError(
                f"table {number} has no preset {name!r}{did_you_mean(name, names)}; it has {', '.join(names)}"
            )
    return sorted((c for c in found if not only or c.preset in only), key=lambda cell: (cell.paper, cell.preset))


def configuration(
    preset: str, seed: int, scale: Scale = "full", data: str = "toy_streets", overrides: list[str] | None = None
) -> Config:
    """Configuration of one run: seed of everything and of the label split.

    Args:
        preset: a cell's.
        seed: for ``training.seed`` and ``data.split_seed``.
        scale: full, or mini.
        data: at mini scale, the preset whose data, network size and schedule are used: toy_streets or camvid.
        overrides: further ``section.key=value`` words, applied last; ``{seed}`` in one stands for the seed, as in
            ``data.labelled_list=split_{seed}.pkl``.

    Raises:
        UsageError: a row with a source domain on CamVid, which has none, or a wrong word.
    """
    values = read_yaml(preset_path(preset))
    if scale == "mini":
        values = _mini(preset, values, data)
    words = _seeded(overrides or [], seed)
    return Config.parse({"name": preset} | values, words, preset)


def _seeded(overrides: list[str], seed: int) -> list[str]:
    own = [word.replace("{seed}", str(seed)) for word in overrides]
    return [f"data.split_seed={seed}", f"training.seed={seed}", *own]


def _mini(preset: str, values: dict[str, Any], data: str) -> dict[str, Any]:
    if data not in MINI_DATA:
        raise UsageError(f"--data {data!r}: choose one of {', '.join(MINI_DATA)}")
    base = read_yaml(preset_path(data))
    about: dict[str, Any] = {key: values[key] for key in ("title", "table", "paper_miou") if key in values}
    about["method"] = values.get("method", {})
    about["data"] = {"labelled": values["data"]["labelled"]}
    about["network"] = {"architecture": values["network"]["architecture"]}
    if values["data"].get("source"):
        if data != "toy_streets":
            raise UsageError(f"{preset} needs a source domain, which {data} has not; leave --data at toy_streets")
        about["data"]["source"] = {"dataset": "toy_streets", "options": {"look": "game"}}
    return merged(base, about)


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
) -> Outcome:
    """Run what is missing of a table and write ``OUTPUT/NAME.json`` (rows) and ``OUTPUT/NAME.md`` (the table).

    Every finished run is saved before the next starts; an interrupted one is resumed. A run that fails is reported at
    the end and the others go on. Several processes with the same arguments share the runs, each started by itself.

    Args:
        table: ``table2`` … ``table8``.
        scale, data: see :func:`configuration`; a mini table has a result file of its own.
        seeds: three by default, as in the paper.
        only: presets of the table to run.
        output: folder of results and of runs in progress.
        overrides: ``section.key=value`` words for every run, e.g. ``data.root=FOLDER``; those that may change a result
            tell one run from another. ``{seed}`` in a word stands for the seed of the run.
        keep: leave the run folders of finished runs, checkpoints included, under ``OUTPUT/runs``; by default at full
            scale only, where a run is worth days.

    Raises:
        UsageError: a wrong table, preset, scale or override; weights for rows that the paper starts from different
            ones; a start by ``torchrun``.
    """
    if distributed.launched():
        raise UsageError(
            "the runs of a table are shared by processes that are started one by one, not by torchrun: give each GPU "
            "its own, as in `CUDA_VISIBLE_DEVICES=0 semiseg reproduce table5 …`"
        )
    chosen, words = cells(table, only), list(overrides or [])
    name = f"table{table_number(table)}" + (f"_mini_{data}" if scale == "mini" else "")
    results, work = Path(output) / f"{name}.json", Path(output) / "runs" / name
    jobs = [(cell, seed) for seed in seeds for cell in chosen]
    configs = {(c.preset, s): configuration(c.preset, s, scale, data, words) for c, s in jobs}  # all errors come first
    _check_weights(chosen, seeds[0], scale, data, words)
    telling = " ".join(word for word in words if word.partition("=")[0] not in FREE_ON_RESUME)
    failed = []
    for cell, seed in jobs:
        key = {"preset": cell.preset, "split_seed": seed, "overrides": telling}
        try:
            config = configs[cell.preset, seed]
            same = partial(_same_run, results, key, config, scale, data, words)
            command = None
            if scale == "mini":  # no preset by itself
                command = shlex.join(["semiseg", "reproduce", table, *words, "--scale", "mini", "--data", data,
                                      "--seeds", str(seed), "--only", cell.preset])  # fmt: skip
            kept = scale == "full" if keep is None else keep
            run_once(results, key, cell.preset, _seeded(words, seed), work, config, kept, same, command)
        except SemisegError as error:
            failed.append((cell.preset, seed, str(error)))
        except RuntimeError as error:  # memory, or a device in trouble: days of other runs must not wait for somebody
            traceback.print_exc(file=sys.stderr)
            failed.append((cell.preset, seed, str(error).partition("\n")[0]))
    rows = [row for row in read_results(results) if row.get("overrides", "") == telling]
    whole = report(cells(table), rows, scale, data)  # other cells may be there from another call
    (Path(output) / f"{name}.md").parent.mkdir(parents=True, exist_ok=True)
    (Path(output) / f"{name}.md").write_text(whole + "\n", encoding="utf-8")
    return Outcome(rows, report(chosen, rows, scale, data) if only else whole, failed)


def _check_weights(chosen: list[Cell], seed: int, scale: Scale, data: str, words: list[str]) -> None:
    """One file of weights for rows that differ in their weights would put figures beside those of other weights."""
    rest = [word for word in words if not word.startswith("network.pretrained=")]
    if len(rest) == len(words):
        return
    by_weights: dict[str, list[str]] = {}
    for cell in chosen:
        weights = str(configuration(cell.preset, seed, scale, data, rest).network.pretrained)
        by_weights.setdefault(weights, []).append(cell.preset)
    if len(by_weights) > 1:
        kinds = "; ".join(f"{weights}: {', '.join(names)}" for weights, names in by_weights.items())
        raise UsageError(f"network.pretrained= would replace different weights ({kinds}); choose rows of one by --only")


def _same_run(
    results: Path, key: dict[str, Any], wanted: Config, scale: Scale, data: str, words: list[str]
) -> dict[str, Any] | None:
    """A row of another cell, of any table in this folder, whose run was configured alike: Tables 5 to 8 share one."""
    kind = results.stem.partition("_")[2]
    for path in sorted(results.parent.glob("table?*.json")):
        if path.stem.partition("_")[2] != kind:
            continue
        for row in read_results(path):
            if row["split_seed"] != key["split_seed"] or row.get("overrides") != key.get("overrides"):
                continue
            try:
                there = configuration(row["preset"], row["split_seed"], scale, data, words)
            except UsageError:  # a preset that is no more
                continue
            if _telling(there) == _telling(wanted):
                return {"same_run_as": row["preset"]} | row  # the first of them stays named
    return None


def _telling(config: Config) -> dict[str, Any]:
    """What decides on the result of a run."""
    return {key: value_of(config, key) for key in fields() if key not in FREE_ON_RESUME}


def report(chosen: list[Cell], rows: list[dict[str, Any]], scale: Scale = "full", data: str = "toy_streets") -> str:
    """Markdown: a line a cell, mean ± sd of the last student over the seeds; then how far the order agrees."""
    measured = {cell.preset: [r["miou_last"] for r in rows if r["preset"] == cell.preset] for cell in chosen}
    best = {cell.preset: [r["miou_best"] for r in rows if r["preset"] == cell.preset] for cell in chosen}
    same = {r["preset"]: r["same_run_as"] for r in rows if "same_run_as" in r}
    full = scale == "full"
    lines = [] if full else [f"On {data} with a short schedule: the paper's figures are for the order only.", ""]
    columns = ["preset", "what", "paper", "runs", "measured, last", "measured, best", *(["difference"] if full else [])]
    lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for cell in chosen:
        values = measured[cell.preset]
        line = [
            cell.preset,
            cell.title + (f" (the run of {same[cell.preset]})" if cell.preset in same else ""),
            f"{cell.paper:.1f}",
            str(len(values)),
            mean_sd(values),
            mean_sd(best[cell.preset]),
        ]
        if full:
            line.append(f"{statistics.fmean(values) - cell.paper:+.1f}" if values else "–")
        lines.append("| " + " | ".join(line) + " |")
    agree, pairs, against = order_agreement(chosen, measured, same)
    if pairs:
        lines += ["", f"{agree} of {pairs} orderings of the paper hold."]
        lines += [f"- not: {low} < {high}" for low, high in against[:10]]
    return "\n".join(lines)


def order_agreement(
    chosen: list[Cell], measured: dict[str, list[float]], same: dict[str, str] | None = None
) -> tuple[int, int, list[tuple[str, str]]]:
    """Pairs of cells that the paper orders: how many the means order alike, of how many, and those that they do not.

    Two cells that have one run between them (``same``: a cell's preset to the one whose run it took) are no pair.
    """
    of = {cell.preset: (same or {}).get(cell.preset, cell.preset) for cell in chosen}
    there = [cell for cell in chosen if measured[cell.preset]]
    pairs = [
        (a, b) if a.paper < b.paper else (b, a)
        for a, b in combinations(there, 2)
        if a.paper != b.paper and of[a.preset] != of[b.preset]
    ]
    means = {cell.preset: statistics.fmean(measured[cell.preset]) for cell in there}
    against = [(low.preset, high.preset) for low, high in pairs if means[low.preset] >= means[high.preset]]
    return len(pairs) - len(against), len(pairs), against


def plan(
    table: str,
    scale: Scale,
    data: str,
    seeds: list[int] | tuple[int, ...],
    only: list[str] | tuple[str, ...],
    overrides: list[str] | None = None,
) -> str:
    """What :func:`reproduce` would run, a line a run, with the keys in which the rows differ from their defaults."""
    lines = []
    chosen = cells(table, only)
    _check_weights(chosen, seeds[0], scale, data, overrides or [])
    for cell in chosen:
        config = configuration(cell.preset, seeds[0], scale, data, overrides)
        t = config.training
        lines.append(
            f"{cell.preset}: {config.data.dataset} {config.data.labelled}, {config.network.architecture} "
            f"{config.network.backbone} ({config.network.pretrained}), {t.iterations} steps of {t.batch_size}, "
            f"seeds {', '.join(map(str, seeds))}; paper {cell.paper}"
        )
    return "\n".join(lines)


def to_json(outcome: Outcome) -> str:
    """The rows and the failures for programs."""
    return json.dumps({"rows": outcome.rows, "failed": outcome.failed}, indent=1)
