"""Which classes a whole image shows: an image classifier with a mean teacher, MLMT of Mittal et al. (TPAMI 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.config.optimiser import OptimiserConfig
from semiseg.config.section import NotNegative, Positive, Probability, Section
from semiseg.data.base import IGNORE
from semiseg.losses import valid_mean
from semiseg.networks.image_classifier import ImageClassifier
from semiseg.networks.presence import Presence, classes_there
from semiseg.networks.segmentation import SegmentationNetwork
from semiseg.teacher import make_teacher


class ClassifierOptimiser(OptimiserConfig):
    learning_rate: Positive = 0.03
    """Learning rate at the start of a round (public code: 0.03, annealed by a cosine instead)."""
    weight_decay: NotNegative = 1e-5
    """L2 penalty (public code: 1e-5)."""


class MultiLabelSettings(Section):
    enabled: bool = False
    """The second branch, MLMT: an image classifier and its mean teacher, which say what classes an image shows."""
    presence_threshold: Probability = 0.2
    """Classes whose teacher is less sure than this are left out of an image (Mittal et al.: 0.2)."""
    consistency: NotNegative = 1.0
    """Highest weight of the distance between classifier and teacher (public code: 1)."""
    burn_in: Probability = 0.1
    """Share of the iterations before that weight rises, by 2 in the course of all (public code: 10 of 100 epochs)."""
    optimiser: ClassifierOptimiser = ClassifierOptimiser()

    READ_WITH = dict.fromkeys(("presence_threshold", "consistency", "burn_in", "optimiser"), ("enabled", (True,)))


class MultiLabel(nn.Module):
    """The classifier, on a copy of the student's backbone, and its teacher (eq. 2).

    Args:
        student: whose backbone, with the weights it begins with, and classes both have.
        options: threshold and weights.
    """

    def __init__(self, student: SegmentationNetwork, options: MultiLabelSettings) -> None:
        super().__init__()
        self.options, self.num_classes = options, student.num_classes
        self.classifier = ImageClassifier(student)
        self.teacher = make_teacher(self.classifier)

    @torch.no_grad()
    def target(self, images: Tensor) -> Tensor:
        """The teacher's logits (B, C) of images (B, 3, H, W)."""
        logits: Tensor = self.teacher(images)
        return logits

    def losses(self, x_l: Tensor, y_l: Tensor, x_u: Tensor, target: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Binary cross-entropy with the classes of labelled crops, and the cosine distance from the teacher's logits.

        Args:
            x_l, y_l: labelled crops (B, 3, H, W) and (B, H, W); those without any label are left out.
            x_u: (B', 3, H, W) a view of unlabelled crops.
            target: (B', C) the teacher's logits of another view.
            seen: (B',) bool: which of them count.
        """
        logits_l, logits_u = self.classifier(torch.cat([x_l, x_u])).tensor_split([len(x_l)])
        classes = shown(y_l, self.num_classes).to(logits_l.dtype)
        presence = F.binary_cross_entropy_with_logits(logits_l, classes, reduction="none").mean(dim=1)
        consistency = 1 - F.cosine_similarity(logits_u, target)
        return valid_mean(presence, (y_l != IGNORE).flatten(1).any(dim=1)), valid_mean(consistency, seen)

    def weight(self, progress: float) -> float:
        """Of the distance, after this share of the iterations: 0 during the burn-in, then rising to its highest."""
        return min(self.options.consistency, 2 * max(0.0, progress - self.options.burn_in))

    def without_absent(self, probabilities: Tensor, target: Tensor) -> Tensor:
        """Probabilities (B, C, H, W), 0 in the maps of classes that the teacher, by its logits (B, C), does not find.

        Where it finds none, nothing is left out: some class must be there.
        """
        return probabilities * classes_there(target, self.options.presence_threshold)[..., None, None]

    @staticmethod
    def loaded(
        network: SegmentationNetwork, options: MultiLabelSettings, state: Mapping[str, Tensor]
    ) -> Presence | None:
        """The teacher of a run for predictions of its student, from the state of the method or of an exported student.

        None where there is none in it.
        """
        found = Presence(ImageClassifier(network), options.presence_threshold)
        for prefix in ("multi_label.teacher.", "student.presence.classifier."):
            weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            if weights:
                found.classifier.load_state_dict(weights)
                return found
        return None


def shown(labels: Tensor, num_classes: int) -> Tensor:
    """Labels (B, H, W) → (B, C) bool: which classes are among them."""
    classes = torch.arange(num_classes, device=labels.device)
    return (labels.flatten(1)[:, None] == classes[:, None]).any(dim=2)
