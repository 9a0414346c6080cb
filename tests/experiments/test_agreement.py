"""A table beside its measurements, and how far the order of the paper holds."""

from semiseg.experiments.agreement import as_markdown, order_agreement
from semiseg.experiments.paper_tables import Cell


def test_the_table_gives_mean_spread_difference_and_order() -> None:
    chosen = [Cell("low", "a", 50.0), Cell("high", "b", 60.0), Cell("none", "c", 70.0)]
    rows = [{"preset": p, "miou_last": m, "miou_best": m + 1} for p, m in (("low", 48), ("low", 52), ("high", 49))]
    text = as_markdown(chosen, rows)
    assert "| low | a | 50.0 | 2 | 50.0 ± 2.8 | 51.0 ± 2.8 | +0.0 |" in text
    assert "| high | b | 60.0 | 1 | 49.0 | 50.0 | -11.0 |" in text
    assert "| none | c | 70.0 | 0 | – | – | – |" in text
    assert "0 of 1 orderings of the paper hold." in text and "- not: low < high" in text


def test_order_agreement_leaves_out_ties_of_the_paper_and_cells_without_runs() -> None:
    chosen = [Cell("a", "", 1.0), Cell("b", "", 2.0), Cell("c", "", 2.0), Cell("d", "", 3.0)]
    assert order_agreement(chosen, {"a": [5.0], "b": [6.0], "c": [4.0], "d": []}) == (1, 2, [("a", "c")])


def test_cells_with_one_run_between_them_are_no_ordering() -> None:
    chosen = [Cell("imagenet", "a", 50.0), Cell("coco", "b", 60.0), Cell("other", "c", 70.0)]
    rows: list[dict[str, object]] = [
        {"preset": p, "miou_last": m, "miou_best": m} for p, m in (("imagenet", 40.0), ("other", 41.0))
    ]
    rows.append(rows[0] | {"preset": "coco", "same_run_as": "imagenet"})
    text = as_markdown(chosen, rows, "mini")
    assert "| coco | b (the run of imagenet) | 60.0 |" in text and "2 of 2 orderings" in text
