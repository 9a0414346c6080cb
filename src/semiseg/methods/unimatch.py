"""UniMatch (Yang et al., CVPR 2023): one weak view teaches two strong ones, and its own features with gaps."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from semiseg.augment.mixing import cutmix_masks, paste
from semiseg.config.read import Config
from semiseg.config.section import NotNegative, Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import unlabelled_cross_entropy, valid_mean
from semiseg.methods.base import Averaged, Needs, Pseudo, Step, StepCost, Weights
from semiseg.methods.base.averaged import AveragedSettings
from semiseg.methods.base.cost import plain_losses
from semiseg.methods.base.settings import UNIMATCH_VIEWS
from semiseg.networks import Output, upsample
from semiseg.networks.activation_checkpointing import recomputed
from semiseg.networks.channel_dropout import DecodedTwice
from semiseg.pseudo_labels import pseudo_labels
from semiseg.runtime.distributed import mean
from semiseg.runtime.precision import at_least_single

AREA, ASPECT = (0.02, 0.4), (0.3, 1 / 0.3)
"""Share of the crop, and height / width, of a rectangle that is pasted (public code)."""


class UniMatchPseudo(Pseudo):
    confidence_threshold: Probability = 0.95
    """τ, the least confidence of a pseudo-label (Yang et al.: 0.95 for VOC and COCO, 0 for Cityscapes)."""
    strong: NotNegative = 0.5
    """μ, weight of the two strong views within L_u (Yang et al.: 0.5)."""
    features: NotNegative = 0.5
    """λ, weight of the perturbed features within L_u (Yang et al.: 0.5)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the channels that is dropped of each map between encoder and decoder (Yang et al.: 0.5)."""
    mix_probability: Probability = 0.5
    """Share of the crops that give a rectangle to the next (public code)."""


class UniMatchSettings(AveragedSettings):
    weights: Weights = Weights()
    pseudo: UniMatchPseudo = UniMatchPseudo()

    PAPER = UNIMATCH_VIEWS


class UniMatch(Averaged):
    """L = (λ_sup L_sup + λ_pseudo L_u) / (λ_sup + λ_pseudo), L_u = μ · (L_s1 + L_s2)/2 + λ · L_fp.

    L_s1, L_s2: cross-entropy of two strong views of one weak view, each with colours and a CutMix rectangle of its own;
    L_fp: that of the weak view itself, decoded from features of which whole channels are dropped. All learn from the
    labels that the student, in training mode, gives the weak view; a pixel counts where its confidence is at least τ,
    and is divided by the number of pixels that are no padding. Labels carry no gradient. No teacher is asked.

    Not as in the public code: rectangles come from the next crop of the batch and not from a second batch; the labelled
    crops are normalised with the strong views and not with the weak one.

    Its paper's, replaced under ``method.profile=equal``: no class weights, no warm-up, crops resized by 0.5 to 2, and
    strong colours with a wider jitter, grey pictures and blur (``method.augment.strong=wide``).
    On Cityscapes the hardest labelled pixels count alone there: ``method.loss.hard_threshold=0.7
    method.loss.hard_share=0.16 method.loss.divisor=weights``, and τ = 0.
    """

    settings: ClassVar[type[Section]] = UniMatchSettings
    takes_bank = True
    needs = Needs(labelled_too=True, context=True)
    terms: ClassVar[tuple[str, ...]] = ("supervised", "strong", "features")
    watched: ClassVar[tuple[str, ...]] = ("confident",)
    strong_views: ClassVar[int] = 2

    @classmethod
    def unread(cls, config: Config) -> set[str]:
        return super().unread(config) - {"method.augment.strong", "method.warmup"}

    def losses(self, step: Step) -> dict[str, Tensor]:
        pseudo = self.options.pseudo
        view = self.labelled_view(step)
        x_u, inside = self.views.geometry(step)
        weak, perturbed = self.decoded_twice(step, x_u)
        y_u, beta = labelled(weak.logits, inside, pseudo.confidence_threshold)
        student, logits_s, (y_s, beta_s) = self.on_views(step, view.images, x_u, y_u, beta)

        supervised = self.supervised(student.logits[: len(view.images)], view.labels, step.iteration)
        strong = unlabelled_cross_entropy(logits_s, y_s, beta_s)
        features = unlabelled_cross_entropy(perturbed, y_u, beta)
        shares = self.options.weights.supervised, self.pseudo_weight(step.iteration)
        loss = shares[0] * supervised + shares[1] * (pseudo.strong * strong + pseudo.features * features)
        loss = loss / max(sum(shares), 1e-12)
        confident = mean(valid_mean(beta, inside))
        terms = {"supervised": supervised, "strong": strong, "features": features, "confident": confident}
        return self.with_bank(step, view, student, y_s.where(beta_s > 0, IGNORE), {"loss": loss} | terms)

    def decoded_twice(self, step: Step, images: Tensor) -> tuple[Output, Tensor]:
        """What the student gives for the weak view, and full-size logits of its features with gaps."""
        seed = int(torch.randint(2**62, (), generator=step.draws))
        network = DecodedTwice(self.student, self.options.pseudo.dropout, seed)
        in_turn = self.training and self.training_config.passes == "in_turn"
        plain, dropped = recomputed(network, images, in_turn)
        return plain, upsample(dropped.logits, images.shape[-2:])

    def on_views(self, step: Step, x_l: Tensor, x_u: Tensor, *maps: Tensor) -> tuple[Output, Tensor, list[Tensor]]:
        """The student on labelled crops and on strong views, mixed as ``maps`` (B, H, W) of the weak view are.

        Returns:
            the output for the labelled crops and, after them, the views, all first ones, then all second ones;
            full-size logits of the views; their maps, likewise.
        """
        views = [self.strong_view(step, x_u, *maps) for _ in range(self.strong_views)]
        output = self.pass_student(x_l, *(view[0] for view in views))
        mixed = [torch.cat(values) for values in list(zip(*views, strict=True))[1:]]
        return output, upsample(output.logits[len(x_l) :], x_u.shape[-2:]), mixed

    def strong_view(self, step: Step, images: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
        """Strong colours, then the neighbour's rectangle, of images and maps together."""
        images = self.views.colour(step, images)
        (height, width), probability = images.shape[-2:], self.options.pseudo.mix_probability
        masks = cutmix_masks(len(images), height, width, step.draws, AREA, probability, ASPECT).to(images.device)
        return paste(masks, images, *maps)

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        """The strong views and the weak one; of the second decoding, the activations but not the FLOPs."""

        def losses(output: Output, size: tuple[int, int]) -> Tensor:
            with torch.no_grad():
                maps = self.student.encode(output.logits.new_empty(unlabelled, self.student.channels, *size))
            return plain_losses(output, size) + self.student.decode(maps).logits.sum()

        return StepCost((labelled, *[unlabelled] * (1 + self.strong_views)), teacher=0, losses=losses)


def labelled(logits: Tensor, inside: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Pseudo-labels (B, H, W), 255 on padding, and β: 1 where their confidence is at least the threshold, else 0."""
    labels, confidence = pseudo_labels(at_least_single(upsample(logits.detach(), inside.shape[-2:])))
    return labels.where(inside, IGNORE), (confidence >= threshold).to(confidence.dtype)


METHOD = UniMatch
