"""``semiseg data check`` and ``semiseg data split``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..errors import UsageError
from .shared import AsJson, Overrides, command, data_app


@command(data_app, "check")
def data_check(
    source: Annotated[str, typer.Argument(metavar="PRESET_OR_FOLDER", help="A preset, a YAML file or a folder.")],
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Find what would break a training run. Example: semiseg data check toy_streets"""
    from ..config import Config
    from ..data.check import check_data
    from ..data.run_data import open_run_data

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
    from ..config import Config
    from ..data.run_data import open_run_data
    from ..data.splits import write_list

    words = [f"data.labelled={labelled}", f"data.split_seed={seed}"]
    config = Config.parse({}, [f"data.root={source}", *words]) if Path(source).is_dir() else Config.load(source, words)
    if output.exists():
        raise UsageError(f"{output} exists; choose another --output")
    data = open_run_data(config.data)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_list(output, data.labelled_names)
    print(f"{len(data.labelled)} of {len(data.train)} images listed in {output}")
