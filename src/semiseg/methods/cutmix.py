"""CutMix consistency (French et al., BMVC 2020): the student must agree with mixed teacher predictions."""

from __future__ import annotations

from torch import Tensor

from semiseg.augment.mixing import cutmix_masks, paste
from semiseg.config.section import Probability, Section
from semiseg.losses import consistency, valid_mean
from semiseg.methods.base import Method, Needs, Pseudo, Step, Weights, probabilities
from semiseg.runtime.distributed import mean


class CutMixPseudo(Pseudo):
    confidence_threshold: Probability = 0.97
    """Confidence above which a pixel counts as confident (French et al., section 4: 0.97)."""


class CutMixSettings(Section):
    weights: Weights = Weights()
    pseudo: CutMixPseudo = CutMixPseudo()

    REFERENCE = {"pseudo.warmup": "ramp"}


class CutMix(Method):
    """L = L_sup + λ_pseudo · r · ‖softmax f_θ(mix(x_u)) - mix(softmax f_ξ(x_u))‖².

    One rectangle of half the area an image; r is the share of pixels whose mixed teacher confidence is above 0.97.
    Padding counts in neither.
    """

    settings = CutMixSettings
    needs = Needs(context=True)
    terms = ("supervised", "pseudo")
    watched = ("confident",)

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        x_u, inside = self.views.geometry(step)
        masks = cutmix_masks(len(x_u), x_u.shape[-2], x_u.shape[-1], step.draws).to(x_u.device)
        x_a, target, inside = paste(masks, x_u, self.teacher_logits(x_u).softmax(dim=1), inside)

        logits_l, logits_u = self.pass_student(x_l, x_a).logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)
        confident = mean(valid_mean(target.amax(dim=1) > self.options.pseudo.confidence_threshold, inside))
        pseudo = consistency(probabilities(logits_u, x_a.shape[-2:]), target, inside) * confident
        loss = self.options.weights.supervised * supervised + self.pseudo_weight(step.iteration) * pseudo
        return {"loss": loss, "supervised": supervised, "pseudo": pseudo, "confident": confident}


METHOD = CutMix
