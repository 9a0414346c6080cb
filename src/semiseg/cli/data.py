"""``semiseg data check``, ``data convert``, ``data split`` and ``data get``."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semiseg.cli.shared import AsJson, Overrides, Source, command, data_app
from semiseg.errors import SemisegError, UsageError, did_you_mean, one_line
from semiseg.runtime.shell import command_line

if TYPE_CHECKING:
    from semiseg.config.read import Config
    from semiseg.data.run_data import RunData


@command(data_app, "check")
def data_check(
    source: Source,
    overrides: Overrides = None,
    looks: Annotated[bool, typer.Option(help="Also compare unlabelled with labelled images: a few seconds.")] = True,
    as_json: AsJson = False,
) -> None:
    """Find what would break a training run. Example: semiseg data check toy_streets"""
    from semiseg.config.read import Config
    from semiseg.data.check.dataset import check_data
    from semiseg.data.check.finding import from_error
    from semiseg.data.check.mask_files import check_mask_files
    from semiseg.data.run_data import open_run_data
    from semiseg.derived import as_trained
    from semiseg.runtime.progress import CountingBar

    config = Config.load(source, overrides or [])
    counts, compared = "could not be opened", None
    try:
        data = open_run_data(config.data)
    except UsageError:
        raise
    except SemisegError as error:
        folders = [Path(part.root) for part in (config.data, config.data.source)
                   if part.dataset == "folder" and part.root is not None]  # fmt: skip
        findings = [finding for folder in folders for finding in check_mask_files(folder)]
        if not findings and not as_json:
            raise
        if not any(Path(finding.where).name in str(error) for finding in findings):
            findings.insert(0, from_error("data", error))  # the error is not about one of these files
    else:
        with suppress(SemisegError):  # no image can be read, which the check says of each
            config = as_trained(source, overrides or [], data)
        shape = config.data.crop_size
        with CountingBar("files", shown=not as_json) as bar:
            findings = check_data(
                data.train, data.val, data.labelled_names, shape, resize=config.data.resize, source=data.source,
                source_resize=config.data.source.resize, progress=bar.update,
            ).findings  # fmt: skip
        counts = (
            f"{len(data.train)} training images ({len(data.labelled)} labelled), {len(data.val)} validation images, "
            f"{data.train.info.num_classes} classes"
        )
        if looks and not any(finding.level == "error" for finding in findings):
            compared = _compare_looks(config, data, shown=not as_json)
    errors = sum(finding.level == "error" for finding in findings)
    if as_json:
        found = [vars(finding) for finding in findings]
        print(json.dumps({"errors": errors, "findings": found, "looks": compared}, default=str))
    else:
        table = Table("level", "where", "what", "what to do")
        for finding in findings:
            table.add_row(
                *(escape(one_line(text)) for text in (finding.level, finding.where, finding.message, finding.remedy))
            )
        if findings:
            Console().print(table)
        print(f"{counts}: {errors} errors, {len(findings) - errors} remarks")
        if compared is not None:
            print(compared["told"])
    if errors:
        raise typer.Exit(1)


def _compare_looks(config: Config, data: RunData, shown: bool) -> dict[str, object]:
    """What the comparison found; ``told`` is a sentence, or says why there is none."""
    from semiseg.looks import compare_looks
    from semiseg.runtime.progress import CountingBar

    try:
        with CountingBar("looks", shown) as bar:
            looks = compare_looks(config, data, bar.update)
    except SemisegError as error:
        return {"told": f"looks not compared: {error}"}
    return {"told": str(looks), "covered": looks.covered, **vars(looks)}


@command(data_app, "convert")
def data_convert(
    source: Annotated[Path, typer.Argument(help="The export: a file, or the folder that holds it.")],
    form: Annotated[str, typer.Option("--from", help="labelme, coco, labelstudio or colour (RGB masks).")],
    output: Annotated[Path, typer.Option(help="New folder for images/, masks/ and dataset.yaml.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images, if not beside the export.")] = None,
    classes: Annotated[str | None, typer.Option(help="Classes in the order of their numbers, e.g. a,b,c.")] = None,
    background: Annotated[str, typer.Option(help="Class of pixels outside all regions, or ignore.")] = "background",
    empty: Annotated[
        str, typer.Option(help="Annotated images without regions: unlabelled or background.")
    ] = "unlabelled",
    overlap: Annotated[str, typer.Option(help="Which region is on top: later or smaller.")] = "later",
    others: Annotated[str, typer.Option(help="Labels not in --classes: error, background or ignore.")] = "error",
    colours: Annotated[Path | None, typer.Option(help="For colour: YAML or CSV file of classes and colours.")] = None,
    skip_missing: Annotated[bool, typer.Option("--skip-missing", help="Leave out images that are not found.")] = False,
) -> None:
    """Index masks from an annotation tool's export. Example: semiseg data convert labels --from labelme --output new"""
    from semiseg.data.convert import convert

    names = None if classes is None else [name.strip() for name in classes.split(",")]
    done = convert(
        source, form, output, images=images, classes=names, background=background, empty=empty, overlap=overlap,
        others=others, colours=colours, skip_missing=skip_missing,
    )  # fmt: skip
    table = Table("value", "class", "masks", "pixels %")
    total = max(1, sum(done.pixels))
    for i, (name, masks, pixels) in enumerate(zip(done.classes, done.shown_in, done.pixels, strict=True)):
        table.add_row(str(i), escape(name), str(masks), f"{100 * pixels / total:.2f}")
    Console().print(table)
    for note in done.notes:
        print(f"semiseg: {one_line(note)}", file=sys.stderr)
    print(f"{done.images} images, {done.masks} with a mask, in {output}; next: semiseg data check {output}")


