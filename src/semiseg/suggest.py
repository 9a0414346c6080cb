"""Which image to label next: unlabelled images by the teacher's uncertainty and their distance from the bank."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from semiseg.config.read import Config
from semiseg.data.base import ImageSet, resized
from semiseg.data.resizing import resize_image
from semiseg.data.run_data import check_classes, open_run_data
from semiseg.data.splits.lists import ANY_NAME, read_list, write_list
from semiseg.errors import SemisegError, UsageError
from semiseg.inference.logits import evaluating
from semiseg.methods import Method
from semiseg.methods.base.bank import method_of
from semiseg.networks import Output, upsample
from semiseg.networks.build import build_network_of
from semiseg.runs import checkpoint
from semiseg.runs.begun import data_as_begun
from semiseg.runs.edited import as_edited
from semiseg.runtime.device import resolve_device
from semiseg.visualise import as_rgb, comparison_picture

By = Literal["both", "uncertainty", "distance"]
SHOWN, SIDE = 12, 640  # pictures on the contact sheet, and their longest side in pixels


@dataclass(frozen=True)
class Suggestion:
    """One unlabelled image and how much its label promises.

    Attributes:
        name: as in ``data.labelled_list``.
        score: mean of the ranks asked for as a fraction in (0, 1], highest for the image to label first; ``diverse``
            changes the order, not the scores.
        uncertainty: entropy of the teacher's softmax over ln C, mean over the pixels, in [0, 1].
        distance: cosine distance of the projection vectors to the nearest in the bank, mean over the pixels, in
            [0, 2]; None where the method keeps no bank or it is empty.
    """

    name: str
    score: float
    uncertainty: float
    distance: float | None


def suggest(
    run: str | Path,
    count: int = 20,
    by: By = "both",
    diverse: bool = True,
    output: str | Path | None = None,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> list[Suggestion]:
    """The ``count`` unlabelled images to label first.

    Args:
        run: a run folder (its last checkpoint is read) or a checkpoint file.
        count: how many; all where there are fewer.
        by: ``uncertainty``, ``distance``, or the mean of both ranks.
        diverse: after the first, weigh an image by its distance from those already chosen (cosine distance of the mean
            features), so that the frames of one scene do not fill the list.
        output: new folder for ``suggestions.csv``, ``suggestions.txt`` (names, to add to a labelled list) and
            ``contact_sheet.png`` (image beside its map of uncertainty).
        device: ``auto``, ``cpu``, ``cuda``.
        progress: called with (images done, images in all).

    Raises:
        UsageError: ``by="distance"`` without a filled bank, another ``by``, a count below 1, or no such device.
        SemisegError: no checkpoint, no data, no unlabelled image, or an output folder that is not empty.
    """
    if by not in ("both", "uncertainty", "distance") or count < 1:
        raise UsageError(f"--by {by!r} --count {count}: choose both, uncertainty or distance, and at least one image")
    folder = None if output is None else Path(output)
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise SemisegError(f"{folder} is not empty; choose another --output")
    run_device = resolve_device(device)
    config, method, (images, candidates) = _open(Path(run), run_device)
    measured = []
    with evaluating(method, run_device):
        for done, i in enumerate(candidates, start=1):
            measured.append(_measure(method, images.image(i), config))
            if by == "distance" and measured[0].distance is None:
                raise UsageError("--by distance needs a filled memory bank, which this run lacks; use --by uncertainty")
            if progress is not None:
                progress(done, len(candidates))
    scores = _scores([(m.uncertainty, m.distance) for m in measured], by)
    order = _choose(scores, torch.stack([m.embedding for m in measured]), min(count, len(candidates)), diverse)
    chosen = [
        Suggestion(images.names[candidates[k]], float(scores[k]), measured[k].uncertainty, measured[k].distance)
        for k in order
    ]
    if folder is not None:
        _write(folder, chosen)  # before the pictures: the ranking took long and must survive a failure there
        with evaluating(method, run_device):
            pairs = [_pair(method, images.image(candidates[k]), config) for k in order[:SHOWN]]
        comparison_picture(pairs, ["image", "uncertainty (white: most)"], [], folder / "contact_sheet.png")
    return chosen


def _open(run: Path, device: torch.device) -> tuple[Config, Method, tuple[ImageSet, list[int]]]:
    path = run / "checkpoints" / "last.pt" if run.is_dir() else run
    state = checkpoint.load(path, device)
    config = as_edited(path, Config.parse(state["config"], source=str(path)))
    data = open_run_data(data_as_begun(config.data, state.get("data", {})))
    check_classes(data.train.info.classes, tuple(state["info"]["classes"]))
    used = set(data.labelled_names)
    candidates = data.unlabelled
    listed = run / "labelled.txt"
    if listed.is_file():  # with masks added since, a count or fraction would draw other images than the run had
        used = set(read_list(listed, data.train.names))
        candidates = data.unlabelled if config.data.labelled == "all" else list(range(len(data.train)))
    unlabelled = [i for i in candidates if data.train.names[i] not in used]
    if not unlabelled:
        raise SemisegError("the run has no unlabelled image left, so there is none to label next")
    network = build_network_of(config, data.train.info.num_classes, pretrained=False)
    method = method_of(config)(config, network, len(data.labelled)).to(device)
    method.load_state_dict(state["method"])
    return config, method, (data.train, unlabelled)


class _Measured(NamedTuple):
    """Uncertainty and distance of an image, and its mean feature (D,) on the CPU."""

    uncertainty: float
    distance: float | None
    embedding: Tensor


def _measure(method: Method, image: np.ndarray, config: Config) -> _Measured:
    output = _output(method, image, config)
    height, _ = resized((image.shape[0], image.shape[1]), config.data.resize)
    distances = method.distance(output.features, height)
    return _Measured(
        uncertainty=float(_entropy(output.logits).mean()),
        distance=None if distances is None else float(distances.mean()),
        embedding=F.normalize(output.features, dim=1).mean(dim=(0, 2, 3)).cpu(),
    )


def _output(method: Method, image: np.ndarray, config: Config) -> Output:
    """The teacher's logits and features of an image (the student's where there is no teacher), batch size 1."""
    network = method.student if method.teacher is None else method.teacher
    seen = image if config.data.resize is None else resize_image(image, config.data.resize)
    device = next(network.parameters()).device
    output: Output = network(torch.from_numpy(seen.copy()).to(device).permute(2, 0, 1)[None].float().div_(255))
    return output


def _entropy(logits: Tensor) -> Tensor:
    """(B, C, h, w) → (B, h, w), 0 for certain and 1 for even probabilities."""
    log = logits.float().log_softmax(dim=1)
    return -(log.exp() * log).sum(dim=1) / math.log(logits.shape[1])


def _scores(found: Sequence[tuple[float, float | None]], by: By) -> np.ndarray:
    """Mean of the ranks asked for, as fractions in (0, 1]; ties share the mean of their ranks.

    ``found`` holds uncertainty and distance of every image; without distances the uncertainty alone ranks.
    """
    if any(distance is None for _, distance in found):
        by = "uncertainty"
    columns = {"uncertainty": [0], "distance": [1], "both": [0, 1]}[by]
    values = np.array([[pair[c] for c in columns] for pair in found], np.float64)
    mean: np.ndarray = np.stack([_ranks(v) for v in values.T]).mean(axis=0) / len(found)
    return mean


def _ranks(values: np.ndarray) -> np.ndarray:
    """(n,) → (n,), 1 for the smallest; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean: np.ndarray = (counts.cumsum() - (counts - 1) / 2)[inverse]
    return mean


