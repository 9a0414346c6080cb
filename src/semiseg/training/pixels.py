"""What a run says of the pixels it reads, and what it measures of them."""

from __future__ import annotations

from semiseg.config.read import Config
from semiseg.data.rasters.configured import pixels_told
from semiseg.data.rasters.intensity import Ranges


def as_measured(config: Config, ranges: Ranges | list[tuple[float, float]] | None) -> Config:
    """The configuration with ``data.ranges`` as they were measured; None leaves it as it is."""
    if ranges is None or config.data.ranges is not None:
        return config
    data = config.data.model_copy(update={"ranges": [(low, high) for low, high in ranges]})
    return config.model_copy(update={"data": data})


def pixels_remark(config: Config) -> str | None:
    """One line on channels, intensities and what is not augmented; None for RGB images of 8 bits."""
    told = pixels_told(config.data)
    if told is not None and config.data.channel_count != 3:
        told += (
            "; normalised by mean and deviation of the training images; jitter changes brightness and contrast alone, "
            "since there is no hue and no saturation"
        )
    return None if told is None else f"images: {told}"
