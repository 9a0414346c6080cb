"""``semiseg cost``, ``semiseg reproduce`` and ``semiseg compare``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from semiseg.cli.shared import AsJson, Overrides, Source, app, command
from semiseg.errors import SemisegError, UsageError


@command(app, "cost")
def cost(
    source: Source,
    overrides: Overrides = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes; default: as in the data set.")] = None,
    as_json: AsJson = False,
) -> None:
    """FLOPs, parameters and memory of a training step. Example: semiseg cost table5_all"""
    from semiseg.config.read import Config
    from semiseg.cost.step import PAPER, PAPER_TOTAL
    from semiseg.cost.step import cost as count
    from semiseg.data.datasets import known_classes
    from semiseg.data.run_data import open_run_data, open_split
    from semiseg.derived import as_trained, derives

    config = Config.load(source, overrides or [])
    if derives(source, config):
        try:
            config = as_trained(source, overrides or [], open_run_data(config.data))
        except UsageError:
            raise
        except SemisegError as error:
            raise UsageError(f"{error}; or count the preset: semiseg cost folder --classes N") from None
    number = classes or known_classes(config.data.dataset)
    try:
        number = number or open_split(config.data, "train").info.num_classes
    except SemisegError as error:
        raise UsageError(f"{error}; or give the number of classes: --classes N") from None
    found = count(config, number)
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
        return
    height, width = config.data.crop_size
    title = f"one labelled and one unlabelled {height}×{width} image"
    table = Table("forward pass", "GFLOPs", "paper, 512×512", title=title)
    for part, flops in found.flops.items():
        table.add_row(part, f"{flops / 1e9:.2f}", f"{PAPER[part]:.2f}" if part in PAPER else "–")
    table.add_row("all", f"{found.total / 1e9:.2f}", f"{PAPER_TOTAL:.2f}", style="bold")
    Console().print(table)
    t = config.training
    print(f"a step of {t.batch_size} labelled crops, forward and backward: about {found.step_flops / 1e12:.2f} TFLOPs")
    steps, flops = found.first_stage
    if steps:
        print(
            f"the first {steps} of {t.iterations} steps (method.stages) see labelled crops alone: about "
            f"{flops / 1e12:.2f} TFLOPs each"
        )
    table = Table("memory of a step", "MiB", title="parameters: " + ", ".join(
        f"{name} {count / 1e6:.1f} M" for name, count in found.parameters.items()))  # fmt: skip
    for part, size in found.memory.items():
        table.add_row(part, f"{size / 2**20:.0f}")
    table.add_row("at least", f"{found.memory_total / 2**20:.0f}", style="bold")
    Console().print(table)


@command(app, "reproduce")
def reproduce(
    table: Annotated[str, typer.Argument(help="table2 to table8 of the paper.")],
    overrides: Overrides = None,
    scale: Annotated[str, typer.Option(help="full: as in the paper; mini: short, on toy streets or CamVid.")] = "full",
    data: Annotated[str, typer.Option(help="At mini scale: toy_streets or camvid.")] = "toy_streets",
    seeds: Annotated[str, typer.Option(help="Seeds of the runs and of their label splits.")] = "0,1,2",
    only: Annotated[list[str] | None, typer.Option(help="A preset of the table; may be repeated.")] = None,
    keep: Annotated[
        bool | None,
        typer.Option("--keep/--no-keep", help="Keep the folders of finished runs; by default at full scale only."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for results and runs in progress.")] = Path("reproduce"),
    dry_run: Annotated[bool, typer.Option(help="Print what would run, and stop.")] = False,
    compared: Annotated[
        bool, typer.Option("--compared", help="Run the systems too that the paper compares itself with.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run or resume a table of the paper. Example: semiseg reproduce table5 --scale mini --dry-run"""
    from semiseg.experiments.paper_tables import preview
    from semiseg.experiments.reproduce import reproduce as run_table

    if scale not in ("full", "mini"):
        raise UsageError(f"--scale {scale!r}: choose full or mini")
    try:
        numbers = [int(number) for number in seeds.split(",")]
    except ValueError:
        raise UsageError(f"--seeds {seeds!r} is no list of whole numbers; write e.g. --seeds 0,1,2") from None
    if dry_run:
        print(preview(table, scale, data, numbers, only or [], overrides, compared))  # type: ignore[arg-type]
        return
    outcome = run_table(
        table, scale=scale, data=data, seeds=numbers, only=only or [], output=output, overrides=overrides, keep=keep,  # type: ignore[arg-type]
        compared=compared,
    )  # fmt: skip
    print(outcome.to_json() if as_json else outcome.table)
    for preset, seed, reason in outcome.failed:
        print(f"semiseg: {preset}, seed {seed}: {reason}", file=sys.stderr)
    if outcome.failed:
        raise SemisegError(f"{len(outcome.failed)} runs failed; correct the cause and give the same command again")


@command(app, "compare")
def compare(
    source: Source,
    overrides: Overrides = None,
    methods: Annotated[str, typer.Option(help="Methods, by commas; supervised always stands beside them.")] = "",
    labelled: Annotated[
        str, typer.Option(help="Numbers of labelled images, by commas, or all; default: as configured.")
    ] = "",
    seeds: Annotated[str, typer.Option(help="Seeds of the runs and of their labelled images.")] = "1,2,3",
    equal: Annotated[
        str, typer.Option(help="What is equal to supervised: steps, crops, seconds, or several by commas.")
    ] = "steps,crops",
    output: Annotated[Path, typer.Option(help="Folder for results, settings and runs in progress.")] = Path("compare"),
    jobs: Annotated[int, typer.Option(min=1, help="Runs side by side, which share the cores.")] = 1,
    profile: Annotated[
        str,
        typer.Option(help="equal: all share augmentation, teacher, class weights and warm-up; paper: each its own's."),
    ] = "equal",
    as_json: AsJson = False,
) -> None:
    """Methods under equal conditions. Example: semiseg compare toy_streets --methods fixmatch --labelled 12,46"""
    from semiseg.experiments.comparison.compare import compare as run_comparison
    from semiseg.experiments.comparison.table import sections

    try:
        numbers = [int(number) for number in words_of(seeds)]
    except ValueError:
        raise UsageError(f"--seeds {seeds!r} is no list of whole numbers; write e.g. --seeds 1,2,3") from None
    compared = run_comparison(
        source, words_of(methods), labelled=words_of(labelled), seeds=numbers, equal=words_of(equal),
        overrides=overrides or [], output=output, jobs=jobs, profile=profile,  # type: ignore[arg-type]
    )  # fmt: skip
    if as_json:
        print(json.dumps({"rows": compared.rows, "failed": compared.failed}, indent=1))
    else:
        table = compared.table
        if sys.stdout.isatty() and max(map(len, table.splitlines())) > Console().width:
            table = "\n\n".join(section.as_blocks() for section in sections(compared.rows))
        print(f"{table}\n\nAlso as a page: {compared.page}")
    for run, reason in compared.failed:
        print(f"semiseg: {run} failed: {reason}", file=sys.stderr)
    if compared.failed:
        raise typer.Exit(1)


def words_of(text: str) -> list[str]:
    """``a, b`` → ``[a, b]``."""
    return [word.strip() for word in text.split(",") if word.strip()]
