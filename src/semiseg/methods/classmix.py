"""ClassMix (Olsson et al., WACV 2021): pseudo-labels of mixed images, weighted by the confident share."""

from __future__ import annotations

from torch import Tensor

from semiseg.config.section import Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import valid_mean, weighted_cross_entropy
from semiseg.methods.base import Method, Needs, Pseudo, Step, Weights
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


class ClassMix(Method):
    """L = L_sup + λ_pseudo · r · H(f_θ(colour(mix(x_u))), mix(ŷ_u)).

    Half of the classes of each image are pasted on the next, unless ``method.augment.classmix_*`` say otherwise; strong
    colour jitter and blur follow. r is the share of pixels whose teacher confidence is above 0.968.
    """

    settings = ClassMixSettings
    needs = Needs(context=True)
    terms = ("supervised", "pseudo")
    watched = ("confident",)

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        x_u, inside = self.views.geometry(step)
        y_u, confidence = pseudo_labels(self.teacher_logits(x_u))
        y_u = y_u.where(inside, IGNORE)
        x_a, y_a, confidence = self.views.mix(y_u, 1.0, step, x_u, y_u, confidence)
        x_a = self.views.colour(step, x_a)

        logits_l, logits_u = self.pass_student(x_l, x_a).logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)
        confident = mean(valid_mean(confidence > self.options.pseudo.confidence_threshold, y_a != IGNORE))
        cross_entropy = weighted_cross_entropy(upsample(logits_u, x_a.shape[-2:]), y_a, ignore_index=IGNORE)
        pseudo = cross_entropy * confident
        loss = self.options.weights.supervised * supervised + self.pseudo_weight(step.iteration) * pseudo
        return {"loss": loss, "supervised": supervised, "pseudo": pseudo, "confident": confident}


METHOD = ClassMix
