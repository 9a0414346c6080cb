"""The words at the end of a run: IoU by class, whether the teacher is better, and the commands that come next."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path

from semiseg.data.files import ImageFiles
from semiseg.data.rasters.tiles import TiledImages
from semiseg.data.run_data import RunData, open_run_data
from semiseg.errors import SemisegError
from semiseg.runs.folder import CONFIG
from semiseg.runtime.shell import command_line
from semiseg.training.advice.run_files import FinishedRun, finished_run
from semiseg.training.advice.siblings import beside, effort_of, gain, semi_supervised
from semiseg.training.advice.unlabelled import TIE

NETWORKS = {"last": "last", "best": "best", "last_teacher": "teacher"}  # of evaluation.json, and the heads of columns
MOST_CLASSES = 20
"""Rows of the table: Cityscapes' 19 classes fit; of more, the worst are shown."""


def closing(run_dir: str | Path) -> list[str]:
    """Lines to print after a training; none where the folder holds no finished run. Commands are never wrapped."""
    run = finished_run(Path(run_dir))
    if run is None:
        return []
    other = beside(run)
    found = [*class_table(run), *filter(None, (teacher_remark(run), gain(run, other))), "Next:"]
    return [*found, *(f"  {command}" for command in commands(run, other))]


def class_table(run: FinishedRun) -> list[str]:
    """IoU in percent by class, of the last and the best student and the last teacher; the worst class is marked."""
    columns = [name for name in NETWORKS if run.iou(name)]
    rows = list(zip(run.classes, *(run.iou(name) for name in columns), strict=True))
    known = [row for row in rows if row[1] is not None]
    by_iou = sorted(known, key=lambda row: row[1])
    left = 0
    if len(rows) > MOST_CLASSES:
        rows, left = by_iou[:MOST_CLASSES], len(rows) - MOST_CLASSES
    mean = ("mean", *(run.miou(name) for name in columns))
    width = max(len(name) for name in ("IoU in %", *(row[0] for row in rows)))
    lines = ["IoU in %".ljust(width) + "".join(f"{NETWORKS[name]:>9}" for name in columns)]
    for row in (*rows, mean):
        cells = "".join(f"{'–' if value is None else format(value, '.1f'):>9}" for value in row[1:])
        worst = "   the worst" if len(known) > 1 and row is by_iou[0] else ""
        lines.append(f"{row[0]:<{width}}{cells}{worst}")
    more = f"{left} more classes, all better or absent: {command_line(['semiseg', 'evaluate', run.path])}"
    return [*lines, more] if left else lines


def teacher_remark(run: FinishedRun) -> str | None:
    """Whether the teacher ends above its student by more than a tie."""
    student, teacher = run.miou("last"), run.miou("last_teacher")
    if student is None or teacher is None or teacher - student < TIE:
        return None
    return f"The teacher is better than the student at the end: {teacher:.1f} against {student:.1f} (--teacher)"


def commands(run: FinishedRun, other: FinishedRun | None) -> list[str]:
    """What to type next, each a whole line: predict, report, suggest where unlabelled images are left, and the
    supervised run that says what they bought where there is no ``other`` to compare with."""
    data = _open(run)
    output = _unused(Path("predictions") / run.path.resolve().name)
    words: list[str | Path] = ["semiseg", "predict", run.path, _images(data), "--output", output]
    best, teacher = run.miou("best"), run.miou("last_teacher")
    if teacher_remark(run) is not None and (best is None or (teacher or 0) >= best):
        words += ["--checkpoint", "last", "--teacher"]  # the teacher that was measured
    found: list[list[str | Path]] = [words, ["semiseg", "report", *([] if other is None else [other.path]), run.path]]
    if data is not None and any(name not in run.labelled for name in data.train.names):
        found.append(["semiseg", "suggest", run.path])
    if other is None and semi_supervised(run):
        found.append(["semiseg", "train", run.path / CONFIG, *supervised_words(run)])
    return [command_line(command) for command in found]


def _unused(folder: Path) -> Path:
    """A folder of this name, or with a number behind it, that is not there yet: nothing is written over."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(path for path in chain([folder], numbered) if not path.exists())


def supervised_words(run: FinishedRun) -> list[str]:
    """Words with which a run is repeated without unlabelled images, at as many crops a step where they are known."""
    crops = effort_of(run).crops
    batch = round(crops / run.config.training.accumulation) if crops else run.config.training.batch_size
    return ["method.name=supervised", f"training.batch_size={batch}"]


def _open(run: FinishedRun) -> RunData | None:
    try:
        return open_run_data(run.config.data)
    except (SemisegError, OSError):  # moved meanwhile
        return None


def _images(data: RunData | None) -> str | Path:
    """The folder of the first training image; IMAGES where they are no files."""
    images = None if data is None else data.train
    images = images.images if isinstance(images, TiledImages) else images
    return next(iter(images.files.values())).parent if isinstance(images, ImageFiles) else "IMAGES"
