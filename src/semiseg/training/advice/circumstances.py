"""What the words need to know of a run beside its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from semiseg.data.run_data import RunData
from semiseg.methods.base import Method
from semiseg.methods.base.stages import warmup_steps


@dataclass(frozen=True)
class Circumstances:
    """A run as the words see it.

    Attributes:
        iterations: steps of the whole run.
        labelled: masks that it learns from; None where a second domain adds others.
        images: validation images.
        waits_until: step from which pseudo-labels are learnt from; 0: from the first, or never.
        threshold: key of the least confidence that lets a pseudo-label count; None where the method has none.
    """

    iterations: int
    labelled: int | None
    images: int
    waits_until: int = 0
    threshold: str | None = None

    @property
    def masks(self) -> str:
        """``the 12 masks``."""
        if self.labelled is None:
            return "the masks"
        return "the one mask" if self.labelled == 1 else f"the {self.labelled} masks"


def circumstances(method: Method, data: RunData, images: int) -> Circumstances:
    """Of a run; ``images`` validation images have a mask. All steps are those of the run, with a first stage or not."""
    whole, first = method.training_config.iterations, method.first_stage
    pseudo = getattr(method.options, "pseudo", None)
    waits = "pseudo" in method.terms and getattr(pseudo, "warmup", None) == "off"
    by_threshold = hasattr(pseudo, "confidence_threshold") and getattr(pseudo, "weighting", "threshold") == "threshold"
    return Circumstances(
        iterations=whole,
        labelled=len(data.labelled) if data.source is None else None,
        images=images,
        waits_until=first + (warmup_steps(method, whole - first) if waits else 0),
        threshold="method.pseudo.confidence_threshold" if by_threshold else None,
    )
