"""The tables of the paper: their cells, and the configuration of each run.

At full scale the presets run as they are. At mini scale (``--scale mini``) the same rows run on toy streets or CamVid
with the short schedule of that preset. What a row is about stays: method, terms, weights, bank, labelled fraction,
architecture, source domain. The rest is made small enough for a CPU. Mini figures stand beside those of the paper for
their *order* only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from semiseg.config.read import Config
from semiseg.errors import UsageError, did_you_mean
from semiseg.presets import list_presets, merged, preset_path, read_yaml

Scale = Literal["full", "mini"]
MINI_DATA = ("toy_streets", "camvid")


@dataclass(frozen=True)
class Cell:
    """One figure of a table: its preset and the paper's value in percent."""

    preset: str
    title: str
    paper: float
    system: str = ""  # another than the paper's own method


def table_number(name: str) -> str:
    """``table5``, ``Table 5`` or ``5`` → ``5``.

    Raises:
        UsageError: the presets have no such table.
    """
    number = name.lower().replace(" ", "").removeprefix("table")
    known = sorted({row["table"] for row in list_presets() if row["table"]})
    if number not in known:
        tables = [f"table{n}" for n in known]
        raise UsageError(f"no table {name!r}{did_you_mean(name, tables)}; there are {', '.join(tables)}")
    return number


def cells(table: str, only: list[str] | tuple[str, ...] = (), compared: bool = False) -> list[Cell]:
    """The cells of a table, in the order of the paper's figures, lowest first.

    Args:
        table: its name.
        only: some of its presets, of whatever system.
        compared: whether, without ``only``, those of the systems that the paper compares itself with are among them.

    Raises:
        UsageError: no such table, or ``only`` names a preset that is not in it.
    """
    number = table_number(table)
    found = [
        Cell(r["name"], r["title"], r["paper_miou"], r["system"] or "") for r in list_presets() if r["table"] == number
    ]
    names = [cell.preset for cell in found]
    for name in only:
        if name not in names:
            raise UsageError(
                f"table {number} has no preset {name!r}{did_you_mean(name, names)}; it has {', '.join(names)}"
            )
    chosen = [c for c in found if (c.preset in only if only else compared or not c.system)]
    return sorted(chosen, key=lambda cell: (cell.paper, cell.preset))


def configuration(
    preset: str, seed: int, scale: Scale = "full", data: str = "toy_streets", overrides: list[str] | None = None
) -> Config:
    """Configuration of one run; the seed is that of everything random and of the label split.

    Args:
        preset: the preset of a cell.
        seed: for ``training.seed`` and ``data.split_seed``.
        scale: full or mini.
        data: at mini scale, the preset whose data, network size and schedule are used: toy_streets or camvid.
        overrides: further ``section.key=value`` words, applied last; ``{seed}`` in one stands for the seed, as in
            ``data.labelled_list=split_{seed}.pkl``.

    Raises:
        UsageError: a wrong word, other data at mini scale, or a row with a source domain on CamVid, which has none.
    """
    values = read_yaml(preset_path(preset))
    if scale == "mini":
        values = _mini(preset, values, data)
    return Config.parse({"name": preset} | values, seed_words(overrides or [], seed), preset)


def seed_words(overrides: list[str], seed: int) -> list[str]:
    """The words of one run: its seeds, then ``overrides`` with ``{seed}`` filled in."""
    filled = [word.replace("{seed}", str(seed)) for word in overrides]
    return [f"data.split_seed={seed}", f"training.seed={seed}", *filled]


def _mini(preset: str, values: dict[str, Any], data: str) -> dict[str, Any]:
    if data not in MINI_DATA:
        raise UsageError(f"--data {data!r}: choose one of {', '.join(MINI_DATA)}")
    base = read_yaml(preset_path(data))
    kept: dict[str, Any] = {key: values[key] for key in ("title", "table", "paper_miou", "system") if key in values}
    kept["method"] = values.get("method", {})
    kept["data"] = {"labelled": values["data"]["labelled"]}
    kept["network"] = {"architecture": values["network"]["architecture"]}
    if values["data"].get("source"):
        if data != "toy_streets":
            raise UsageError(f"{preset} needs a source domain, which {data} lacks; use --data toy_streets")
        kept["data"]["source"] = {"dataset": "toy_streets", "options": {"look": "game"}}
    return merged(base, kept)


def check_weights(chosen: list[Cell], seed: int, scale: Scale, data: str, words: list[str]) -> None:
    """Refuse one file of weights for rows that the paper starts from different ones: they could not be compared.

    Raises:
        UsageError: ``network.pretrained=`` is among the ``words``, and the rows differ in it.
    """
    rest = [word for word in words if not word.startswith("network.pretrained=")]
    if len(rest) == len(words):
        return
    by_weights: dict[str, list[str]] = {}
    for cell in chosen:
        weights = str(configuration(cell.preset, seed, scale, data, rest).network.pretrained)
        by_weights.setdefault(weights, []).append(cell.preset)
    if len(by_weights) > 1:
        kinds = "; ".join(f"{weights}: {', '.join(names)}" for weights, names in by_weights.items())
        raise UsageError(f"network.pretrained= would replace different weights ({kinds}); choose rows of one by --only")


def preview(
    table: str,
    scale: Scale,
    data: str,
    seeds: list[int] | tuple[int, ...],
    only: list[str] | tuple[str, ...],
    overrides: list[str] | None = None,
    compared: bool = False,
) -> str:
    """What :func:`semiseg.experiments.reproduce.reproduce` would run: a line for each cell, with what it trains on.

    Raises:
        UsageError: as for ``reproduce``.
    """
    lines = []
    chosen = cells(table, only, compared)
    check_weights(chosen, seeds[0], scale, data, overrides or [])
    for cell in chosen:
        config = configuration(cell.preset, seeds[0], scale, data, overrides)
        t = config.training
        lines.append(
            f"{cell.preset}: {config.data.dataset} {config.data.labelled}, {config.network.architecture} "
            f"{config.network.backbone} ({config.network.pretrained}), {t.iterations} steps of {t.batch_size}, "
            f"seeds {', '.join(map(str, seeds))}; paper {cell.paper}"
        )
    return "\n".join(lines)
