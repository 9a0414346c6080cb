"""The sentences on top of a report: what the unlabelled images brought, at which price, and how sure that is."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from semiseg import Config
from semiseg.report.facts import RunFacts, Score
from semiseg.report.meaning import meaning, of_run

CLASSES = ("road", "sign", "never seen")


def run(method: str, miou: float, images: int = 100, seconds: float | None = None) -> RunFacts:
    config = Config.parse({"method": {"name": method}, "training": {"iterations": 10, "batch_size": 4}})
    values = {"miou": miou / 100, "iou": [0.9, 0.123, None], "classes": list(CLASSES), "images": images,
              "confusion": [[80, 5, 0], [5, 10, 0], [0, 0, 0]]}  # fmt: skip
    found = RunFacts(method, Path(method), config, classes=CLASSES, iteration=10, labelled=["a"],
                     scores={"last": Score(10, values), "best": Score(5, values)})  # fmt: skip
    found.summary = {} if seconds is None else {"seconds": seconds}
    return found


def test_what_the_unlabelled_images_bought_and_at_which_price() -> None:
    first, second = meaning([run("supervised", 48.0, seconds=100), run("fixmatch", 53.4, seconds=230)])
    assert first == (
        "The unlabelled images bought 5.4 points of mIoU (fixmatch 53.4 %, supervised 48.0 %, in 2.3 times the time)."
    )
    assert second == "More masks of sign would probably help most: it is recognised worst (IoU 12 %)."


@pytest.mark.parametrize(("seconds", "words"), [(None, "48.0 %)"), (105, "48.0 %, in about the same time)")])
def test_a_time_that_is_alike_or_not_known(seconds: float | None, words: str) -> None:
    assert f"supervised {words}" in meaning([run("supervised", 48, seconds=100), run("fixmatch", 54, 400, seconds)])[0]


@pytest.mark.parametrize(
    ("miou", "images", "words"),
    [
        (48.9, 1000, "made no difference (+0.9 points of mIoU: fixmatch 48.9 %, supervised 48.0 %)."),
        (47.1, 1000, "made no difference (-0.9 points"),
        (49.0, 1000, "bought 1.0 points"),
        (45.0, 1000, "cost 3.0 points"),
        (50.0, 25, "with 25 validation images, 3 points may still be chance."),
        (44.0, 8, "with 8 validation images, 6 points may still be chance."),
    ],
)
def test_what_is_a_tie_and_what_is_chance(miou: float, images: int, words: str) -> None:
    assert words in meaning([run("supervised", 48.0, images), run("fixmatch", miou, images)])[0]


def test_several_runs_a_side_leave_less_to_chance() -> None:
    few = [run("supervised", 48.0, 25), run("fixmatch", 51.0, 25)]
    assert "chance" in meaning(few)[0]
    assert "chance" not in meaning(few * 2)[0]


def test_a_run_by_itself_says_how_good_it_is() -> None:
    first, second = meaning([run("supervised", 51.2)])
    assert first == (
        "On 100 validation images, 90 % of the pixels get the right class; averaged over the classes, prediction and "
        "truth share 51.2 % of the pixels that either has (mIoU)."
    )
    assert "More masks of sign" in second


@pytest.mark.parametrize(
    ("images", "words"), [(1, "Only one image validates: "), (2, "Only 2 images validate: "), (8, None)]
)
def test_few_validation_images_are_warned_of(images: int, words: str | None) -> None:
    warned = [words for words in meaning([run("supervised", 50.0, images)]) if words.startswith("Only")]
    assert len(warned) == (words is not None)
    if words is not None:
        assert warned[0].startswith(words) and f"{17 / images**0.5:.0f} points apart" in warned[0]


def test_no_validation_and_one_class_say_less() -> None:
    empty = run("supervised", 50.0)
    empty.scores = {}
    assert meaning([empty]) == []
    single = run("supervised", 50.0)
    single.scores["last"].values["iou"] = [0.5, None, None]
    assert not any("More masks" in words for words in meaning([single]))


def test_a_run_without_a_neighbour_names_the_command_that_makes_one(runs: tuple[Path, Path], tmp_path: Path) -> None:
    together = of_run(runs[1])
    assert together == of_run(runs[0]) and together[0].startswith("The unlabelled images ")
    alone = Path(shutil.copytree(runs[1], tmp_path / "alone"))
    words = next(words for words in of_run(alone) if words.startswith("What the unlabelled images bought"))
    command = shlex.split(words.partition(": ")[2])
    assert command[:3] == ["semiseg", "train", str(alone / "config.yaml")] and "method.name=supervised" in command
    assert of_run(runs[1] / "checkpoints" / "last.pt") == [] == of_run(tmp_path)


def test_the_figure_of_right_pixels_is_that_of_the_counts() -> None:
    one = run("supervised", 50.0)
    counts = np.random.default_rng(0).integers(0, 50, (3, 3))
    one.scores["last"].values["confusion"] = counts.tolist()
    right = 100 * sum(counts[i, i] for i in range(3)) / counts.sum()
    assert f"{right:.0f} % of the pixels" in meaning([one])[0]
