"""UniMatch V2 (Yang et al. 2024, arXiv 2410.10777): two strong views that share no channel of the encoder."""

from __future__ import annotations

import torch
from torch import Tensor

from semiseg.augment.mixing import cutmix_masks
from semiseg.config.section import NotNegative, Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import unlabelled_cross_entropy, valid_mean
from semiseg.methods.base import Method, Needs, Pseudo, Step, StepCost, Weights
from semiseg.methods.base.settings import UNIMATCH_VIEWS, teacher_of
from semiseg.methods.unimatch import AREA, ASPECT
from semiseg.networks import Output, upsample
from semiseg.networks.activation_checkpointing import recomputed
from semiseg.networks.complementary_dropout import Dropped, complementary_masks
from semiseg.pseudo_labels import pseudo_labels
from semiseg.runtime.distributed import mean


class UniMatchV2Weights(Weights):
    supervised: NotNegative = 0.5
    """λ_sup (public code: half of the sum of both terms)."""
    pseudo: NotNegative = 0.5
    """λ_pseudo, of the mean over both views (public code: half of the sum of both terms)."""


class UniMatchV2Pseudo(Pseudo):
    confidence_threshold: Probability = 0.95
    """τ, the least confidence of a pseudo-label (public code: 0.95 on every data set)."""
    mix_probability: Probability = 0.5
    """Share of the crops that a rectangle of another is pasted into (public code: 0.5)."""
    dropped: Probability = 0.5
    """Share of the images that lose half of their channels in one view and the other half in the other (public code:
    0.5)."""


class UniMatchV2Settings(Section):
    weights: UniMatchV2Weights = UniMatchV2Weights()
    pseudo: UniMatchV2Pseudo = UniMatchV2Pseudo()

    PAPER = UNIMATCH_VIEWS | teacher_of(0.996, ramp=True, buffers="ema")


class UniMatchV2(Method):
    """L = λ_sup L_sup + λ_pseudo · ½ Σ_{a=1,2} 1/N_a Σ_n β_n · H(d(m_a ∘ e(strong_a(x_u))), ŷ_u)_n.

    The encoder e gives maps whose channels m_a multiplies before the decoder d: m_1 + m_2 = 2, and half of the images
    lose nothing (``networks/complementary_dropout.py``). The teacher, in evaluation mode, labels the clean crop,
    flipped and resized only; β is 1 where its confidence is at least τ. The student sees strong colours, and on them a
    rectangle of the batch in reverse order. N_a counts a view's pixels that are no padding. Both views take one pass,
    labelled crops another.

    Its figures were made with ``network.architecture=dpt network.backbone=dinov2:base network.decoder_channels=128``;
    ``training.optimizer=adamw training.learning_rate=2e-4 training.weight_decay=0.01`` with a fortieth of that rate for
    the encoder, ``training.lr_multipliers.backbone=0.025 training.lr_multipliers.stem=0.025`` (public code).

    Its paper's, replaced under ``method.profile=equal``: a teacher with τ = min(1 - 1/(i + 1), 0.996) and averaged
    statistics, no class weights, no warm-up, crops resized by 0.5 to 2, and strong colours with a wider jitter, grey
    pictures and blur.
    """

    settings = UniMatchV2Settings
    takes_bank = True
    needs = Needs(labelled_too=True, context=True)
    terms = ("supervised", "pseudo")
    watched = ("confident",)

    def losses(self, step: Step) -> dict[str, Tensor]:
        view = self.labelled_view(step)
        x_u, inside = self.views.geometry(step)
        y_u, confidence = pseudo_labels(self.teacher_logits(x_u))
        y_u = y_u.where(inside, IGNORE)
        beta = (confidence >= self.options.pseudo.confidence_threshold).to(confidence.dtype)

        labelled = self.pass_student(view.images)
        supervised = self.supervised(labelled.logits, view.labels, step.iteration)
        views = [self.strong_view(step, x_u, y_u, beta) for _ in range(2)]
        of_views = self.pass_views(step, torch.cat([view[0] for view in views]))
        each = [
            unlabelled_cross_entropy(upsample(logits_a, y_a.shape[-2:]), y_a, beta_a)
            for logits_a, (_, y_a, beta_a) in zip(of_views.logits.chunk(2), views, strict=True)
        ]
        pseudo = torch.stack(each).mean()
        loss = self.options.weights.supervised * supervised + self.pseudo_weight(step.iteration) * pseudo
        confident = mean(valid_mean(beta, inside))
        terms = {"loss": loss, "supervised": supervised, "pseudo": pseudo, "confident": confident}
        student = Output(*(torch.cat(maps) for maps in zip(labelled, of_views, strict=True)))
        sure = torch.cat([y_a.where(beta_a > 0, IGNORE) for _, y_a, beta_a in views])
        return self.with_bank(step, view, student, sure, terms)

    def strong_view(self, step: Step, images: Tensor, labels: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Strong colours, then a rectangle of the reversed batch, of image, pseudo-label and weight together."""
        images, (height, width) = self.views.colour(step, images), images.shape[-2:]
        masks = cutmix_masks(
            len(images), height, width, step.draws, AREA, self.options.pseudo.mix_probability, ASPECT
        ).to(images.device, non_blocking=True)
        mixed = (torch.where(masks[:, None] if t.ndim == 4 else masks, t.flip(0), t) for t in (images, labels, beta))
        return next(mixed), next(mixed), next(mixed)

    def pass_views(self, step: Step, images: Tensor) -> Output:
        """f_θ on both views (2·B, 3, H, W), first ones before second ones, without the channels that each loses."""
        widths, dropped = self.student.backbone.channels, self.options.pseudo.dropped
        network = Dropped(self.student, complementary_masks(len(images) // 2, widths, step.draws, dropped))
        again = self.training and self.training_config.passes == "in_turn"
        output: Output = recomputed(network, images, again)
        return output

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        return StepCost((labelled, 2 * unlabelled), unlabelled)


METHOD = UniMatchV2
