"""ClassMix (Olsson et al., WACV 2021): pseudo-labels of mixed images, weighted by the confident share."""

from __future__ import annotations

from torch import Tensor

from semiseg.config.section import Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import valid_mean, weighted_cross_entropy
from semiseg.methods.base import Method, Needs, Pseudo, Step, Weights
from semiseg.methods.base.settings import OWN_VIEWS, teacher_of
from semiseg.networks import upsample
from semiseg.pseudo_labels import pseudo_labels
from semiseg.runtime.distributed import mean


class ClassMixPseudo(Pseudo):
    confidence_threshold: Probability = 0.968
    """Confidence above which a pixel counts as confident (Olsson et al., section 3.3: 0.968)."""


class ClassMixSettings(Section):
    weights: Weights = Weights()
    pseudo: ClassMixPseudo = ClassMixPseudo()

    REFERENCE = {"pseudo.warmup": "ramp"}
    PAPER = OWN_VIEWS | teacher_of(0.99, ramp=True, batch_statistics=True) | {"warmup": 0.0}


class ClassMix(Method):
    """L = L_sup + λ_pseudo · r · H(f_θ(colour(mix(x_u))), mix(ŷ_u)).

    Half of the classes of each image are pasted on the next, unless ``method.augment.classmix_*`` say otherwise; strong
    colour jitter and blur follow. r is the share of pixels whose teacher confidence is above 0.968.

    Its public code's, replaced under ``method.profile=equal``: a teacher with τ = min(1 - 1/(i + 1), 0.99) on the
    statistics of its batch, no class weights, no warm-up, and labelled crops that keep their colours and are not mixed.
    Not verified: the strength of the colours, which is that of Table 1 either way.
    """

    settings = ClassMixSettings
    takes_bank = True
    needs = Needs(context=True)
    terms = ("supervised", "pseudo")
    watched = ("confident",)

    def losses(self, step: Step) -> dict[str, Tensor]:
        view = self.labelled_view(step)
        x_u, inside = self.views.geometry(step)
        y_u, confidence = pseudo_labels(self.teacher_logits(x_u))
        y_u = y_u.where(inside, IGNORE)
        x_a, y_a, confidence = self.views.mix(y_u, 1.0, step, x_u, y_u, confidence)
        x_a = self.views.colour(step, x_a)

        student = self.pass_student(view.images, x_a)
        logits_l, logits_u = student.logits.tensor_split([len(view.images)])
        supervised = self.supervised(logits_l, view.labels, step.iteration)
        confident = mean(valid_mean(confidence > self.options.pseudo.confidence_threshold, y_a != IGNORE))
        cross_entropy = weighted_cross_entropy(upsample(logits_u, x_a.shape[-2:]), y_a, ignore_index=IGNORE)
        pseudo = cross_entropy * confident
        loss = self.options.weights.supervised * supervised + self.pseudo_weight(step.iteration) * pseudo
        terms = {"loss": loss, "supervised": supervised, "pseudo": pseudo, "confident": confident}
        return self.with_bank(step, view, student, y_a, terms)


METHOD = ClassMix