@command(data_app, "split")
def data_split(
    source: Source,
    output: Annotated[Path, typer.Option(help="Text file to write, one image name per line.")],
    labelled: Annotated[str, typer.Option(help="Count (12), fraction (1/30) or all.")] = "1/30",
    seed: Annotated[int, typer.Option(help="Seed of the permutation.")] = 0,
) -> None:
    """Write a seeded list of labelled images. Example: semiseg data split toy_streets --output list.txt"""
    from semiseg.config.read import Config
    from semiseg.data.run_data import open_run_data
    from semiseg.data.splits.lists import write_list

    words = [f"data.labelled={labelled}", f"data.split_seed={seed}"]
    config = Config.load(source, words)
    if output.exists():
        raise UsageError(f"{output} exists; choose another --output")
    data = open_run_data(config.data)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_list(output, data.labelled_names)
    print(f"{len(data.labelled)} of {len(data.train)} images listed in {output}")


@command(data_app, "get")
def data_get(
    name: Annotated[str, typer.Argument(help="nuclei: cells under several microscopes (83 MB, CC0).")],
    output: Annotated[Path | None, typer.Option(help="New folder; the name of the data set if left out.")] = None,
    images: Annotated[int | None, typer.Option(help="How many images, for a quick first run; else all.")] = None,
) -> None:
    """Fetch a public data set as a folder. Example: semiseg data get nuclei --images 100"""
    from semiseg.data.get import get_nuclei
    from semiseg.runtime.progress import CountingBar

    if name != "nuclei":
        raise UsageError(f"{name} is no data set that can be fetched; choose nuclei{did_you_mean(name, ['nuclei'])}")
    with CountingBar("images") as bar:
        got = get_nuclei(output or Path(name), images, bar.update)
    print(f"{got.train} images to train on and {got.val} for validation in {got.folder}; the download is kept as "
          f"{got.archive}")  # fmt: skip
    labelled = min(12, max(1, got.train // 4))
    words: list[str | Path] = ["semiseg", "data", "check", got.folder, f"data.labelled={labelled}", "data.crop=128"]
    print(f"next: {command_line(words)}")
