"""CutMix consistency (French et al., BMVC 2020): the student must agree with mixed teacher predictions."""

from __future__ import annotations

from torch import Tensor

from semiseg.augment.mixing import cutmix_masks, paste
from semiseg.config.section import Probability, Section
from semiseg.losses import consistency, valid_mean
from semiseg.methods.base import Method, Needs, Pseudo, Step, Weights, probabilities
from semiseg.methods.base.settings import OWN_VIEWS, teacher_of
from semiseg.runtime.distributed import mean


class CutMixPseudo(Pseudo):
    confidence_threshold: Probability = 0.97
    """Confidence above which a pixel counts as confident (French et al., section 4: 0.97)."""


class CutMixSettings(Section):
    weights: Weights = Weights()
    pseudo: CutMixPseudo = CutMixPseudo()

    REFERENCE = {"pseudo.warmup": "ramp"}
    PAPER = OWN_VIEWS | teacher_of(0.99) | {"warmup": 0.0, "augment.strong": "flip"}


class CutMix(Method):
    """L = L_sup + λ_pseudo · r · ‖softmax f_θ(mix(x_u)) - mix(softmax f_ξ(x_u))‖².

    One rectangle of half the area an image; r is the share of pixels whose mixed teacher confidence is above 0.97.
    Padding counts in neither.

    Its paper's, replaced under ``method.profile=equal``: τ = 0.99 throughout, no class weights, no warm-up, crops that
    are flipped only (on VOC also scaled: ``method.augment.weak=scale method.augment.strong=scale``).
    """

    settings = CutMixSettings
    needs = Needs(context=True)
    terms = ("supervised", "pseudo")
    watched = ("confident",)

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        x_u, inside = self.views.geometry(step)
        target = self.teacher_logits(x_u).softmax(dim=1)
        x_a, target, inside, seen = self.perturbed(step, x_u, target, inside)

        logits_l, logits_u = self.pass_student(x_l, x_a).logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)
        confident = mean(valid_mean(target.amax(dim=1) > self.options.pseudo.confidence_threshold, inside))
        pseudo = consistency(probabilities(logits_u, x_a.shape[-2:]), target, inside, seen) * confident
        loss = self.options.weights.supervised * supervised + self.pseudo_weight(step.iteration) * pseudo
        return {"loss": loss, "supervised": supervised, "pseudo": pseudo, "confident": confident}

    def perturbed(
        self, step: Step, images: Tensor, target: Tensor, inside: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """What the student sees of ``images``, the target and padding that belong to it, and where it sees an image."""
        masks = cutmix_masks(len(images), images.shape[-2], images.shape[-1], step.draws).to(images.device)
        images, target, inside = paste(masks, images, target, inside)
        return images, target, inside, None


METHOD = CutMix
