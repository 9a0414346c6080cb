"""Self-training in two rounds: learn from the labelled images, label all others once, learn from both."""

from __future__ import annotations

from torch import Tensor

from semiseg.config.section import NotNegative, Probability, Section
from semiseg.losses import weighted_cross_entropy
from semiseg.methods.base import Method, Needs, Round, Step, Survey
from semiseg.networks import upsample
from semiseg.pseudo_labels import pseudo_labels


class TwoRoundsWeights(Section):
    supervised: NotNegative = 1.0
    """Weight of the labelled crops' cross-entropy."""
    stored: NotNegative = 1.0
    """Weight of the cross-entropy with the stored labels."""


class TwoRoundsSettings(Section):
    weights: TwoRoundsWeights = TwoRoundsWeights()
    first_round: Probability = 0.5
    """Share of the iterations that see labelled images only."""


class TwoRounds(Method):
    """L = L_sup, then L_sup + λ_stored · H(p, stored label), weighted by the confidence it was stored with."""

    settings = TwoRoundsSettings
    needs = Needs(stored_labels=True)
    keeps_teacher = False
    terms = ("supervised", "stored")

    def rounds(self, iterations: int) -> list[Round]:
        border = round(self.options.first_round * iterations)
        return [Round(0, border), Round(border, iterations)] if 0 < border < iterations else [Round(0, iterations)]

    def begin_round(self, number: int, survey: Survey) -> None:
        for index, image in survey:
            labels, confidence = pseudo_labels(survey.logits(self.student, image))
            survey.store(index, labels[0], confidence[0])

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        x_u = step.x_u
        if x_u.confidence is None:  # the first round: nothing is stored yet
            supervised = self.supervised(self.pass_student(x_l).logits, y_l, step.iteration)
            stored = supervised.new_zeros(())
        else:
            x_a, y_a, beta = self.views.strong(step, x_u.images, x_u.labels, x_u.confidence)
            logits_l, logits_a = self.pass_student(x_l, x_a).logits.tensor_split([len(x_l)])
            supervised = self.supervised(logits_l, y_l, step.iteration)
            stored = weighted_cross_entropy(upsample(logits_a, y_a.shape[-2:]), y_a, pixel_weights=beta)
        loss = self.options.weights.supervised * supervised + self.options.weights.stored * stored
        return {"loss": loss, "supervised": supervised, "stored": stored}
