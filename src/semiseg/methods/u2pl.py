"""U2PL (Wang et al., CVPR 2022): pixels whose pseudo-label is unreliable tell what they are not."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.augment.mixing import cutmix_masks, paste
from semiseg.config.read import Config
from semiseg.config.section import Count, Positive, Probability, Section
from semiseg.contrastive.maps import downsample_labels, rows
from semiseg.data.base import IGNORE
from semiseg.losses import class_means, drawn, info_nce, unlikely, valid_quantile, weighted_cross_entropy
from semiseg.memory_bank import MemoryBank
from semiseg.methods.base import Needs, Projected, Pseudo, Step, StepCost
from semiseg.methods.base.settings import OWN_VIEWS, ContrastWeights, teacher_of
from semiseg.networks import Output, SegmentationNetwork, upsample
from semiseg.runtime.distributed import gathered, mean
from semiseg.runtime.precision import at_least_single
from semiseg.teacher import make_teacher


class U2PLPseudo(Pseudo):
    unreliable: Probability = 0.2
    """α_0: share of the pixels that are unreliable at first; it falls linearly to 0 (public code: 20 %)."""
    mix_probability: Probability = 0.5
    """Share of the crops that give half of their area to the next (public code: CutMix in half of the steps)."""


class U2PLContrast(Section):
    dim: Count = 256
    """Width of the vectors (public code)."""
    bank_size: Count = 30_000
    """Vectors in the queue of each class (public code: 30 000). 20 classes make a checkpoint 0.6 GB larger."""
    pushed: Count = 1024
    """At most so many enter a queue at a step, drawn at random in each process (public code: all)."""
    queries: Count = 256
    """Anchors of each class and step, in each process (public code: 256)."""
    keys: Count = 50
    """Vectors of its class's queue that each anchor is told from (public code: 50)."""
    temperature: Positive = 0.5
    """τ (public code: 0.5)."""
    least_probability: Probability = 0.3
    """δ_p: an anchor's class is more probable than this to the teacher (public code: 0.3)."""
    low_rank: Count = 3
    """r_l: a labelled pixel is no example of the other ones among its first r_l classes (public code: 3)."""
    high_rank: Count = 20
    """r_h: an unreliable pixel is no example of its classes from r_l + 1 to r_h (public code: 20)."""


class U2PLSettings(Section):
    weights: ContrastWeights = ContrastWeights()
    pseudo: U2PLPseudo = U2PLPseudo()
    contrastive: U2PLContrast = U2PLContrast()

    PAPER = OWN_VIEWS | teacher_of(0.99) | {"warmup": 1 / 80}


