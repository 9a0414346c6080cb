"""Mean Teacher (Tarvainen and Valpola, 2017) for segmentation: consistency under colour perturbation."""

from __future__ import annotations

from torch import Tensor

from semiseg.config.section import Section
from semiseg.losses import consistency
from semiseg.methods.base import Method, Needs, Pseudo, Step, Weights, probabilities
from semiseg.methods.base.settings import OWN_VIEWS, teacher_of


class MeanTeacherSettings(Section):
    weights: Weights = Weights()
    pseudo: Pseudo = Pseudo()

    REFERENCE = {"pseudo.warmup": "ramp"}
    PAPER = OWN_VIEWS | teacher_of(0.99) | {"teacher.momentum_end": 0.999}


class MeanTeacher(Method):
    """L = L_sup + λ_pseudo · ‖softmax f_θ(colour(x_u)) - softmax f_ξ(x_u)‖².

    Both see the same geometry; only the student sees the strong colour jitter and blur of Table 1. λ rises with the
    paper's exp(-5(1 - t)²) over the warm-up when ``method.mean_teacher.pseudo.warmup`` is ``ramp``.

    Its paper's, replaced under ``method.profile=equal``: τ from 0.99 to 0.999 (there 0.99 while λ rises and 0.999
    after), no class weights, labelled crops that keep their colours and are not mixed. It was made for whole images:
    what perturbs the crops is Table 1's either way.
    """

    settings = MeanTeacherSettings
    needs = Needs(context=True)
    terms = ("supervised", "pseudo")

    def losses(self, step: Step) -> dict[str, Tensor]:
        x_l, y_l, _ = self.labelled_view(step)
        x_u, inside = self.views.geometry(step)
        target = self.teacher_logits(x_u).softmax(dim=1)
        x_a = self.views.colour(step, x_u)

        logits_l, logits_u = self.pass_student(x_l, x_a).logits.tensor_split([len(x_l)])
        supervised = self.supervised(logits_l, y_l, step.iteration)
        pseudo = consistency(probabilities(logits_u, x_a.shape[-2:]), target, inside)
        loss = self.options.weights.supervised * supervised + self.pseudo_weight(step.iteration) * pseudo
        return {"loss": loss, "supervised": supervised, "pseudo": pseudo}


METHOD = MeanTeacher
