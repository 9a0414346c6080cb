"""What all methods share: student, teacher, the supervised term and its class balance.

A method is a module, so everything that training must not lose (teacher, heads, bank, class counts) lies in its
``state_dict``. The loop calls ``step`` for the losses, steps the optimiser, then calls ``after_step``.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from semiseg.augment.mixing import classmix_masks, paste
from semiseg.augment.weak_strong import STRONG, STRONG_REFERENCE, WEAK, WEAK_REFERENCE, Strength, augment
from semiseg.class_balance import ClassCounts
from semiseg.config.read import Config
from semiseg.losses import weighted_cross_entropy
from semiseg.networks import SegmentationNetwork
from semiseg.networks.activation_checkpointing import recomputed
from semiseg.networks.segmentation import Output, upsample
from semiseg.runtime.precision import at_least_single
from semiseg.teacher import make_teacher, momentum, update

IGNORE = 255
NOTHING = Strength(flip=0, resize=0, jitter=0, brightness=0, contrast=0, saturation=0, hue=0, blur=0, classmix=0)


class Batch(NamedTuple):
    """Crops: images (B, 3, H, W) float in [0, 1]; labels (B, H, W) int64, 255 where ignored or unknown.

    ``target`` (B,) bool says which crops are of the target domain; None where there is only one domain. ``inside``
    (B, H, W) bool is false where an unlabelled crop is padding; None where nothing is.
    """

    images: Tensor
    labels: Tensor
    target: Tensor | None = None
    inside: Tensor | None = None

    def without_padding(self, labels: Tensor) -> Tensor:
        """Labels (B, H, W) of these crops, 255 on padding: it is no image, whatever the teacher sees in it."""
        return labels if self.inside is None else labels.where(self.inside, IGNORE)


def geometry_only(strength: Strength) -> Strength:
    """Flip and resize of a set without its colour part."""
    return dataclasses.replace(strength, jitter=0.0, blur=0.0, classmix=0.0)


def colour_only(strength: Strength) -> Strength:
    """Jitter and blur of a set without its geometry."""
    return dataclasses.replace(strength, flip=0.0, resize=0.0, classmix=0.0)


class Method(nn.Module):
    """Base of all methods.

    Args:
        config: the run; ``method`` and ``training.iterations`` are read.
        student: the segmentation network to train.
        labelled: |X_l|, number of labelled training images.
    """

    needs_unlabelled = True
    needs_teacher = True

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__()
        self.config = config.method
        self.iterations = config.training.iterations
        self.warmup = round(config.method.warmup * self.iterations)
        self.num_classes, self.labelled = student.num_classes, labelled
        self.student = student
        self.teacher: SegmentationNetwork = make_teacher(student) if self.needs_teacher else nn.Identity()  # type: ignore[assignment]
        self.counts = ClassCounts(self.num_classes)
        self.in_turn = config.training.passes == "in_turn"
        names = config.method.augment
        self.weak = {"paper": WEAK, "reference": WEAK_REFERENCE, "none": NOTHING}[names.weak]
        self.strong = {"paper": STRONG, "reference": STRONG_REFERENCE, "weak": WEAK}[names.strong]

    def step(
        self, labelled: Batch, unlabelled: Batch | None, iteration: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Losses of one iteration: ``loss`` is the one to minimise, the others are its terms before λ.

        Args:
            labelled: crops of X_l.
            unlabelled: crops of X_u; their labels are never read. None where ``needs_unlabelled`` is false.
            iteration: i, from 0.
            generator: CPU generator of all augmentation draws.
        """
        raise NotImplementedError

    @torch.no_grad()
    def after_step(self, iteration: int) -> None:
        """Eq. 2 after the optimiser's step."""
        if self.needs_teacher:
            for teacher, student in self.teacher_pairs():
                update(teacher, student, self.tau(iteration), self.config.teacher.buffers)

    def teacher_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """(teacher, student) modules that eq. 2 averages."""
        return [(self.teacher, self.student)]

    def measures(self) -> dict[str, float | None]:
        """What to write down with every validation beside its figures; nothing here."""
        return {}

    def distance(self, features: Tensor, height: int) -> Tensor | None:
        """How far features are from what the method has stored of the labelled images; None where it stores nothing.

        Call it in evaluation mode, as :func:`semiseg.suggest.suggest` does.

        Args:
            features: (B, D, h, w), the teacher's.
            height: of the images in pixels, which tells the stride of the features.

        Returns:
            (N,) float32 cosine distances in [0, 2], one a vector compared (B·h·w, or fewer where the method averages
            features down first); None, too, as long as nothing is stored yet.
        """
        return None

    def tau(self, iteration: int) -> float:
        """τ of eq. 2 at an iteration, capped at first when ``teacher.ramp`` is set."""
        teacher = self.config.teacher
        tau = momentum(iteration, self.iterations, teacher.momentum_start, teacher.momentum_end)
        return min(tau, 1 - 1 / (iteration + 2)) if teacher.ramp else tau

    def train(self, mode: bool = True) -> Method:
        """The teacher predicts with running statistics unless told to use those of its batch."""
        super().train(mode)
        if self.needs_teacher:
            for teacher, _ in self.teacher_pairs():
                teacher.train(mode and self.config.teacher.batch_statistics)
        return self

    def trainable_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by learning-rate group: stem, backbone, classifier, heads."""
        stem_names = ("conv1.", "bn1.", "conv_stem.")
        stem = [p for n, p in self.student.backbone.named_parameters() if n.startswith(stem_names)]
        known = {id(p) for p in stem}
        backbone = [p for p in self.student.backbone_parameters() if id(p) not in known]
        return {"stem": stem, "backbone": backbone, "classifier": self.student.classifier_parameters(), "heads": []}

    def warmup_factor(self, iteration: int) -> float:
        """Factor of λ_pseudo: 0 during the warm-up and 1 after it (section 4.2), or a ramp (authors' code)."""
        if iteration >= self.warmup:
            return 1.0
        return math.exp(-5 * (1 - iteration / self.warmup) ** 2) if self.config.pseudo.warmup == "ramp" else 0.0

    def class_weights(self, iteration: int) -> Tensor | None:
        """α of eq. 3, or None where class balance is off."""
        balance = self.config.class_balance
        if not balance.enabled or (balance.after_warmup and iteration < self.warmup):
            return None
        return self.counts.weights()

    def weak_view(self, batch: Batch, iteration: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """x_l^a of eq. 4: weak augmentation and ClassMix of labelled crops.

        Returns:
            images, labels, and the labels of pixels that come from target-domain images (255 elsewhere): ClassMix may
            paste one domain into the other, and the bank takes the target's features only (section 4.3.2).
        """
        images, labels, _ = augment(batch.images, batch.labels, None, self.weak, generator)
        own = labels if batch.target is None else labels.where(batch.target[:, None, None], IGNORE)
        mixed = self.mix(labels, self.weak.classmix, iteration, generator, images, labels, own)
        return mixed[0], mixed[1], mixed[2]

    def mix(
        self, labels: Tensor, probability: float, iteration: int, generator: torch.Generator, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        """ClassMix of all tensors by the classes of ``labels``; off during the warm-up where the authors have it so."""
        options = self.config.augment
        if probability == 0 or (options.classmix_after_warmup and iteration < self.warmup):
            return tensors
        masks = classmix_masks(
            labels, self.num_classes, generator, probability, options.classmix_rule, options.classmix_exclude
        )
        return paste(masks, *tensors)

    def pass_student(self, *parts: Tensor) -> Output:
        """f_θ on batches of images (B_i, 3, H, W): one pass over all of them, or one after the other.

        In turn (``training.passes``), the backward pass computes one part's activations at a time; BatchNorm then
        normalises every part by its own statistics.
        """
        if not self.in_turn:
            output: Output = self.student(torch.cat(parts))
            return output
        outputs = [recomputed(self.student, part, self.training) for part in parts]
        return Output(*(torch.cat(maps) for maps in zip(*outputs, strict=True)))

    def supervised(self, logits: Tensor, labels: Tensor, iteration: int) -> Tensor:
        """Eq. 4: weighted cross-entropy on labelled crops, β = 1. logits (B, C, h, w), labels (B, H, W)."""
        return weighted_cross_entropy(
            upsample(logits, labels.shape[-2:]),
            labels,
            self.class_weights(iteration),
            ignore_index=IGNORE,
            divisor=self.config.loss.divisor,
            across_processes=True,
        )

    @torch.no_grad()
    def teacher_probabilities(self, images: Tensor) -> Tensor:
        """Softmax of the teacher at the resolution of ``images``, (B, C, H, W)."""
        return at_least_single(upsample(self.teacher(images).logits, images.shape[-2:])).softmax(dim=1)


def consistency(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of two class distributions (B, C, H, W), summed over classes, mean over pixels."""
    return (student - teacher).square().sum(dim=1).mean()
