"""What the settings of a run on a folder are derived from: its images, its masks, the machine and the method."""

from __future__ import annotations

from dataclasses import dataclass

from semiseg.data.base import Size


@dataclass(frozen=True)
class Facts:
    """Facts about a folder, a machine and a method; sizes are (height, width) in pixels of the upright files."""

    small_side: int
    """Median small side of the training images, in pixels."""
    large_side: int
    """Median large side of the training images, in pixels."""
    smallest: Size
    """Size of the training image with the fewest pixels."""
    largest: Size
    """Size of the training image with the most pixels."""
    largest_validation: Size
    """Size of the validation image with the most pixels."""
    labelled: int
    """Training images whose masks are used."""
    unlabelled: int
    """Other training images."""
    validation: int
    """Validation images with a mask."""
    own_validation: bool
    """Whether the folder says which images validate; otherwise they are drawn from those with masks."""
    classes: int
    device: str
    """Type of the device: cpu, cuda or mps."""
    finest_class: str | None = None
    """The class whose regions are the narrowest in the masks."""
    finest_width: float = 1.0
    """Usual width of its regions as a share of the image's small side."""
    gpu_memory: int | None = None
    """Bytes of a GPU's memory; None on a CPU, or where it is not known."""
    memory: int | None = None
    """Bytes of main memory; None where it is not known."""
    threads: int = 1
    """Processor threads that this process may use."""
    processes: int = 1
    """Processes that share the run (torchrun)."""
    mean_pixels: int | None = None
    """Mean number of pixels of a training image; None: as many as an image of the median sides."""
    joint: int = 1
    """Crops that pass the student together for each labelled one: itself and its share of unlabelled views."""
    tiled: bool = False
    """Images are tiles of larger ones (``data.tile``)."""

    @property
    def on_cpu(self) -> bool:
        return self.device == "cpu"

    def share(self, crops: int) -> int:
        """Of the crops of a step, how many one process takes at most."""
        return -(-crops // self.processes)

    @property
    def sizes(self) -> str:
        """``640×480 to 4000×3000``: width and height of the smallest and the largest image."""
        return " to ".join(dict.fromkeys(f"{width}×{height}" for height, width in (self.smallest, self.largest)))
