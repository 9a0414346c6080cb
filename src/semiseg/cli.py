"""The command line: one function a subcommand. Errors are one line; exit code 2 for misuse, 1 for failure."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .errors import SemisegError, UsageError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Semantic segmentation from few labelled and many unlabelled images.",
)
data_app = typer.Typer(no_args_is_help=True, help="Look at a data set before training.")
app.add_typer(data_app, name="data")

Run = Annotated[Path, typer.Argument(help="Run folder, or a checkpoint file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Checkpoint = Annotated[str, typer.Option(help="Which checkpoint of a run folder: last or best.")]
Teacher = Annotated[bool, typer.Option(help="Use the teacher instead of the student.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Changes, e.g. training.iterations=1000 data.root=FOLDER.")]


def command(group: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as subcommand; its user errors become one line and an exit code."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            number = int(os.environ.get("RANK", "0"))  # of this process, where torchrun started several
            try:
                function(*args, **kwargs)
            except SemisegError as error:
                misuse = isinstance(error, UsageError)
                if number == 0 or not misuse:  # all processes make the same mistake
                    print(f"semiseg{f' (process {number})' if number else ''}: {error}", file=sys.stderr)
                raise typer.Exit(2 if misuse else 1) from None
            except OSError as error:  # a full disk, a folder that cannot be written
                print(f"semiseg: {error.strerror or error}: {error.filename or 'output'}; mend that and try again",
                      file=sys.stderr)  # fmt: skip
                raise typer.Exit(1) from None
            except KeyboardInterrupt:
                if number == 0:
                    print("semiseg: interrupted; `--resume` goes on from the last checkpoint", file=sys.stderr)
                raise typer.Exit(130) from None

        group.command(name)(guarded)
        return function

    return register


def _which(checkpoint: str) -> Any:
    if checkpoint not in ("last", "best"):
        raise UsageError(f"--checkpoint {checkpoint!r}: choose last or best")
    return checkpoint


@command(app, "train")
def train(
    preset: Annotated[str, typer.Argument(metavar="PRESET_OR_YAML", help="A preset's name or a YAML file.")],
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option(help="Go on from the run folder's last checkpoint.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress bar.")] = False,
) -> None:
    """Train a network. Example: semiseg train toy_streets run_dir=runs/toy training.iterations=300"""
    from . import distributed
    from .training.loop import train as run_training

    # A cluster ends a job with SIGTERM, and torchrun the other processes when one has failed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    result = run_training(preset, overrides or [], resume=resume, progress=not quiet)
    if distributed.is_main():
        print(
            f"mIoU of the student: last {result.last_miou:.2f}, best {result.best_miou:.2f} "
            f"(iteration {result.best_iteration}); run in {result.run_dir}"
        )
    distributed.stop()


@command(app, "evaluate")
def evaluate(
    run: Run,
    split: Annotated[str, typer.Option(help="Split of the data set.")] = "val",
    checkpoint: Checkpoint = "last",
    teacher: Teacher = False,
    device: Device = "auto",
    data_root: Annotated[str | None, typer.Option(help="Where the data lies now, if it moved.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure IoU on a split. Example: semiseg evaluate runs/toy --split val --json"""
    from . import distributed
    from .api import evaluate as run_evaluation

    result = run_evaluation(run, split, _which(checkpoint), teacher, device, data_root)
    speaks = distributed.is_main()
    distributed.stop()
    if not speaks:
        return
    if as_json:
        print(json.dumps(result.to_json()))
        return
    table = Table("class", "IoU %", title=f"{run}, {split}, {checkpoint} checkpoint, {result.images} images")
    for name, value in zip(result.classes, result.iou, strict=True):
        table.add_row(name, "absent" if value != value else f"{100 * value:.2f}")
    table.add_row("mean", f"{100 * result.miou:.2f}", style="bold")
    Console().print(table)


@command(app, "predict")
def predict(
    run: Run,
    images: Annotated[list[Path], typer.Argument(help="Image files, folders or globs.")],
    output: Annotated[Path, typer.Option(help="Folder for masks/ and overlays/.")],
    checkpoint: Checkpoint = "best",
    teacher: Teacher = False,
    device: Device = "auto",
    overlays: Annotated[bool, typer.Option(help="Write colour overlays.")] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace existing results.")] = False,
) -> None:
    """Segment images. Example: semiseg predict runs/toy photos/ --output predictions/"""
    from . import distributed
    from .api import predict as run_prediction

    written, failed = run_prediction(
        run, images, output, _which(checkpoint), teacher, device, overlay=overlays, overwrite=overwrite
    )
    for failure in failed:
        print(f"semiseg: skipped {failure.path}: {failure.reason}", file=sys.stderr)
    done, skipped = distributed.sums(len(written), len(failed))
    if distributed.is_main():
        print(f"{done} images segmented into {output}, {skipped} skipped")
    distributed.stop()
    if not done:
        raise SemisegError("no image could be read; nothing was predicted")


@command(app, "presets")
def presets(as_json: AsJson = False) -> None:
    """List the presets. Example: semiseg presets --json"""
    from .presets import list_presets

    rows = list_presets()
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(title="semiseg train PRESET")
    for title, folds in (
        ("preset", False),
        ("table", False),
        ("paper mIoU", False),
        ("what it does; what it needs", True),
    ):
        table.add_column(title, no_wrap=not folds)
    for row in rows:
        figure = row["paper_miou"]
        what = f"{row['title'] or ''}\n[dim]{row['needs']}[/dim]" if row["table"] is None else row["title"]
        table.add_row(row["name"], row["table"] or "", "" if figure is None else f"{figure:.1f}", what)
    Console().print(table)


