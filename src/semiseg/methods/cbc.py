"""DST-CBC (Feng et al., 2020): self-training in rounds on a growing share of each class, weighted as one learns."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.augment.weak_strong import augment
from semiseg.config.read import Config
from semiseg.config.section import Count, NotNegative, Section
from semiseg.data.base import IGNORE
from semiseg.losses import dynamic_weights, weighted_cross_entropy
from semiseg.methods.base import Method, Needs, Round, Step, Survey, Weights
from semiseg.methods.base.curriculum import curriculum, store_share
from semiseg.methods.base.settings import OWN_VIEWS
from semiseg.methods.base.stages import supervised_losses
from semiseg.networks import SegmentationNetwork, upsample
from semiseg.runtime.distributed import mean
from semiseg.runtime.precision import at_least_single


class Rounds(Section):
    count: Count = 5
    """Rounds of self-training, with 1/n, 2/n, …, all of the pixels of each class (public code: 5)."""
    first: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the iterations that come first on labelled crops alone (public code: between a tenth and a fifth)."""


class CBCPseudo(Section):
    gamma: NotNegative = 2.0
    """γ of the dynamic weights p^γ (public code: 2, for VOC with 100 labels 9)."""


class CBCSettings(Section):
    weights: Weights = Weights()
    rounds: Rounds = Rounds()
    pseudo: CBCPseudo = CBCPseudo()

    PAPER = OWN_VIEWS | {"augment.weak": "scale"}


class ClassBalancedCurriculum(Method):
    """L = (1 - u) · L_sup + u · 1/N_u Σ_n p_n(y_n)^γ · H(p_n, y_n), y the labels stored when the round began.

    u = λ N_u / (N_l + λ N_u) of N_l labelled and N_u pseudo-labelled pixels in the batch: one mean over both, as in the
    public code, whose batches hold a labelled crop and seven others (``training.unlabelled_ratio=7``). p(y)^γ is the
    student's present probability of a label, without gradient.

    Round r of n keeps, of the pixels that the student takes for a class, the surest r/n, whatever their confidence: all
    classes grow alike. A pixel is labelled by the likeliest class, as in the public code; the rule argmax p_c/k_c of
    class-balanced self-training (Zou et al., ECCV 2018) was not found there. The share is of all pixels, not of every
    sixteenth. Both kinds of crops are augmented by the weak set. The next round follows from the last weights and not
    from those that did best on the validation images.

    The public code's, replaced under ``method.profile=equal``: no class weights, all crops flipped and scaled by 0.5 to
    1.5 and nothing else.
    """

    settings: ClassVar[type[Section]] = CBCSettings
    takes_bank = True
    needs = Needs(stored_labels=True)
    keeps_teacher = False
    terms = ("supervised", "pseudo")
    watched = ("weight", "kept")

    @classmethod
    def unread(cls, config: Config) -> set[str]:
        return super().unread(config) | {"method.augment.strong"}

    def rounds(self, iterations: int) -> list[Round]:
        return curriculum(iterations, self.options.rounds.first, self.options.rounds.count)

    def begin_round(self, number: int, survey: Survey) -> None:
        share = number / (len(self.rounds(self.iterations)) - 1)
        store_share(survey, self.student, self.num_classes, share)

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_u = step.x_u
        if x_u.confidence is None:  # nothing is stored yet
            return supervised_losses(self, step)
        view = self.labelled_view(step)
        x_l, y_l = view.images, view.labels
        y_u = x_u.without_padding(x_u.labels)
        x_a, y_a, confidence = augment(x_u.images, y_u, x_u.confidence, self.views.weak_set, step.draws)
        assert confidence is not None
        student = self.pass_student(x_l, x_a, network=self.learner(step.iteration))
        logits_l, logits_a = student.logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)
        logits_a = at_least_single(upsample(logits_a, y_a.shape[-2:]))
        beta = self.dynamic(logits_a, y_a, confidence)
        words: dict[str, Any] = {"ignore_index": IGNORE, "divisor": "weights", "across_processes": True}
        pseudo = weighted_cross_entropy(logits_a, y_a, None, beta, **words)

        n_l, n_u = (mean((y != IGNORE).sum().to(pseudo.dtype)) for y in (y_l, y_a))
        weighted = self.options.weights.pseudo * n_u
        share = weighted / (n_l + weighted).clamp_min(1e-12)
        loss = (1 - share) * self.options.weights.supervised * supervised + share * pseudo
        weight = mean((beta * (y_a != IGNORE)).sum()) / n_u.clamp_min(1)
        terms = {"loss": loss, "supervised": supervised, "pseudo": pseudo, "weight": weight, "kept": n_u / y_a.numel()}
        return self.with_bank(step, view, student, y_a, terms)

    def learner(self, iteration: int) -> SegmentationNetwork:
        """Who learns in this step."""
        return self.student

    def dynamic(self, logits: Tensor, labels: Tensor, confidence: Tensor) -> Tensor:
        """β (B, H, W) of stored labels and the confidence they were stored with, given the learner's logits."""
        return dynamic_weights(logits, labels, self.options.pseudo.gamma)


METHOD = ClassBalancedCurriculum
