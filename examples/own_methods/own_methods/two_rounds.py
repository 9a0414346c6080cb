"""Self-training in two rounds: supervised, then also on what the first student says of all unlabelled images."""

from torch import Tensor

from semiseg.config.section import Probability, Section
from semiseg.losses import weighted_cross_entropy
from semiseg.methods.base import Method, Needs, Round, Step
from semiseg.networks import upsample


class TwoRoundsSettings(Section):
    first: Probability = 0.5
    """Share of the iterations that the first, supervised round takes."""


class TwoRounds(Method):
    """Round 1: L = L_sup. Round 2: L = L_sup + H(f_θ(x_u), stored labels), each pixel weighted by its confidence."""

    settings = TwoRoundsSettings
    needs = Needs(stored_labels=True)
    keeps_teacher = False
    terms = ("supervised", "stored")

    def rounds(self, iterations: int) -> list[Round]:
        border = min(iterations - 1, max(1, round(self.options.first * iterations)))
        return [Round(0, border), Round(border, iterations)] if iterations > 1 else [Round(0, 1)]

    def begin_round(self, number, survey):
        for index, image in survey:
            confidence, labels = survey.logits(self.student, image).softmax(dim=1).max(dim=1)
            survey.store(index, labels[0], confidence[0])

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        x_u = step.x_u
        logits = self.pass_student(x_l, x_u.images).logits
        supervised = self.supervised(logits[: len(x_l)], y_l, step.iteration)
        stored = supervised.new_zeros(())
        if x_u.confidence is not None:  # the second round
            unlabelled = upsample(logits[len(x_l) :], x_u.labels.shape[-2:])
            stored = weighted_cross_entropy(unlabelled, x_u.labels, None, x_u.confidence.to(logits.dtype))
        return {"loss": supervised + stored, "supervised": supervised, "stored": stored}