class U2PL(Projected):
    """L = λ_sup L_sup + λ_pseudo · N/N_r² Σ_reliable H(f_θ(mix(x_u)), mix(ŷ_u))_n + λ_c L_c.

    Reliable are the N_r of N unlabelled pixels below the (1 - α)-quantile of the teacher's entropy on the mixed crop.
    L_c is InfoNCE, mean over the classes with an anchor: a labelled or reliable pixel to whose class the teacher gives
    more than δ_p. Their positive is the mean of the teacher's vectors of all anchors, their negatives are drawn from
    the class's queue, which takes vectors of pixels that are not of it (:func:`unlikely`).

    Otherwise than in the public code: **anchors and queues belong to each other by the number of their class; there,
    anchors are counted among the classes present, and meet another class's queue whenever one is absent**; class 0 has
    no larger queue; unlabelled anchors are all reliable pixels (as in the paper), not the α of lowest entropy; the
    positive is the mean of the anchors, not of all pixels of the class; the head is the one of the memory bank, of 1×1
    convolutions; crops are mixed one by one. With r_l classes or fewer an unreliable pixel is no example of any.

    The public code's, replaced under ``method.profile=equal``: τ = 0.99 throughout, no class weights, a warm-up of one
    of 80 epochs, labelled crops that keep their colours and are not mixed.
    """

    settings = U2PLSettings
    takes_bank = True
    teacher_sees_labelled = True
    needs = Needs(context=True)
    terms = ("supervised", "pseudo", "contrastive")
    watched = ("reliable", "bank_filled")

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        self.teacher_projection = make_teacher(self.projection)
        self.bank = MemoryBank(self.num_classes, self.options.contrastive.dim, self.options.contrastive.bank_size)

    def losses(self, step: Step) -> dict[str, Tensor]:
        weights, size = self.options.weights, step.x_u.labels.shape[-2:]
        view = self.labelled_view(step)
        x_l, y_l = view.images, view.labels
        x_u, inside = self.views.geometry(step)
        y_u = self.teacher_logits(x_u).argmax(dim=1).where(inside, IGNORE)
        masks = cutmix_masks(len(x_u), size[0], size[1], step.draws, probability=self.options.pseudo.mix_probability)
        x_a, y_a = paste(masks.to(x_u.device), x_u, y_u)
        with torch.no_grad():
            assert self.teacher is not None
            teacher = self.teacher(torch.cat([x_l, x_a]))
            log_p = at_least_single(upsample(teacher.logits[len(x_l) :], size)).log_softmax(dim=1)
            seen = y_a != IGNORE
            entropy = -(log_p.exp() * log_p).sum(dim=1)
            alpha = self.options.pseudo.unreliable * max(0.0, 1 - step.iteration / self.iterations)
            reliable = seen & (entropy <= valid_quantile(entropy, seen, 1 - alpha))

        student = self.pass_student(x_l, x_a)
        supervised = self.supervised(student.logits[: len(x_l)], y_l, step.iteration)
        shown, kept = (mean(some.float().mean()).clamp_min(1e-12) for some in (seen, reliable))
        y_r = y_a.where(reliable, IGNORE)
        logits_a = upsample(student.logits[len(x_l) :], size)
        pseudo = weighted_cross_entropy(logits_a, y_r, ignore_index=IGNORE) / kept * shown / kept
        contrastive = self.contrastive(step, teacher, student, torch.cat([y_l, y_r]), seen & ~reliable)
        loss = weights.supervised * supervised + self.pseudo_weight(step.iteration) * pseudo
        loss = loss + weights.contrastive * contrastive
        terms = {"loss": loss, "supervised": supervised, "pseudo": pseudo, "contrastive": contrastive}
        terms |= {"reliable": kept / shown, "bank_filled": self.bank.counts.float().mean() / self.bank.size}
        return self.with_bank(step, view, student, y_r, terms, teacher)

    def contrastive(self, step: Step, teacher: Output, student: Output, labels: Tensor, unreliable: Tensor) -> Tensor:
        """L_c, after the queues took theirs; labels of labelled and reliable pixels, unlabelled ones not reliable."""
        options, size = self.options.contrastive, student.features.shape[-2:]
        if not self.contrasts(step.iteration):
            return student.logits.new_zeros(())
        flat, unsure = (downsample_labels(part, size).flatten() for part in (labels, unreliable))
        before = len(flat) - len(unsure)  # pixels of labelled crops
        truth, unsure = F.pad(flat[:before], (0, len(unsure)), value=IGNORE), F.pad(unsure.bool(), (before, 0))
        with torch.no_grad(), torch.autocast(flat.device.type, enabled=False):
            p = at_least_single(rows(teacher.logits)).softmax(dim=1).T  # (C, N)
            z = self.teacher_projection(at_least_single(rows(teacher.features)), (flat != IGNORE) | unsure, True)
            self.push(z, unlikely(p, truth, unsure, options.low_rank, options.high_rank), step)
            anchors = (flat == torch.arange(len(p), device=flat.device)[:, None]) & (p > options.least_probability)
            own = flat.where(anchors.any(dim=0), IGNORE)
            # Weighted by its length each vector counts whole, and only the mean's direction is asked for.
            means, present = class_means(z, own, z.norm(dim=1), len(p), across_processes=True)
        index, filled = drawn(anchors, options.queries, step.draws)
        filled = filled & (self.bank.counts > 0)[:, None]
        uniform = torch.rand(*index.shape, options.keys, generator=step.draws).to(z)
        slots = (uniform * self.bank.counts[:, None, None]).long()
        queries = self.vectors(student.features, flat != IGNORE)[index]
        of_classes = info_nce(queries, filled, means, self.bank.slots.unbind(), slots, options.temperature)
        return of_classes.sum() / present.sum().clamp_min(1)

    def push(self, z: Tensor, examples: Tensor, step: Step) -> None:
        """Put vectors z (N, D), to length 1, into the queues of the classes that they are no example of, (C, N)."""
        index, filled = drawn(examples, self.options.contrastive.pushed, step.draws)
        classes = torch.arange(self.num_classes, device=z.device)[:, None].where(filled, -1)
        vectors, labels = gathered(F.normalize(z, dim=1)[index].flatten(0, 1)), gathered(classes.flatten())
        self.bank.push(vectors, labels, torch.zeros_like(vectors[:, 0]), torch.zeros_like(labels), len(labels))

    def averages(self) -> list[tuple[nn.Module, nn.Module]]:
        return [*super().averages(), (self.teacher_projection, self.projection)]

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        return super().cost(labelled, unlabelled)._replace(teacher=labelled + 2 * unlabelled)


METHOD = U2PL
