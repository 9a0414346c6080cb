"""``data.*``: which images, which of them stay labelled, and how they are cropped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from semiseg.config.section import Count, Section, Seed, Side

MOST_CHANNELS = 64
Percent = Annotated[float, Field(ge=0, le=100)]
PERMUTATION_SUFFIXES = (".pkl", ".npy")


def is_permutation(path: str | Path) -> bool:
    """Whether ``data.labelled_list`` names a NumPy permutation (.pkl, .npy) rather than a text file of names."""
    return Path(path).suffix.lower() in PERMUTATION_SUFFIXES


class SourceConfig(Section):
    """X_d, a labelled set from another domain (section 4.3.2); its classes must be those of the target."""

    dataset: str | None = None
    """Kind of data set, e.g. gta5; none: no domain adaptation."""
    root: str | None = None
    """Folder of the data set as downloaded."""
    resize: Side | tuple[Side, Side] | None = None
    """As data.resize, for the images of this domain."""
    options: dict[str, Any] = {}
    """Further arguments of the data set, e.g. look: game for toy streets."""
    sampling: Literal["even", "alternating", "late"] = "even"
    """Every labelled batch half from X_l and half from X_d (section 4.3.2); whole batches of each in turn (authors'
    early code); or X_d in every second of the last 100 iterations only (authors' later code, an inverted test)."""


class DataConfig(Section):
    dataset: str = "folder"
    """Kind of data set: folder, camvid, toy_streets, cityscapes or voc (gta5: as source)."""
    root: str | None = None
    """Folder of the data set as downloaded; toy streets need none."""
    labelled: str | int | float = "all"
    """Training images that keep their masks: a count (12), a fraction (1/30) or all (Tables 2-4 use fractions)."""
    split_seed: Seed = 0
    """Seed of the permutation of the sorted image list whose first entries stay labelled (section 4.2: three
    splits)."""
    labelled_list: str | None = None
    """Text file with one image name a line, instead of a seeded split; or a NumPy permutation of the sorted list
    (.pkl, .npy), whose first data.labelled entries stay labelled."""
    resize: Side | tuple[Side, Side] | None = None
    """(height, width) in pixels that images are brought to before cropping, e.g. [512, 1024] (section 4.2); one number:
    their small side, each in its own proportions."""
    crop: Side | tuple[Side, Side] = 512
    """Side of the training crop in pixels, or (height, width): 512 for Cityscapes, 321 for VOC (section 4.2)."""
    context: bool = False
    """Load crops with what surrounds them, so that one that is made smaller shows more of its image instead of a grey
    border (authors' code: the border). Unlabelled crops too where the method resizes them before all else: all methods
    of this package but memory_bank, whose teacher sees them as they are."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 2
    """Loader processes; 0 loads in the training process."""
    cache: bool = False
    """Keep decoded images in memory: for small sets."""
    channels: Count | list[Count] | None = None
    """Channels of the image files that the network sees: how many there are (5), or which, counted from 1 ([4, 3, 2]);
    none: red, green and blue."""
    intensity: Literal["image", "dataset", "full"] | None = None
    """How numbers of more than 8 bits become 0 to 255, by channel: between the data.percentiles of each image, between
    those of the training images together, or by the full range of their type (of floats, 0 to 1); none: files must have
    8 bits."""
    percentiles: tuple[Percent, Percent] = (1.0, 99.8)
    """What becomes 0 and 255 with data.intensity=image and dataset, in percent of the pixels that are content."""
    ranges: list[tuple[float, float]] | None = None
    """With data.intensity=dataset what becomes 0 and 255: one pair for all channels, e.g. [[0, 4095]], or one for each;
    measured on the training images, and written here, where not given."""
    stack: dict[str, int | Literal["max", "mean", "channels"]] = {}
    """Of TIFF files with planes along Z, T or another axis, what is taken of each, e.g. {Z: max, T: 1}: a plane counted
    from 1, the largest or the mean value, or channels: all of them as channels."""
    tile: Annotated[int, Field(ge=64, le=2**16)] | None = None
    """Larger images are taken as tiles of this side in pixels, each an image of its own, of whose files only windows
    are read: for GeoTIFF and other files that are too large for the memory."""
    shown: tuple[Count, Count, Count] | None = None
    """Which of the channels used, counted from 1, are red, green and blue in pictures and overlays; none: the first
    three, or the first in grey where there are fewer."""
    options: dict[str, Any] = {}
    """Further arguments of the data set: look: game for toy streets, fold: 0, 1 or 2 for CamVid; for a folder whose
    validation images are drawn from those with masks fold: 0 to 4, and validation: hash, permutation or none."""
    source: SourceConfig = SourceConfig()

    @property
    def channel_count(self) -> int:
        """Channels of an image as the network sees it."""
        if self.channels is None:
            return 3
        return self.channels if isinstance(self.channels, int) else len(self.channels)

    @model_validator(mode="after")
    def _channels_fit(self) -> DataConfig:
        """What the settings of channels and intensities say together must make sense."""
        n, low, high = self.channel_count, *self.percentiles
        problems = []
        if self.channels == []:
            problems.append("channels: [] names none; give a count or a list")
        if n > MOST_CHANNELS:
            problems.append(f"channels: {n} are more than the {MOST_CHANNELS} that are supported")
        if low >= high:
            problems.append(f"percentiles: {low:g} is not below {high:g}")
        if self.ranges is not None and self.intensity != "dataset":
            problems.append("ranges: they act with data.intensity=dataset only")
        if self.ranges is not None and (len(self.ranges) not in (1, n) or any(a >= b for a, b in self.ranges)):
            problems.append(f"ranges: give one pair LOW below HIGH for all channels, or {n}")
        if self.shown is not None and max(self.shown) > n:
            problems.append(f"shown: {max(self.shown)} is none of the {n} channels used; they are counted from 1")
        if problems:
            raise ValueError("; ".join(f"data.{problem}" for problem in problems))
        return self

    @property
    def crop_size(self) -> tuple[int, int]:
        """(height, width) of the training crop in pixels."""
        return (self.crop, self.crop) if isinstance(self.crop, int) else self.crop
