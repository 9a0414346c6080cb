from pathlib import Path

import numpy as np
import pytest

from semiseg.data.masks import ColourTable, from_values, value_table
from semiseg.errors import SemisegError

HERE = Path("mask.png")


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.uint16])
def test_values_of_any_integer_type(kind: type) -> None:
    table = value_table({0: 2, 7: 0, 9: 1}, ignored=(3,))
    label = from_values(np.array([[0, 7], [9, 3], [255, 0]], kind), table, HERE, "ids")
    assert label.dtype == np.uint8 and label.tolist() == [[2, 0], [1, 255], [255, 2]]


@pytest.mark.parametrize("value", [1, 254, -2, 256, 511, 70000, -256])
def test_values_without_a_class_are_named(value: int) -> None:
    values = np.array([[0, value, 0]], np.int32)
    with pytest.raises(SemisegError, match=rf"mask\.png holds values {value}; expected the ids 0 and 255: take"):
        from_values(values, value_table({0: 0}), HERE, "the ids 0 and 255")
    assert from_values(np.array([[-1]]), value_table({0: 0}), HERE, "").item() == 255


def test_colours_are_classes_and_pictures_are_not_values() -> None:
    table = ColourTable({(0, 0, 1): 3, (0, 1, 0): 4, (1, 0, 0): 5, (255, 255, 255): 255})
    picture = np.array([[[0, 0, 1], [1, 0, 0]], [[255, 255, 255], [0, 1, 0]]], np.uint8)
    assert table.decode(picture, HERE).tolist() == [[3, 5], [255, 4]]
    assert table.knows(np.array([[0, 1, 0], [0, 1, 1], [255, 255, 254]], np.uint8)).tolist() == [True, False, False]
    picture[1, 0] = 255, 255, 254
    with pytest.raises(
        SemisegError, match=r"mask\.png: colour \(255, 255, 254\) at row 1, column 0 belongs to no class"
    ):
        table.decode(picture, HERE)
    with pytest.raises(SemisegError, match=r"mask\.png is a colour image; expected ids"):
        from_values(picture, value_table({0: 0}), HERE, "ids")
