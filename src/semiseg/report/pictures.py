"""Strips of image, truth, prediction and error for a few validation images, embedded in the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from semiseg.data.base import IGNORE, Colour, ImageSet
from semiseg.data.colour_table import hex_name
from semiseg.data.run_data import open_split
from semiseg.data.swatches import ALIKE, distance, told_apart
from semiseg.errors import SemisegError
from semiseg.prediction.files import predict_array
from semiseg.report.facts import RunFacts
from semiseg.runs import checkpoint
from semiseg.runs.begun import Facts, data_as_begun
from semiseg.runs.checkpoint import load_model
from semiseg.visualise import as_rgb, palette

WIDTH = 360
WRONG = np.array((213, 94, 0), np.uint8)  # vermilion of Okabe and Ito, darker than the pale grey around it
UNLABELLED = ((0, 0, 0), (255, 0, 255), (0, 255, 255), (255, 255, 255))
"""Colours of pixels without a label, of which the first is taken that no class is near to."""


@dataclass(frozen=True)
class Picture:
    """A picture as data URI, its caption, and a description for those who do not see it."""

    uri: str
    caption: str
    alt: str


@dataclass
class Strips:
    """One row per validation image; ``legend`` has a colour for each class and for what else the pictures show,
    ``remarks`` what is missing and why."""

    runs: str
    rows: list[tuple[str, list[Picture]]] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def strips(
    runs: list[RunFacts], count: int, device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> list[Strips]:  # fmt: skip
    """Predictions of the last student of every run on the same ``count`` images of each validation set that occurs.

    Missing data or networks become a remark, never an error. ``progress`` is called with (predictions done, in all).
    """
    known = [run for run in runs if run.checkpoint is not None]
    done = 0

    def predicted() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, max(done, len(known) * count))

    return [_strips_of(group, count, device, predicted) for group in _same_data(known)]


def _same_data(runs: list[RunFacts]) -> list[list[RunFacts]]:
    groups: dict[str, list[RunFacts]] = {}
    for run in runs:
        data = run.config.data
        read = data.channels, data.intensity, data.percentiles, data.ranges, data.stack, data.tile
        groups.setdefault(str((data.dataset, data.root, sorted(data.options.items()), read, run.classes)), []).append(
            run
        )
    return list(groups.values())


def _strips_of(
    runs: list[RunFacts], count: int, device: torch.device | str, told: Callable[[], None]
) -> Strips:  # fmt: skip
    result = Strips(", ".join(run.name for run in runs))
    try:
        images = open_split(data_as_begun(runs[0].config.data, _facts(runs[0])), "val")
        chosen = _chosen(images, count)
        read = [(images.names[i], images.image(i), images.label(i)) for i in chosen]
    except (SemisegError, OSError) as error:
        result.remarks.append(f"No pictures of {result.runs}: the validation images cannot be read ({error}).")
        return result
    own, shown = runs[0].colours, runs[0].config.data.shown
    colours = told_apart(own)
    changed = [name for name, a, b in zip(runs[0].classes, own, colours, strict=True) if a != b]
    if changed:
        result.remarks.append(f"Drawn in another colour than the data set's, where another class has it: "
                              f"{', '.join(changed)}.")  # fmt: skip
    unlabelled = without_label(colours)
    result.legend = [*zip(runs[0].classes, map(hex_name, colours), strict=True), ("error map: wrong", hex_name(WRONG))]
    if any(truth is not None and (truth == IGNORE).any() for _, _, truth in read):
        result.legend.append(("not labelled", hex_name(unlabelled)))
    rows: list[list[Picture]] = []
    for name, image, truth in read:
        assert truth is not None
        alt = f"{name}: the true classes, {_shares(truth, runs[0].classes)}"
        rows.append(
            [
                Picture(_jpeg(as_rgb(image, shown)), "image", f"{name}: the image"),
                Picture(_mask(truth, colours, unlabelled), "truth", alt),
            ]
        )
    for run in runs:
        try:
            predicted = _predictions(run, [image for _, image, _ in read], device, told)
        except (SemisegError, RuntimeError) as error:
            result.remarks.append(f"No predictions of {run.name}: {str(error).splitlines()[0]}")
            continue
        prefix = f"{run.name}, " if len(runs) > 1 else ""
        for row, (name, image, truth), mask in zip(rows, read, predicted, strict=True):
            assert truth is not None
            error_map, wrong = _errors(as_rgb(image, shown), truth, mask, unlabelled)
            alt = f"{name}: predicted by {run.name}, {_shares(mask, run.classes)}"
            row.append(Picture(_mask(mask, colours, unlabelled), f"{prefix}prediction", alt))
            alt = f"{name}: where {run.name} is wrong, {100 * wrong:.1f} % of the labelled pixels"
            row.append(Picture(_png(error_map), f"{prefix}error {100 * wrong:.1f}\u00a0%", alt))
    result.rows = [(name, row) for (name, _, _), row in zip(read, rows, strict=True)]
    return result


def _facts(run: RunFacts) -> Facts:
    assert run.checkpoint is not None
    facts: Facts = checkpoint.load(run.checkpoint).get("data", {})
    return facts


def _chosen(images: ImageSet, count: int) -> list[int]:
    labelled = [i for i in range(len(images)) if images.has_label(i)]
    count = min(count, len(labelled))
    return [labelled[k * len(labelled) // count] for k in range(count)]


def _predictions(
    run: RunFacts, images: Sequence[np.ndarray], device: torch.device | str, told: Callable[[], None]
) -> list[np.ndarray]:
    assert run.checkpoint is not None
    model = load_model(run.checkpoint, device=device)
    config = model.config
    found = []
    for image in images:
        found.append(predict_array(
            model.network, image, config.evaluation.mode, config.window, config.evaluation.stride, device,
            resize=config.data.resize,
        ))  # fmt: skip
        told()
    return found


def without_label(colours: Sequence[Colour]) -> Colour:
    """The colour of pixels without a label, beside those of the classes and of what is wrong."""
    red, green, blue = WRONG.tolist()
    others = [*colours, (red, green, blue)]
    return max(UNLABELLED, key=lambda colour: min(ALIKE, *(distance(colour, other) for other in others)))


def _errors(
    image: np.ndarray, truth: np.ndarray, predicted: np.ndarray, unlabelled: Colour
) -> tuple[np.ndarray, float]:
    """Wrong pixels in colour on a pale grey image, unlabelled ones in theirs; and the wrong share of the labelled."""
    if image.shape[:2] != truth.shape:
        image = np.asarray(Image.fromarray(image).resize((truth.shape[1], truth.shape[0])))
        predicted = np.asarray(Image.fromarray(predicted).resize((truth.shape[1], truth.shape[0]), 0))
    grey = np.asarray(Image.fromarray(image).convert("L"))
    picture = np.repeat((128 + grey // 2)[..., None], 3, axis=2)
    ignored = truth == IGNORE
    wrong = (truth != predicted) & ~ignored
    picture[wrong], picture[ignored] = WRONG, unlabelled
    return picture, float(wrong.sum() / max(1, (~ignored).sum()))


def _shares(mask: np.ndarray, classes: Sequence[str]) -> str:
    counts = np.bincount(mask.ravel(), minlength=256)[: len(classes)]
    total = max(1, counts.sum())
    first = [c for c in np.argsort(-counts, kind="stable")[:4] if counts[c]]
    return ", ".join(f"{classes[c]} {100 * counts[c] / total:.0f} %" for c in first) or "nothing labelled"


def _mask(mask: np.ndarray, colours: Sequence[Colour], unlabelled: Colour) -> str:
    picture = Image.fromarray(mask)  # a palette turns grey levels into indices
    table = palette(colours)
    table[IGNORE] = unlabelled
    picture.putpalette(table.tobytes())
    return _uri(_fitted(picture, Image.Resampling.NEAREST), "png")


def _png(array: np.ndarray) -> str:
    return _uri(_fitted(Image.fromarray(array), Image.Resampling.NEAREST), "png")


def _jpeg(array: np.ndarray) -> str:
    return _uri(_fitted(Image.fromarray(array), Image.Resampling.LANCZOS), "jpeg")


def _fitted(picture: Image.Image, resampling: Image.Resampling) -> Image.Image:
    """At most WIDTH pixels wide; the browser enlarges smaller ones."""
    if picture.width <= WIDTH:
        return picture
    return picture.resize((WIDTH, max(1, round(picture.height * WIDTH / picture.width))), resampling)


def _uri(picture: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **({"quality": 85} if kind == "jpeg" else {"optimize": True}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
