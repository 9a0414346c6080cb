"""``data.*``: which images, which of them stay labelled, and how they are cropped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from semiseg.config.section import Section, Seed, Side

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
    options: dict[str, Any] = {}
    """Further arguments of the data set: look: game for toy streets, fold: 0, 1 or 2 for CamVid; for a folder whose
    validation images are drawn from those with masks fold: 0 to 4, and validation: hash, permutation or none."""
    source: SourceConfig = SourceConfig()

    @property
    def crop_size(self) -> tuple[int, int]:
        """(height, width) of the training crop in pixels."""
        return (self.crop, self.crop) if isinstance(self.crop, int) else self.crop
