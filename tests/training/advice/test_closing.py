"""The words at the end of a run: table, teacher, gain over a neighbour, commands."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny, write_picture

from semiseg.training.advice import siblings
from semiseg.training.advice.closing import class_table, closing, commands, teacher_remark
from semiseg.training.advice.run_files import FinishedRun, finished_run

CLASSES = ["soil", "leaf", "a fruit"]


def result(*iou: float | None) -> dict[str, Any]:
    known = [value for value in iou if value is not None]
    names = CLASSES if len(iou) == 3 else [f"class {i}" for i in range(len(iou))]
    return {"iou": list(iou), "miou": sum(known) / len(known), "classes": names, "images": 2}


def written(
    path: Path, photos: Path, *, labelled: tuple[str, ...] = ("photo00", "photo01"), seconds: float = 60,
    changes: dict[str, Any] | None = None, **scores: dict[str, Any],
) -> Path:  # fmt: skip
    """A run folder as far as the words read it."""
    path.mkdir(parents=True)
    tiny(photos, path, **(changes or {})).save(path / "config.yaml")
    (path / "labelled.txt").write_text("".join(f"{name}\n" for name in labelled))
    same = {"last": result(0.5, 0.6, 0.7)}
    summary = same | {"best": scores.get("last", same["last"])} | scores | {"iterations": 4, "seconds": seconds}
    (path / "evaluation.json").write_text(json.dumps(summary))
    return path


def gain(run: FinishedRun) -> str | None:
    return siblings.gain(run, siblings.beside(run))


def read(path: Path) -> FinishedRun:
    run = finished_run(path)
    assert run is not None
    return run


def test_the_worst_class_is_named_and_an_absent_one_is_a_dash(folder: Path, tmp_path: Path) -> None:
    run = read(written(
        tmp_path / "run", folder, last=result(0.9, None, 0.346), best=result(0.91, None, 0.4),
        last_teacher=result(0.8, None, 0.5),
    ))  # fmt: skip
    assert class_table(run) == [
        "IoU in %     last     best  teacher",
        "soil         90.0     91.0     80.0",
        "leaf            –        –        –",
        "a fruit      34.6     40.0     50.0   the worst",
        "mean         62.3     65.5     65.0",
    ]


def test_of_many_classes_the_worst_are_shown(folder: Path, tmp_path: Path) -> None:
    run = read(written(tmp_path / "run", folder, last=result(*(0.5 + i / 100 for i in range(30)))))
    first, *rows, mean, more = class_table(run)
    assert len(rows) == 20 and rows[0].startswith("class 0 ") and rows[0].endswith("the worst")
    assert first.split() == ["IoU", "in", "%", "last", "best"] and mean.startswith("mean")
    assert more.startswith("10 more classes, all better or absent: semiseg evaluate ")


@pytest.mark.parametrize(
    ("last", "best", "teacher", "said", "used"),
    [
        (0.5, 0.5, None, False, False),
        (0.5, 0.5, 0.505, False, False),  # a tie
        (0.5, 0.5, 0.4, False, False),
        (0.5, 0.55, 0.53, True, False),  # predict takes the best student
        (0.5, 0.52, 0.56, True, True),
    ],
)
def test_a_better_teacher(
    folder: Path, tmp_path: Path, last: float, best: float, teacher: float | None, said: bool, used: bool
) -> None:
    scores = {"last": result(last), "best": result(best)}
    scores |= {} if teacher is None else {"last_teacher": result(teacher)}
    run = read(written(tmp_path / "run", folder, **scores))
    assert (teacher_remark(run) is not None) == said
    assert commands(run, None)[0].endswith(" --checkpoint last --teacher") == used


def test_commands_can_be_copied(folder: Path, tmp_path: Path) -> None:
    run = read(written(tmp_path / "my run", folder))
    predict, report, suggest, supervised = (shlex.split(command) for command in commands(run, None))
    assert predict == [
        "semiseg", "predict", str(tmp_path / "my run"), str(folder / "images"), "--output", "predictions/my run",
    ]  # fmt: skip
    assert Path(predict[3]).is_dir()
    assert report == ["semiseg", "report", str(tmp_path / "my run")]
    assert suggest == ["semiseg", "suggest", str(tmp_path / "my run")]
    assert supervised == [
        "semiseg", "train", str(tmp_path / "my run" / "config.yaml"), "method.name=supervised",
        "training.batch_size=6",  # two labelled crops, and two unlabelled ones in two views each
    ]  # fmt: skip
    assert closing(run.path)[-5:] == ["Next:", *(f"  {command}" for command in commands(run, None))]


def test_beside_a_supervised_run_both_are_reported(folder: Path, tmp_path: Path) -> None:
    run = written(tmp_path / "with", folder)
    plain = written(tmp_path / "plain", folder, changes={"method__name": "supervised"})
    assert [line for line in closing(run) if " report " in line] == [f"  semiseg report {plain} {run}"]
    assert not any("method.name=supervised" in line for line in closing(run))
    assert not any("method.name=supervised" in line for line in closing(plain))


def test_predictions_of_another_run_are_not_in_the_way(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run", "run-2"):
        (Path("predictions") / name).mkdir(parents=True)
    assert commands(read(written(tmp_path / "run", folder)), None)[0].endswith(" --output predictions/run-3")


def test_folders_whose_names_begin_with_a_dash_are_no_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_picture(Path("-photos"), "one", 1, mask=True)
    write_picture(Path("-photos"), "two", 2, mask=True)
    run = read(written(Path("-run"), Path("-photos"), last=result(*(0.5 + i / 100 for i in range(30)))))
    predict, report, suggest, plain = (shlex.split(command)[2:] for command in commands(run, None))
    assert predict[:2] == ["./-run", "./-photos/images"] and report == suggest == ["./-run"]
    assert plain[0] == "./-run/config.yaml"
    assert class_table(run)[-1].endswith("semiseg evaluate ./-run")


def test_a_neighbour_is_named_as_it_is_found_from_within_a_run_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "runs" / "plain", folder, changes={"method__name": "supervised"})
    monkeypatch.chdir(written(tmp_path / "runs" / "with", folder))
    assert " against ../plain, " in (gain(read(Path("."))) or "")


def test_without_unlabelled_images_or_data_there_is_nothing_to_suggest(folder: Path, tmp_path: Path) -> None:
    names = tuple(f"photo{i:02d}" for i in range(12))
    changes = {"method__name": "supervised"}
    assert len(commands(read(written(tmp_path / "all", folder, labelled=names, changes=changes)), None)) == 2
    gone = commands(read(written(tmp_path / "gone", tmp_path / "nowhere", changes=changes)), None)
    assert len(gone) == 2 and " IMAGES " in gone[0]


def test_the_gain_over_a_supervised_neighbour(folder: Path, tmp_path: Path) -> None:
    supervised = {"method__name": "supervised"}
    other = tmp_path / "runs"
    run = written(other / "with", folder, last=result(0.6, 0.6, 0.6), seconds=600)
    assert gain(read(run)) is None  # there is none
    plain = written(other / "plain", folder, last=result(0.5, 0.5, 0.5), seconds=200, changes=supervised)
    assert gain(read(run)) == (
        f"+10.0 points of mIoU against {plain}, supervised on the same masks (last against last; at equal steps: 6 "
        "against 2 crops a step, 10 min against 3 min)"
    )
    assert gain(read(plain)) == (  # whichever was trained last
        f"+10.0 points of mIoU for memory_bank in {run} against this run, supervised on the same masks (last against "
        "last; at equal steps: 6 against 2 crops a step, 10 min against 3 min)"
    )
    newer = written(other / "newer", folder, last=result(0.7, 0.7, 0.7), changes=supervised)
    os.utime(newer / "evaluation.json", (2**31, 2**31))
    assert (gain(read(run)) or "").startswith(f"-10.0 points of mIoU against {newer}, ")


@pytest.mark.parametrize("unlike", ["masks", "data", "classes", "unfinished", "method"])
def test_no_gain_over_a_run_of_something_else(folder: Path, tmp_path: Path, unlike: str) -> None:
    other = tmp_path / "runs"
    run = written(other / "with", folder, last=result(0.6, 0.6, 0.6))
    changes = {"method__name": "classmix" if unlike == "method" else "supervised"}
    plain = written(
        other / "plain",
        folder if unlike != "data" else tmp_path / "elsewhere",
        labelled=("photo00",) if unlike == "masks" else ("photo00", "photo01"),
        last=result(0.5, 0.5) if unlike == "classes" else result(0.5, 0.5, 0.5),
        changes=changes,
    )
    if unlike == "unfinished":
        (plain / "evaluation.json").write_text('{"best')
    assert gain(read(run)) is None


@pytest.mark.parametrize("missing", ["config.yaml", "evaluation.json", "labelled.txt"])
def test_an_unfinished_run_says_nothing(folder: Path, tmp_path: Path, missing: str) -> None:
    run = written(tmp_path / "run", folder)
    (run / missing).unlink()
    assert closing(run) == []