@command(app, "cost")
def cost(
    preset: Annotated[str, typer.Argument(metavar="PRESET_OR_YAML", help="A preset's name or a YAML file.")],
    overrides: Overrides = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes; else the data set's.")] = None,
    as_json: AsJson = False,
) -> None:
    """FLOPs, parameters and memory of a training step. Example: semiseg cost table5_all"""
    from .config import Config
    from .cost import PAPER, PAPER_TOTAL
    from .cost import cost as count
    from .data import known_classes
    from .data.run_data import open_split

    config = Config.load(preset, overrides or [])
    number = classes or known_classes(config.data.dataset) or open_split(config.data, "train").info.num_classes
    found = count(config, number)
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
        return
    crop = config.data.crop
    height, width = (crop, crop) if isinstance(crop, int) else crop
    title = f"one labelled and one unlabelled {height}×{width} image"
    table = Table("forward pass", "GFLOPs", "paper, 512×512", title=title)
    for part, flops in found.flops.items():
        table.add_row(part, f"{flops / 1e9:.2f}", f"{PAPER[part]:.2f}")
    table.add_row("all", f"{found.total / 1e9:.2f}", f"{PAPER_TOTAL:.2f}", style="bold")
    Console().print(table)
    t = config.training
    print(f"a step of {t.batch_size} labelled crops, forward and backward: about {found.step_flops / 1e12:.2f} TFLOPs")
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
    output: Annotated[Path, typer.Option(help="Folder for results and runs in progress.")] = Path("reproduce"),
    dry_run: Annotated[bool, typer.Option(help="Say what would run, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run or resume a table of the paper. Example: semiseg reproduce table5 --scale mini --dry-run"""
    from . import reproduce as tables

    if scale not in ("full", "mini"):
        raise UsageError(f"--scale {scale!r}: choose full or mini")
    try:
        numbers = [int(number) for number in seeds.split(",")]
    except ValueError:
        raise UsageError(f"--seeds {seeds!r} are not whole numbers; write e.g. --seeds 0,1,2") from None
    if dry_run:
        print(tables.plan(table, scale, data, numbers, only or []))  # type: ignore[arg-type]
        return
    outcome = tables.reproduce(
        table, scale=scale, data=data, seeds=numbers, only=only or [], output=output, overrides=overrides,  # type: ignore[arg-type]
    )  # fmt: skip
    print(tables.to_json(outcome) if as_json else outcome.table)
    for preset, seed, reason in outcome.failed:
        print(f"semiseg: {preset}, seed {seed}: {reason}", file=sys.stderr)
    if outcome.failed:
        raise SemisegError(f"{len(outcome.failed)} runs failed; mend that and give the same command again")


@command(data_app, "check")
def data_check(
    source: Annotated[str, typer.Argument(metavar="PRESET_OR_FOLDER", help="A preset, a YAML file or a folder.")],
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Find what would break a training run. Example: semiseg data check toy_streets"""
    from .config import Config
    from .data.check import check_data
    from .data.run_data import open_run_data

    if Path(source).is_dir():
        config = Config.parse({}, [f"data.root={source}", *(overrides or [])])
    else:
        config = Config.load(source, overrides or [])
    data = open_run_data(config.data)
    crop = config.data.crop
    shape = (crop, crop) if isinstance(crop, int) else crop
    findings = check_data(
        data.train, data.val, data.labelled_names, shape, resize=config.data.resize, source=data.source
    )
    errors = sum(finding.level == "error" for finding in findings)
    if as_json:
        print(json.dumps({"errors": errors, "findings": [vars(finding) for finding in findings]}, default=str))
    else:
        table = Table("level", "where", "what", "mend")
        for finding in findings:
            table.add_row(finding.level, str(finding.where), finding.message, finding.mend)
        if findings:
            Console().print(table)
        print(
            f"{len(data.train)} training images ({len(data.labelled)} labelled), {len(data.val)} validation images, "
            f"{data.train.info.num_classes} classes: {errors} errors, {len(findings) - errors} remarks"
        )
    if errors:
        raise typer.Exit(1)


@command(data_app, "split")
def data_split(
    source: Annotated[str, typer.Argument(metavar="PRESET_OR_FOLDER", help="A preset, a YAML file or a folder.")],
    output: Annotated[Path, typer.Option(help="Text file to write, one image name a line.")],
    labelled: Annotated[str, typer.Option(help="Count (12), fraction (1/30) or all.")] = "1/30",
    seed: Annotated[int, typer.Option(help="Seed of the permutation.")] = 0,
) -> None:
    """Write a seeded list of labelled images. Example: semiseg data split toy_streets --output list.txt"""
    from .config import Config
    from .data.run_data import open_run_data
    from .data.splits import write_list

    words = [f"data.labelled={labelled}", f"data.split_seed={seed}"]
    config = Config.parse({}, [f"data.root={source}", *words]) if Path(source).is_dir() else Config.load(source, words)
    if output.exists():
        raise UsageError(f"{output} exists; choose another --output")
    data = open_run_data(config.data)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_list(output, data.labelled_names)
    print(f"{len(data.labelled)} of {len(data.train)} images listed in {output}")


def main() -> None:
    """Entry point of the console script."""
    app()
