from typing import Any

import numpy as np
import pytest

from semiseg.data.datasets.toy_canvas import CLASSES, PERSON, SIGN
from semiseg.data.datasets.toy_streets import ToyStreets, open_toy_streets
from semiseg.errors import UsageError


def test_scene_depends_on_its_number_not_on_the_order_of_access() -> None:
    forwards, backwards = ToyStreets(4), ToyStreets(4)
    first = [(forwards.image(i), forwards.label(i)) for i in range(4)]
    for i in (3, 1, 0, 2):
        assert np.array_equal(backwards.image(i), first[i][0])
        assert np.array_equal(backwards.label(i), first[i][1])


@pytest.mark.parametrize("change", [{"seed": 1}, {"stream": "val"}, {"look": "game"}])
def test_seed_stream_and_look_make_other_scenes(change: dict[str, Any]) -> None:
    base, other = ToyStreets(3), ToyStreets(3, **change)
    assert not any(np.array_equal(base.image(i), other.image(k)) for i in range(3) for k in range(3))


def test_shapes_types_and_shares_of_the_classes() -> None:
    town = ToyStreets(60, size=(48, 80))
    labels = np.stack([town.label(i) for i in range(60)])
    assert town.image(0).shape == (48, 80, 3) and town.image(0).dtype == np.uint8
    assert labels.shape[1:] == (48, 80) and labels.dtype == np.uint8
    shares = np.bincount(labels.ravel(), minlength=len(CLASSES)) / labels.size
    assert len(shares) == len(CLASSES) and (shares > 0.003).all()
    assert shares[PERSON] < 0.04 and shares[SIGN] < 0.04
    assert town.info.num_classes == len(CLASSES) == len(town.info.colours)


def test_label_and_image_show_the_same_edges() -> None:
    """In the flat look, a pixel step across a class border changes the image far more than one within a class."""
    town = ToyStreets(8, look="game")
    across, within = [], []
    for i in range(8):
        image, label = town.image(i).astype(float), town.label(i)
        step = np.abs(np.diff(image, axis=1)).sum(2)
        border = np.diff(label.astype(int), axis=1) != 0
        across.append(step[border].mean())
        within.append(step[~border].mean())
    assert np.mean(across) > 4 * np.mean(within)


def test_looks_differ_in_saturation() -> None:
    def saturation(look: str) -> float:
        pixels = np.stack([ToyStreets(12, look=look).image(i) for i in range(12)]).astype(float)
        return float((pixels.max(-1) - pixels.min(-1)).mean())

    assert saturation("game") > 1.4 * saturation("camera")


def test_options_and_their_errors() -> None:
    assert len(open_toy_streets(None, "train", train=7)) == 7
    assert len(open_toy_streets(None, "val", val=3)) == 3
    with pytest.raises(UsageError, match="camera, game"):
        open_toy_streets(None, "train", look="film")
    with pytest.raises(UsageError, match="no option 'colour'"):
        open_toy_streets(None, "train", colour=1)
    with pytest.raises(UsageError, match="no split"):
        open_toy_streets(None, "test")
