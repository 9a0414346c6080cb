"""What other rooms ask of a method, and what may stand beside it: nothing, where a method does not say otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from semiseg.config.read import Config
from semiseg.methods.base.step import Step, StoredVectors
from semiseg.methods.base.views import LabelledView
from semiseg.networks import Output, SegmentationNetwork


class Asked(nn.Module):
    """The part of the contract that most methods leave as it is."""

    def learners(self) -> dict[str, SegmentationNetwork]:
        """See :meth:`semiseg.methods.base.Method.learners`."""
        raise NotImplementedError

    def distance(self, features: Tensor, height: int) -> Tensor | None:
        """How far features (B, D, h, w) of images ``height`` pixels high lie from labelled ones: cosine distance to the
        nearest stored vector, (rows,) in [0, 2], fewer than B·h·w where finer features are averaged to stride 8. None
        where nothing is stored."""
        return None

    @classmethod
    def stored_vectors(cls, state: Mapping[str, Tensor]) -> StoredVectors | None:
        """The vectors in a method's ``state_dict``, None where it keeps none."""
        return None

    @contextmanager
    def predicting(self) -> Iterator[SegmentationNetwork]:
        """Within it the first learner predicts as it will after the run, for a validation."""
        yield next(iter(self.learners().values()))

    @classmethod
    def complete(cls, config: Config, network: SegmentationNetwork, state: Mapping[str, Tensor]) -> None:
        """Give a loaded first learner what it predicts with besides, from the ``state_dict`` of the method, or of the
        network alone below ``student.``: as within :meth:`predicting`."""

    def with_bank(
        self, step: Step, view: LabelledView, student: Output, labels: Tensor, terms: dict[str, Tensor],
        teacher: Output | None = None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """What :meth:`losses` returns, after a bank beside the method has added its term; here there is none.

        Args:
            step, view: the step and its labelled crops as the student saw them.
            student: what the student gave for them, and after them for the unlabelled views.
            labels: (B', H, W) int64 pseudo-labels of these views, 255 where the method learns from none.
            terms: what the method alone returns.
            teacher: what the teacher gave for the labelled crops, where it saw them.
        """
        return terms
