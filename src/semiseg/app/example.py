"""The image that the page opens with."""

from __future__ import annotations

import numpy as np

from semiseg.data.run_data import open_split
from semiseg.errors import SemisegError
from semiseg.prediction.predictor import Predictor


def example_image(predictor: Predictor) -> np.ndarray | None:
    """uint8 (H,W,3): the first validation image of its run, which the network has not learnt from; None where the data
    is not there any more, or its pixels are not those of a picture that is uploaded."""
    if predictor.pixels is not None:
        return None
    try:
        images = open_split(predictor.config.data, "val")
        return images.image(0) if len(images) else None
    except (SemisegError, OSError):
        return None
