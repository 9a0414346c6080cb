"""Pictures of the ablations for docs/reproduction.md, from the committed results.

    python benchmarks/plots.py      # writes docs/pictures/table5_mini.png and the like

One picture a table: each row's runs as dots and their mean as a bar, in the order of the paper's figures, which stand
beside the names. Where the order is the paper's, the bars rise from the top to the bottom.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from semiseg.experiments.paper_tables import cells
from semiseg.experiments.results import read_results

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "pictures"
TERMS = {"sup": "sup", "pseudo": "pseudo", "ent": "entropy", "contr": "contrastive"}


def rows_of(table: str) -> list[tuple[str, float, list[float]]]:
    """(what, the paper's figure, measured mIoU of each run), by rising figure of the paper."""
    runs = read_results(HERE / "results" / "reproduce" / f"{table}_mini_toy_streets.json")
    found = []
    for cell in cells(table):
        values = [run["miou_last"] for run in runs if run["preset"] == cell.preset]
        found.append((cell.title.split(": ")[-1], cell.paper, values))
    return found


def camvid_rows() -> list[tuple[str, float, list[float]]]:
    """Table 5 on one label split of CamVid, in the same form."""
    runs = read_results(HERE / "results" / "camvid_ablation.json")
    found = []
    for cell in cells("table5"):
        name = cell.title.split(": ")[-1]
        terms = [TERMS[word.removeprefix("L_")] for word in name.split(" + ")]
        found.append((name, cell.paper, [r["miou_last"] for r in runs if set(r["terms"].split("+")) == set(terms)]))
    return found


def draw(rows: list[tuple[str, float, list[float]]], title: str, path: Path) -> None:
    """A line a row: dots of the runs, a bar at their mean, names and the paper's figures at the left."""
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.42 * len(rows)), layout="constrained")
    for y, (_, _, values) in enumerate(rows):
        if values:
            axes.plot(values, [y] * len(values), "o", color="#0072b2", alpha=0.6, markersize=6)
            axes.plot([statistics.fmean(values)] * 2, [y - 0.3, y + 0.3], color="#d55e00", linewidth=3)
    axes.set_yticks(range(len(rows)), [f"{name}   (paper {paper})" for name, paper, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("validation mIoU in percent: runs (dots) and their mean (bar)")
    axes.set_title(title, loc="left")
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def main(pictures: Path = PICTURES) -> list[Path]:
    """Draw what there are results for; the files written."""
    written = []
    jobs = [(rows_of(f"table{n}"), f"Table {n} on toy streets, 12 masks", f"table{n}_mini.png") for n in range(5, 9)]
    jobs.append((camvid_rows(), "Table 5 on CamVid, 12 masks, label split 1", "table5_camvid.png"))
    for rows, title, name in jobs:
        if any(values for _, _, values in rows):
            draw(rows, title, pictures / name)
            written.append(pictures / name)
    return written


if __name__ == "__main__":
    print("\n".join(map(str, main())))
