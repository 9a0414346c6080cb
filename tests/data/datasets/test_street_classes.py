import numpy as np

from semiseg.data.datasets.street_classes import (
    CLASSES,
    COLOURS,
    GTA5_ID_COLOURS,
    GTA5_ID_TABLE,
    ID_TABLE,
    LABELS,
    TRAIN_ID_TABLE,
)

# Ids that Cityscapes evaluates, in the order of the 19 classes: typed from its documentation, apart from the table.
EVALUATED = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


def test_33_ids_become_19_classes() -> None:
    expected = {number: EVALUATED.index(number) if number in EVALUATED else 255 for number in range(34)}
    assert {number: int(ID_TABLE[number]) for number in range(34)} == expected
    assert ID_TABLE[34] == 254 and GTA5_ID_TABLE[34] == 255 and GTA5_ID_TABLE[:34].tolist() == ID_TABLE[:34].tolist()
    assert np.flatnonzero(TRAIN_ID_TABLE != 254).tolist() == [*range(19), 255]


def test_names_and_colours() -> None:
    assert [label.id for label in LABELS] == list(range(34)) and len(GTA5_ID_COLOURS) == 35
    assert CLASSES[:3] == ("road", "sidewalk", "building") and CLASSES[-2:] == ("motorcycle", "bicycle")
    assert len(CLASSES) == len(set(CLASSES)) == len(set(COLOURS)) == 19
    named = dict(zip(CLASSES, COLOURS, strict=True))
    assert named["sky"] == (70, 130, 180) and named["rider"] == (255, 0, 0) and named["train"] == (0, 80, 100)
