"""How often ``semiseg data check`` says that the masks do not cover the looks, on data of which that is known.

    python benchmarks/looks.py --nuclei FOLDER --camvid FOLDER      # a minute; saves results/looks.json

For each case, 200 seeded choices of the labelled images (of a part of the set, where the case says so) and of 200
others (fewer where there are fewer): the share that looks unlike every labelled one, and in how many choices it exceeds
``semiseg.looks.FEW``. Beside it the share beyond the 90 % quantile of the labelled images' own nearest distances, which
tells nothing. ``FAR``, ``FEW``, the size and the map were chosen on the training images; the last two cases were only
looked at afterwards.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from semiseg.config.read import Config
from semiseg.data.base import ImageSet
from semiseg.data.run_data import open_split
from semiseg.looks import FEW, SAMPLE, compare, features_of, pretrained_network
from semiseg.runtime.version import machine, versions

RESULTS = Path(__file__).parent / "results" / "looks.json"
LABELLED = (3, 6, 12, 30)
CHOICES = 200


class Case(NamedTuple):
    """Features (N, D), and which of the images may be labelled, bool (N,)."""

    features: Tensor
    candidates: np.ndarray


def of_words(words: list[str], split: str = "train") -> tuple[ImageSet, Tensor]:
    """An image set and the features of all its images, by EfficientNet-Lite0 from ImageNet."""
    config = Config.load(words[0], ["network.backbone=efficientnet_lite0", *words[1:]])
    images = open_split(config.data, split)
    network = pretrained_network(config, images.info.num_classes)
    return images, features_of(network, images, range(len(images)))


def fluorescence(images: ImageSet) -> np.ndarray:
    """bool (N,): dark and grey, as no stained tissue and no bright field is."""
    pictures = [images.image(i) / 255 for i in range(len(images))]
    return np.array([p.mean() < 0.4 and np.ptp(p, axis=2).mean() < 0.02 for p in pictures])


def cases(nuclei: str, camvid: str) -> dict[str, Case]:
    """By name; the last two took no part in choosing anything."""
    cells, of_cells = of_words([nuclei])
    streets, of_streets = of_words(["camvid", f"data.root={camvid}"])
    _, of_toys = of_words(["toy_streets"])
    _, of_games = of_words(["toy_streets", "data.options={look: game}"])
    by_day = np.array([not name.startswith("0001TP") for name in streets.names])
    toys = np.repeat([True, False], [len(of_toys), len(of_games)])
    _, of_other_cells = of_words([nuclei], "val")
    _, of_other_streets = of_words(["camvid", f"data.root={camvid}"], "val")

    def every(features: Tensor) -> Case:
        return Case(features, np.ones(len(features), bool))

    return {
        "nuclei": every(of_cells),
        "nuclei, masks for fluorescence only": Case(of_cells, fluorescence(cells)),
        "CamVid": every(of_streets),
        "CamVid, no mask of the drive at dusk": Case(of_streets, by_day),
        "toy streets": every(of_toys),
        "toy streets, half of them in a look without a mask": Case(torch.cat([of_toys, of_games]), toys),
        "nuclei, validation images": every(of_other_cells),
        "CamVid, validation images": every(of_other_streets),
    }


def measure(case: Case, labelled: int) -> dict[str, float]:
    """Mean and spread over the choices, all as fractions."""
    shares, beyond = [], []
    for seed in range(CHOICES):
        draws = np.random.default_rng(seed)
        chosen = draws.permutation(np.flatnonzero(case.candidates))[:labelled]
        others = draws.permutation(np.setdiff1d(np.arange(len(case.features)), chosen))[:SAMPLE]
        ours, theirs = case.features[chosen], case.features[others]
        shares.append(float(compare(ours, theirs).far.float().mean()))
        own = torch.cdist(ours, ours).fill_diagonal_(torch.inf).min(dim=1).values
        beyond.append(float((torch.cdist(theirs, ours).min(dim=1).values > own.quantile(0.9)).float().mean()))
    found = {"share": np.mean(shares), "sd": np.std(shares), "told": np.mean(np.array(shares) > FEW),
             "beyond_own_quantile": np.mean(beyond)}  # fmt: skip
    return {name: round(float(value), 3) for name, value in found.items()}


def main() -> None:
    """Measure, print the table, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nuclei", required=True, help="folder")
    parser.add_argument("--camvid", required=True, help="folder of SegNet's arrangement")
    arguments = parser.parse_args()
    rows = []
    print("| data | masks | share, % | told, % | beyond the labelled's own 90 % quantile, % |\n|---|---|---|---|---|")
    for name, case in cases(arguments.nuclei, arguments.camvid).items():
        for labelled in LABELLED:
            row = measure(case, labelled)
            rows.append({"data": name, "labelled": labelled, **row})
            share, sd, told, beyond = (round(100 * value) for value in row.values())
            print(f"| {name} | {labelled} | {share} ± {sd} | {told} | {beyond} |", flush=True)
    about = {
        "command": "python benchmarks/looks.py --nuclei FOLDER --camvid FOLDER",
        "choices": CHOICES, "date": time.strftime("%Y-%m-%d"), "machine": machine(), "versions": versions(),
    }  # fmt: skip
    RESULTS.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
