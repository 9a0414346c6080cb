"""An image set as ``data.*`` says: which channels of its files, how they become 8 bits, and in which tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semiseg.data.base import ImageSet
from semiseg.data.files import ImageFiles
from semiseg.data.rasters.intensity import PixelSettings
from semiseg.data.rasters.reader import PixelReader
from semiseg.data.rasters.tiles import TiledImages
from semiseg.errors import UsageError

if TYPE_CHECKING:
    from semiseg.config.data import DataConfig

_TAKEN: dict[int | str, str] = {"max": "the maximum", "mean": "the mean", "channels": "all planes as channels"}


def settings_of(config: DataConfig) -> PixelSettings:
    """The settings of the same names."""
    channels = tuple(config.channels) if isinstance(config.channels, list) else config.channels
    ranges = None if config.ranges is None else tuple(config.ranges)
    return PixelSettings(channels, config.intensity, config.percentiles, ranges, dict(config.stack))


def pixels_told(config: DataConfig) -> str | None:
    """Channels and intensities in words; None for RGB images of 8 bits."""
    parts = []
    if config.channels is not None:
        named = config.channels if isinstance(config.channels, list) else range(1, config.channels + 1)
        parts.append(f"channels {', '.join(map(str, named))}")
    if config.intensity == "full":
        parts.append("the full range of the numbers' type becomes 0 to 255")
    elif config.ranges is not None:
        pairs = ", ".join(f"{low:g} to {high:g}" for low, high in config.ranges)
        parts.append(f"{pairs} becomes 0 to 255{'' if len(config.ranges) == 1 else ', channel by channel'}")
    elif config.intensity is not None:
        low, high = config.percentiles
        unit = "of each image" if config.intensity == "image" else "of the training images together"
        parts.append(f"percentiles {low:g} to {high:g} {unit} become 0 to 255, channel by channel")
    parts += [f"along {axis} {_TAKEN.get(what, f'plane {what}')}" for axis, what in config.stack.items()]
    return "; ".join(parts) or None


def reader_of(config: DataConfig) -> PixelReader | None:
    """What reads the files of a run, and those to predict; None where they are RGB images of 8 bits, as usual."""
    plain = config.channels is None and config.intensity is None and not config.stack
    return None if plain else PixelReader(settings_of(config))


def as_configured(images: ImageSet, config: DataConfig) -> ImageSet:
    """The image set, read as configured; the very same where nothing is.

    Raises:
        UsageError: settings for files, where the data set has none.
        SemisegError: an image cannot be read.
    """
    reader = reader_of(config)
    if isinstance(images, ImageFiles):
        images.pixels = reader
        if config.tile is None:
            return images
        images.pixels = reader or PixelReader(settings_of(config))
        return TiledImages(images, images.pixels, config.tile)
    given: dict[str, object] = {"intensity": config.intensity, "stack": config.stack, "tile": config.tile}
    if config.dataset == "toy_streets":  # sets of other packages may well have five channels
        given["channels"] = config.channels
    if wrong := [name for name, value in given.items() if value]:
        raise UsageError(f"data.{wrong[0]} is for image files; {config.dataset} has none")
    return images
