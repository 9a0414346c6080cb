"""Dynamic mutual training (Feng et al., Pattern Recognition 2022): two students label for each other in turn."""

from __future__ import annotations

from torch import Tensor

from semiseg.config.read import Config
from semiseg.config.section import NotNegative, Section
from semiseg.losses import mutual_weights
from semiseg.methods.base import Round, Survey, Weights
from semiseg.methods.base.curriculum import curriculum, store_share
from semiseg.methods.cbc import CBCSettings, ClassBalancedCurriculum, Rounds
from semiseg.networks import SegmentationNetwork
from semiseg.networks.second import begun_anew


class DMTPseudo(Section):
    gamma_agree: NotNegative = 5.0
    """γ₁, where the learner's own class is the label (public code: 5 for VOC, 3 for Cityscapes)."""
    gamma_disagree: NotNegative = 5.0
    """γ₂, where it is another, of which the learner is less sure than the label is (public code: 5 and 3)."""


class DMTSettings(Section):
    weights: Weights = Weights()
    rounds: Rounds = Rounds()
    pseudo: DMTPseudo = DMTPseudo()

    PAPER = CBCSettings.PAPER


class DynamicMutualTraining(ClassBalancedCurriculum):
    """L of ``cbc`` with the weights β of two networks: p(y)^γ₁ where they agree, 0 where the learner is surer of
    another class than the labeller was of its own, p(y)^γ₂ elsewhere.

    After a round that trains both on labelled crops, every round of ``cbc`` is two here: the second student learns from
    the first one's labels, then the first, which is validated and reported, from the second one's. Each so gets half
    of the iterations that follow. The public code labels for the second half before the first, by a copy of what has
    not learnt yet, and takes the weights that did best on the validation images.

    The two differ by what they begin with: decoder and classifier at random. In the paper one backbone was trained on
    COCO and the other on ImageNet, and with 100 labels each saw its own four fifths of these. What
    ``method.profile=equal`` replaces is what it replaces of ``cbc``. A bank (``method.bank``) is refused: it belongs to
    the features of one student.
    """

    settings = DMTSettings
    takes_bank = False  # two students take turns

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.second = begun_anew(student)

    def learners(self) -> dict[str, SegmentationNetwork]:
        return {"student": self.student, "second": self.second}

    def rounds(self, iterations: int) -> list[Round]:
        return curriculum(iterations, self.options.rounds.first, 2 * self.options.rounds.count)

    def begin_round(self, number: int, survey: Survey) -> None:
        last = len(self.rounds(self.iterations)) - 1
        pairs = -(-last // 2)
        share = (pairs - (last - number) // 2) / pairs
        labeller = self.second if self._learns(number) is self.student else self.student
        store_share(survey, labeller, self.num_classes, share)

    def learner(self, iteration: int) -> SegmentationNetwork:
        return self._learns(sum(iteration >= r.stop for r in self.rounds(self.iterations)))

    def _learns(self, number: int) -> SegmentationNetwork:
        """Who learns in a round: the first student in the last one, and before that they take turns."""
        last = len(self.rounds(self.iterations)) - 1
        return self.second if (last - number) % 2 else self.student

    def dynamic(self, logits: Tensor, labels: Tensor, confidence: Tensor) -> Tensor:
        pseudo = self.options.pseudo
        return mutual_weights(logits, labels, confidence, pseudo.gamma_agree, pseudo.gamma_disagree)


METHOD = DynamicMutualTraining