def _choose(scores: np.ndarray, embeddings: Tensor, count: int, diverse: bool) -> list[int]:
    """Indices in the order to label: best first, later ones weighed by their distance from the chosen."""
    if not diverse:
        return np.argsort(-scores, kind="stable")[:count].tolist()
    unit = F.normalize(embeddings, dim=1).numpy()
    chosen, nearest, left = [int(scores.argmax())], np.full(len(scores), np.inf), np.ones(len(scores), bool)
    while True:
        left[chosen[-1]] = False
        if len(chosen) == count:
            return chosen
        nearest = np.minimum(nearest, 1 - unit @ unit[chosen[-1]])
        weight = np.where(left, scores * nearest.clip(1e-9), -1)
        chosen.append(int(weight.argmax()))


def _pair(method: Method, image: np.ndarray, config: Config) -> list[np.ndarray]:
    """An image and its map of uncertainty as small pictures."""
    return _thumbnails(as_rgb(image, config.data.shown), _entropy(_output(method, image, config).logits))


def _thumbnails(image: np.ndarray, uncertainty: Tensor) -> list[np.ndarray]:
    """Image (H, W, 3) and map (1, h, w) as pictures of one small size: a contact sheet needs no more."""
    shrink = min(1.0, SIDE / max(image.shape[:2]))
    size = max(1, round(image.shape[0] * shrink)), max(1, round(image.shape[1] * shrink))
    grey = upsample(uncertainty[None], size)[0, 0].clamp(0, 1).mul(255).round().byte().cpu().numpy()
    return [np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX)), grey]


def _write(folder: Path, chosen: list[Suggestion]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "suggestions.csv").open("w", newline="", encoding="utf-8", errors=ANY_NAME) as file:
        table = csv.writer(file)
        table.writerow(["rank", "name", "score", "uncertainty", "distance"])
        for rank, s in enumerate(chosen, start=1):
            distance = "" if s.distance is None else f"{s.distance:.4f}"
            table.writerow([rank, s.name, f"{s.score:.4f}", f"{s.uncertainty:.4f}", distance])
    write_list(folder / "suggestions.txt", [s.name for s in chosen])
