"""Rows of a comparison of the method ``bank`` with supervised, as its table reads them."""


def gain_row(method: str, equal: str, split: int, miou: float, **changes: object) -> dict[str, object]:
    curve = [[80.0, 80, miou - 0.4], [100.0, 100, miou]]
    return {
        "data": "streets", "method": method, "labelled": 12, "split_seed": split, "equal": equal, "iterations": 100,
        "crops": 1200 if method == "bank" or equal == "crops" else 400, "miou_last": miou, "miou_best": miou + 1,
        "teacher_last": miou - 3 if method == "bank" else miou - 0.5, "curve": curve,
    } | changes  # fmt: skip
