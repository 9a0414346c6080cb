"""The street classes that Cityscapes and GTA5 share: 34 ids in the files, 19 classes in training.

Source: the label definition published with Cityscapes (Cordts et al., 2016). GTA5 (Richter et al., 2016) uses the same
ids and colours, with two differences of its own: id 34 for licence plates, and a dark grey for "static".
"""

from __future__ import annotations

from typing import NamedTuple

from semiseg.data.base import IGNORE, Colour
from semiseg.data.masks import ColourTable, value_table


class StreetLabel(NamedTuple):
    """One id of the label files: its class in training (255: ignored) and its colour."""

    id: int
    name: str
    train_id: int
    colour: Colour


LABELS = tuple(
    StreetLabel(number, *row)
    for number, row in enumerate(
        (
            ("unlabelled", IGNORE, (0, 0, 0)),
            ("ego vehicle", IGNORE, (0, 0, 0)),
            ("rectification border", IGNORE, (0, 0, 0)),
            ("out of region", IGNORE, (0, 0, 0)),
            ("static", IGNORE, (0, 0, 0)),
            ("dynamic", IGNORE, (111, 74, 0)),
            ("ground", IGNORE, (81, 0, 81)),
            ("road", 0, (128, 64, 128)),
            ("sidewalk", 1, (244, 35, 232)),
            ("parking", IGNORE, (250, 170, 160)),
            ("rail track", IGNORE, (230, 150, 140)),
            ("building", 2, (70, 70, 70)),
            ("wall", 3, (102, 102, 156)),
            ("fence", 4, (190, 153, 153)),
            ("guard rail", IGNORE, (180, 165, 180)),
            ("bridge", IGNORE, (150, 100, 100)),
            ("tunnel", IGNORE, (150, 120, 90)),
            ("pole", 5, (153, 153, 153)),
            ("pole group", IGNORE, (153, 153, 153)),
            ("traffic light", 6, (250, 170, 30)),
            ("traffic sign", 7, (220, 220, 0)),
            ("vegetation", 8, (107, 142, 35)),
            ("terrain", 9, (152, 251, 152)),
            ("sky", 10, (70, 130, 180)),
            ("person", 11, (220, 20, 60)),
            ("rider", 12, (255, 0, 0)),
            ("car", 13, (0, 0, 142)),
            ("truck", 14, (0, 0, 70)),
            ("bus", 15, (0, 60, 100)),
            ("caravan", IGNORE, (0, 0, 90)),
            ("trailer", IGNORE, (0, 0, 110)),
            ("train", 16, (0, 80, 100)),
            ("motorcycle", 17, (0, 0, 230)),
            ("bicycle", 18, (119, 11, 32)),
        )
    )
)
_EVALUATED = [label for label in LABELS if label.train_id != IGNORE]
CLASSES = tuple(label.name for label in _EVALUATED)
COLOURS = tuple(label.colour for label in _EVALUATED)

ID_TABLE = value_table({label.id: label.train_id for label in LABELS})
TRAIN_ID_TABLE = value_table({k: k for k in range(len(CLASSES))})

# In GTA5 only. "pole" and "pole group" share a colour, and so do "car" and "licence plate": in masks saved as pictures
# both become the class.
LICENCE_PLATE = 34
GTA5_STATIC: Colour = (20, 20, 20)
GTA5_ID_TABLE = value_table({label.id: label.train_id for label in LABELS}, ignored=(LICENCE_PLATE,))
GTA5_ID_COLOURS: tuple[Colour, ...] = (
    *(GTA5_STATIC if label.name == "static" else label.colour for label in LABELS),
    (0, 0, 142),
)
GTA5_COLOUR_TABLE = ColourTable(
    {label.colour: label.train_id for label in LABELS}
    | {label.colour: label.train_id for label in _EVALUATED}
    | {GTA5_STATIC: IGNORE}
)
