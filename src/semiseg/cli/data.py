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
    from semiseg.data.check.finding import Finding
    from semiseg.data.check.layout import Laid
    from semiseg.data.run_data import RunData


@command(data_app, "check")
def data_check(
    source: Source,
    overrides: Overrides = None,
    looks: Annotated[bool, typer.Option(help="Also compare unlabelled with labelled images: a few seconds.")] = True,
    as_json: AsJson = False,
) -> None:
    """Say what a folder holds, and find what would break a training run. Example: semiseg data check toy_streets"""
    from semiseg.config.read import Config
    from semiseg.data.check.dataset import check_data
    from semiseg.data.check.finding import by_kind, from_error
    from semiseg.data.check.layout import laid_out
    from semiseg.data.check.mask_files import check_mask_files
    from semiseg.data.layouts.command import ConvertFirst
    from semiseg.data.run_data import open_run_data
    from semiseg.derived import as_trained
    from semiseg.runtime.progress import CountingBar

    if Path(source).is_file() and Path(source).suffix.lower() not in (".yaml", ".yml"):
        _check_export(Path(source), as_json)
    config = Config.load(source, overrides or [])
    folders = [Path(part.root) for part in (config.data, config.data.source)
               if part.dataset == "folder" and part.root is not None]  # fmt: skip
    laid = laid_out(folders[0]) if folders else None
    counts, compared = "could not be opened", None
    findings: list[Finding] = []
    try:
        data = open_run_data(config.data)
    except UsageError:
        raise
    except SemisegError as error:
        findings = [finding for folder in folders for finding in check_mask_files(folder)]
        if not findings and not as_json and not isinstance(error, ConvertFirst):
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
    _print_check(laid, by_kind(findings), counts, compared, as_json)


def _check_export(path: Path, as_json: bool) -> None:
    """What a single file is; always ends the command, since nothing can be trained on it."""
    from semiseg.data.check.finding import Finding
    from semiseg.data.check.layout import laid_out

    laid = laid_out(path)
    if not laid.command:
        raise UsageError(f"{path} is no export that is known; give the folder of images, or a preset")
    finding = Finding("error", "data", f"{laid.told}, to be converted", f"run {laid.command}", laid.command)
    _print_check(laid, [finding], "could not be opened", None, as_json)


def _print_check(
    laid: Laid | None, findings: list[Finding], counts: str, compared: dict[str, object] | None, as_json: bool
) -> None:
    """The layout, a table of the findings and, below it, whole, the commands that they give; then the exit code."""
    errors = sum(finding.level == "error" for finding in findings)
    if as_json:
        found = {"errors": errors, "findings": [vars(finding) for finding in findings], "looks": compared,
                 "layout": None if laid is None else vars(laid)}  # fmt: skip
        print(json.dumps(found, default=str))
    else:
        if laid is not None:
            print(f"found ({laid.sure}): {one_line(laid.told)}")
        table = Table("level", "where", "what", "what to do")
        for finding in findings:
            message, remedy = (text.replace(finding.command, "the command below") if finding.command else text
                               for text in (finding.message, finding.remedy))  # fmt: skip
            table.add_row(*(escape(one_line(text)) for text in (finding.level, finding.where, message, remedy)))
        if findings:
            Console().print(table)
        remarks = len(findings) - errors
        print(f"{counts}: {errors} error{'s' * (errors != 1)}, {remarks} remark{'s' * (remarks != 1)}")
        for command in dict.fromkeys(finding.command for finding in findings if finding.command):
            print(f"command:\n{command}")
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
    output: Annotated[Path, typer.Option(help="New folder for images/, masks/ and dataset.yaml.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="What it is, where the files do not say: coco, yolo, labelme, labelme_dataset, labelstudio, via, "
            "supervisely, qupath, instances (masks that number objects) or colour (grey or coloured masks).",
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images, if not beside the export.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Classes in the order of their numbers, or of grey values: a,b,c; or a=0,b=128,c=#ff0000."),
    ] = None,
    background: Annotated[str, typer.Option(help="Class of pixels outside all regions, or ignore.")] = "background",
    empty: Annotated[
        str, typer.Option(help="Annotated images without regions: unlabelled or background.")
    ] = "unlabelled",
    overlap: Annotated[str, typer.Option(help="Which region is on top: later or smaller.")] = "later",
    others: Annotated[str, typer.Option(help="Labels not in --classes: error, background or ignore.")] = "error",
    colours: Annotated[Path | None, typer.Option(help="For colour: YAML or CSV file of classes and colours.")] = None,
    skip_missing: Annotated[bool, typer.Option("--skip-missing", help="Leave out images that are not found.")] = False,
) -> None:
    """Class masks from a tool's export or from other masks. Example: semiseg data convert labels --output new"""
    from semiseg.data.convert import convert
    from semiseg.runtime.progress import CountingBar

    names = None if classes is None else [name.strip() for name in classes.split(",")]
    with CountingBar("images") as bar:
        done = convert(
            source, form, output, images=images, classes=names, background=background, empty=empty, overlap=overlap,
            others=others, colours=colours, skip_missing=skip_missing, progress=bar.update,
        )  # fmt: skip
    table = Table("value", "class", "masks", "pixels %")
    total = max(1, sum(done.pixels))
    for i, (name, masks, pixels) in enumerate(zip(done.classes, done.shown_in, done.pixels, strict=True)):
        table.add_row(str(i), escape(name), str(masks), f"{100 * pixels / total:.2f}")
    Console().print(table)
    for note in done.notes:
        print(f"semiseg: {one_line(note)}", file=sys.stderr)
    print(f"{done.images} images, {done.masks} with a mask, in {output}; next: "
          f"{command_line(['semiseg', 'data', 'check', output])}")  # fmt: skip


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
