"""The files of a suggestion: a table, a list of names and a contact sheet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from torch import Tensor

from semiseg.data.splits.lists import ANY_NAME, write_list
from semiseg.networks import upsample

if TYPE_CHECKING:
    from semiseg.suggest.ranking import Suggestion

SHOWN, SIDE = 12, 640  # pictures on the contact sheet, and their longest side in pixels


def write_table(folder: Path, chosen: Sequence[Suggestion]) -> None:
    """``suggestions.csv`` and ``suggestions.txt``; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "suggestions.csv").open("w", newline="", encoding="utf-8", errors=ANY_NAME) as file:
        table = csv.writer(file)
        table.writerow(["rank", "name", "score", "uncertainty", "distance", "class_share"])
        for rank, s in enumerate(chosen, start=1):
            table.writerow([rank, s.name, *("" if v is None else f"{v:.4f}" for v in
                            (s.score, s.uncertainty, s.distance, s.class_share))])  # fmt: skip
    write_list(folder / "suggestions.txt", [s.name for s in chosen])


def caption(rank: int, suggestion: Suggestion) -> str:
    """What stands above a picture of the contact sheet."""
    share = "" if suggestion.class_share is None else f", class {100 * suggestion.class_share:.1f} %"
    return f"{rank}. {suggestion.name}  (uncertainty {suggestion.uncertainty:.2f}{share})"


def thumbnails(image: np.ndarray, uncertainty: Tensor) -> list[np.ndarray]:
    """Image (H, W, 3) and map (1, h, w) as pictures of one small size: a contact sheet needs no more."""
    shrink = min(1.0, SIDE / max(image.shape[:2]))
    size = max(1, round(image.shape[0] * shrink)), max(1, round(image.shape[1] * shrink))
    grey = upsample(uncertainty[None], size)[0, 0].clamp(0, 1).mul(255).round().byte().cpu().numpy()
    return [np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX)), grey]
