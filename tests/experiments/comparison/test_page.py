"""The page of a comparison: what each kind of run is called, and that the tables hold what the charts show."""

from comparison_rows import gain_row

from semiseg.experiments.comparison.page import page_parts


def test_supervised_beside_two_methods_is_two_kinds_of_runs() -> None:
    rows = [gain_row("supervised", "crops", 0, 50.0, crops=crops) for crops in (800, 1200)]
    rows += [gain_row("supervised", "seconds", 0, 50.0, iterations=steps) for steps in (200, 300)]
    kinds = {f"supervised at equal {what}, 12 masks" for what in
             ("crops (8 a step)", "crops (12 a step)", "seconds (200 steps)", "seconds (300 steps)")}  # fmt: skip
    (costs,) = page_parts(rows)[-1].tables
    assert {row[0] for row in costs.rows} == kinds and all(row[1] == 1 for row in costs.rows)
    (chart,) = page_parts(rows)[-2].charts
    assert {trace["name"] for trace in chart.figure["data"]} == {f"{kind}, split 0" for kind in kinds}


def test_the_table_over_seconds_holds_every_validation() -> None:
    curves = [[[step + split / 10, step, split + step / 4] for step in range(10)] for split in range(8)]
    rows = [gain_row("bank", "steps", split, 50.0, curve=curve) for split, curve in enumerate(curves)]
    (chart,) = page_parts(rows)[-2].charts
    assert chart.table.rows == [
        ["bank, 12 masks", split, *point] for split, curve in enumerate(curves) for point in curve
    ]
    assert not chart.table.note
