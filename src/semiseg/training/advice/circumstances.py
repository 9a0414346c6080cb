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
        waits_until: steps done before the first that learns from unlabelled images, or from pseudo-labels where these
            wait longer; 0 where the first does.
        waiting: which of the two, in words.
        threshold: key of the least confidence that lets a pseudo-label count; None where the method has none.
    """

    iterations: int
    labelled: int | None
    images: int
    waits_until: int = 0
    waiting: str = "unlabelled images"
    threshold: str | None = None

    def waits(self, done: int) -> bool:
        """Whether none of the first ``done`` steps has learnt from them."""
        return 0 < done <= self.waits_until

    @property
    def masks(self) -> str:
        """``the 12 masks``."""
        if self.labelled is None:
            return "the masks"
        return "the one mask" if self.labelled == 1 else f"the {self.labelled} masks"


def circumstances(method: Method, data: RunData, images: int) -> Circumstances:
    """Of a run; ``images`` validation images have a mask. All steps are those of the run, with a first stage or not."""
    whole, first = method.training_config.iterations, method.first_stage
    own = next((r.start for r in method.rounds(whole - first) if not r.supervised), whole - first)
    pseudo = getattr(method.options, "pseudo", None)
    warmup = warmup_steps(method, whole - first) if getattr(pseudo, "warmup", None) == "off" else 0
    stands = hasattr(pseudo, "confidence_threshold") and "threshold" not in method.watched  # one that is watched moves
    by_threshold = stands and getattr(pseudo, "weighting", "threshold") == "threshold"
    return Circumstances(
        iterations=whole,
        labelled=len(data.labelled) if data.source is None else None,
        images=images,
        waits_until=first + max(own, warmup),
        waiting="pseudo-labels" if warmup > own else "unlabelled images",
        threshold="method.pseudo.confidence_threshold" if by_threshold else None,
    )
