"""Which image to label next: unlabelled images by the teacher's uncertainty and their distance from the bank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from semiseg.errors import SemisegError, UsageError, did_you_mean
from semiseg.inference.logits import evaluating
from semiseg.prediction.tools import Wanted
from semiseg.runtime.device import resolve_device
from semiseg.suggest.annotate import check_pre_annotations, pre_annotate
from semiseg.suggest.choice import choose, cover, mean_ranks, scenes_by_name
from semiseg.suggest.measure import Measured, Opened, embedding, measure, open_run, uncertainty
from semiseg.suggest.written import SHOWN, caption, thumbnails, write_table
from semiseg.visualise import as_rgb, comparison_picture

By = Literal["both", "uncertainty", "distance", "coverage"]


@dataclass(frozen=True)
class Suggestion:
    """One unlabelled image and how much its label promises.

    Attributes:
        name: as in ``data.labelled_list``.
        score: mean of the ranks asked for as a fraction in (0, 1], highest first; by coverage the part of all images
            that are in its group.
        uncertainty: entropy of the teacher's softmax over ln C, mean over the pixels, in [0, 1].
        distance: cosine distance of the projection vectors to the nearest in the bank, mean over the pixels, in
            [0, 2]; None where the method keeps no bank or it is empty.
        file: of the image; None where the data set has no files.
        class_share: mean probability of the class asked for, in [0, 1]; None where none was.
    """

    name: str
    score: float
    uncertainty: float
    distance: float | None
    file: Path | None = None
    class_share: float | None = None


def suggest(
    run: str | Path,
    count: int = 20,
    by: By = "both",
    diverse: bool = True,
    output: str | Path | None = None,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    *,
    of_class: str | None = None,
    scenes: str | None = None,
    wanted: Wanted | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[Suggestion]:
    """The ``count`` unlabelled images to label first.

    Args:
        run: a run folder (its last checkpoint is read) or a checkpoint file.
        count: how many; all where there are fewer.
        by: ``uncertainty``, ``distance``, the mean of both ranks, or ``coverage``: images that are typical of a group
            without a mask (:func:`semiseg.suggest.choice.cover`).
        diverse: of the images that rank high choose such that differ, in the mean features of the backbone, and no two
            that show one scene (:mod:`semiseg.suggest.choice`); else the highest ranks as they come.
        output: new folder for ``suggestions.csv``, ``suggestions.txt`` (names, to add to a labelled list) and
            ``contact_sheet.png`` (rank and name, the image beside its map of uncertainty).
        device: ``auto``, ``cpu``, ``cuda``.
        progress: called with (images done, images in all).
        of_class: name of a class: rank by the mean of two ranks instead, of how much of the image is likely to be this
            class, and of how much of it may or may not be.
        scenes: regular expression that matches the scene in a name (its first group, or all of it); at most one image
            of a scene is chosen, so that there may be fewer than ``count``. None: images whose features are nearly
            those of a labelled or of a chosen one show its scene.
        wanted: an annotation tool, for which the run's best checkpoint segments the chosen images into ``output``.
        tell: called with each line that says what to do with the tool's files.

    Raises:
        UsageError: ``by="distance"`` without a filled bank or with a class, another ``by``, a count below 1, no such
            class, device or tool, no regular expression, or a tool without ``output``.
        SemisegError: no checkpoint, no data, no unlabelled image, or an output folder that is not empty.
    """
    if by not in get_args(By) or count < 1:
        raise UsageError(f"--by {by!r} --count {count}: choose {', '.join(get_args(By))}, and at least one image")
    if of_class is not None and by != "both":
        raise UsageError(f"--class {of_class} ranks by that class alone; leave out --by {by}")
    if not diverse and (scenes is not None or by == "coverage"):
        which = "--scenes" if scenes is not None else "--by coverage"
        raise UsageError(f"{which} is for a choice of images that differ; leave out --no-diverse")
    folder = None if output is None else Path(output)
    if wanted is not None and folder is None:
        raise UsageError(f"--for {wanted.tool} needs a folder for its files; give --output")
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise SemisegError(f"{folder} is not empty; choose another --output")
    run_device = resolve_device(device)
    opened = open_run(Path(run), run_device)
    if wanted is not None and folder is not None:
        check_pre_annotations(wanted, opened, folder)
    names = opened.images.names
    number = None if of_class is None else _number_of(of_class, opened)
    by_name = None if scenes is None else scenes_by_name([names[i] for i in opened.unlabelled], scenes)
    known = opened.labelled if diverse else []
    with evaluating(opened.method, run_device):
        measured = _measured(opened, by, len(known), progress)
        near = _embeddings(opened, known, len(measured), progress)
    scores = _scores(measured, by, number)
    if diverse:
        mine = np.stack([m.embedding.numpy() for m in measured])
        near = near.reshape(-1, mine.shape[1])
        if by == "coverage":
            order, scores = cover(mine, count, near, by_name)
        else:
            order = choose(scores, mine, count, near, by_name)
    else:
        order = np.argsort(-scores, kind="stable")[:count].tolist()
    files = getattr(opened.images, "files", {})
    chosen = [
        Suggestion(
            name := names[opened.unlabelled[k]], float(scores[k]), measured[k].uncertainty, measured[k].distance,
            files.get(name), None if number is None else float(measured[k].share[number]),
        )
        for k in order
    ]  # fmt: skip
    if folder is not None:
        write_table(folder, chosen)  # before the pictures: the ranking took long and must survive a failure there
        with evaluating(opened.method, run_device):
            pairs = [_pair(opened, opened.unlabelled[k]) for k in order[:SHOWN]]
        captions = [caption(rank, s) for rank, s in enumerate(chosen[:SHOWN], start=1)]
        titles = ["image", "uncertainty (white: most)"]
        comparison_picture(pairs, titles, [], folder / "contact_sheet.png", captions=captions)
        if wanted is not None:
            for line in pre_annotate(wanted, Path(run), [s.file for s in chosen if s.file is not None], folder, device):
                if tell is not None:
                    tell(line)
    return chosen


def _number_of(name: str, opened: Opened) -> int:
    classes = opened.images.info.classes
    if name not in classes:
        raise UsageError(f"the run has no class {name!r}{did_you_mean(name, classes)}; it has {', '.join(classes)}")
    return classes.index(name)


def _measured(
    opened: Opened, by: By, more: int, progress: Callable[[int, int], None] | None
) -> list[Measured]:  # fmt: skip
    found: list[Measured] = []
    for done, i in enumerate(opened.unlabelled, start=1):
        found.append(measure(opened.method, opened.images.image(i), opened.config))
        if by == "distance" and found[0].distance is None:
            raise UsageError("--by distance needs a filled memory bank, which this run lacks; use --by uncertainty")
        if progress is not None:
            progress(done, len(opened.unlabelled) + more)
    return found


def _embeddings(
    opened: Opened, known: list[int], before: int, progress: Callable[[int, int], None] | None
) -> np.ndarray:
    """Mean features of the images with masks, (L, D)."""
    found = []
    for done, i in enumerate(known, start=1):
        found.append(embedding(opened.method, opened.images.image(i), opened.config).numpy())
        if progress is not None:
            progress(before + done, before + len(known))
    return np.array(found, np.float32)


def _scores(measured: list[Measured], by: By, number: int | None) -> np.ndarray:
    """Mean of the ranks asked for, as fractions in (0, 1]; ties share the mean of their ranks.

    Without distances the uncertainty alone ranks.
    """
    if number is not None:
        return mean_ranks([[float(m.share[number]) for m in measured], [float(m.doubt[number]) for m in measured]])
    distances = [m.distance for m in measured if m.distance is not None]
    uncertain = [m.uncertainty for m in measured]
    if by == "uncertainty" or len(distances) < len(measured):
        return mean_ranks([uncertain])
    return mean_ranks([distances] if by == "distance" else [uncertain, distances])


def _pair(opened: Opened, i: int) -> list[np.ndarray]:
    """An image and its map of uncertainty as small pictures."""
    image = opened.images.image(i)
    shown = as_rgb(image, opened.config.data.shown)
    return thumbnails(shown, uncertainty(opened.method, image, opened.config))
