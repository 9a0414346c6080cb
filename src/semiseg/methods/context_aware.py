"""Context-aware consistency (Lai et al., CVPR 2021): a place looks alike in two crops that show it in two contexts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.config.read import Config
from semiseg.config.section import Count, NotNegative, Positive, Probability, Section
from semiseg.contrastive.maps import coarsened, downsample_labels, rows
from semiseg.data.base import IGNORE
from semiseg.losses import directional_contrast, drawn
from semiseg.methods.base import Batch, Needs, Projected, Step
from semiseg.methods.base.settings import OWN_VIEWS
from semiseg.networks import Output, SegmentationNetwork
from semiseg.runtime.distributed import gathered, mean, world
from semiseg.runtime.precision import at_least_single


class ContextAwareWeights(Section):
    supervised: NotNegative = 1.0
    """Weight of the labelled crops' cross-entropy (public code: 1)."""
    contrastive: NotNegative = 0.1
    """Weight of the loss of each direction (public code: 0.1)."""


class ContextAwareContrast(Section):
    dim: Count = 128
    """Width of the vectors (public code: 128)."""
    temperature: Positive = 0.1
    """τ (public code: 0.1)."""
    least_confidence: Probability = 0.75
    """γ: the surer view must be surer than this (public code: 0.75)."""
    stored: Count = 6400
    """Places of each view that a step stores as negatives, drawn at random, of all processes together; all where there
    are fewer (public code: 6400 for VOC, 16 200 for Cityscapes, in each process)."""
    steps: Count = 2
    """Steps, the one under way included, whose vectors are negatives (public code: 2 for VOC, 1 for Cityscapes)."""


class ContextAwareSettings(Section):
    weights: ContextAwareWeights = ContextAwareWeights()
    contrastive: ContextAwareContrast = ContextAwareContrast()

    PAPER = OWN_VIEWS | {"warmup": 5 / 80}


class ContextAware(Projected):
    """L = λ_sup L_sup + λ_contr (L_1→2 + L_2→1), from two crops of each unlabelled image under colours of their own.

    At every place that both crops show, the vector of the view whose prediction is less sure is drawn to that of the
    other, if this is surer than γ; negatives are vectors of recent steps whose pseudo-label differs. There is no
    teacher: pseudo-labels, confidences and keys are the student's own, without gradients.

    Otherwise than in the public code: crops share 18 % of their area, the least IoU of 0.1 there, or more, at any
    distance, so that the second's maps are interpolated at the first's cells; crops are neither flipped nor scaled; the
    head is the one of the memory bank, with BatchNorm, on features averaged to stride 8 where they are finer; the loss
    begins after ``method.warmup``.

    The public code's, replaced under ``method.profile=equal``: no class weights, a warm-up of 5 of 80 epochs, labelled
    crops that keep their colours and are not mixed.
    """

    settings = ContextAwareSettings
    needs = Needs(crops=2, overlap=0.18)
    keeps_teacher = False
    terms = ("supervised", "contrastive")
    watched = ("directed",)
    keys: Tensor
    key_labels: Tensor

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__(config, student, labelled)
        options = self.options.contrastive
        self.register_buffer("keys", torch.zeros(options.steps, 2 * options.stored, options.dim))
        self.register_buffer("key_labels", torch.full((options.steps, 2 * options.stored), -1))

    def losses(self, step: Step) -> dict[str, Tensor]:
        weights = self.options.weights
        x_l, y_l, _ = self.labelled_view(step)
        student = self.pass_student(x_l, self.views.colour(step, step.x_u.images))
        supervised = self.supervised(student.logits[: len(x_l)], y_l, step.iteration)
        contrastive, directed = self.contrastive(student.part(slice(len(x_l), None)), step)
        loss = weights.supervised * supervised + weights.contrastive * contrastive
        return {"loss": loss, "supervised": supervised, "contrastive": contrastive, "directed": directed}

    def contrastive(self, student: Output, step: Step) -> tuple[Tensor, Tensor]:
        """L_1→2 + L_2→1 of two crops an image, and the share of their common places where one is surer; 0 at first."""
        options, crops = self.options.contrastive, step.x_u
        if not self.contrasts(step.iteration):
            return student.logits.new_zeros(()), student.logits.new_zeros(())
        logits, features = (at_least_single(coarsened(maps, crops.images.shape[-2])) for maps in student)
        shown = downsample_labels(crops.without_padding(torch.zeros_like(crops.labels)), features.shape[-2:]) != IGNORE
        v = self.vectors(features, shown.flatten())
        self.remember(v.detach(), logits.argmax(dim=1).flatten(), shown.flatten(), step)

        cells, inside = common_places(crops, features.shape[-2:])
        v_1, v_2 = of_places(v.view(*shown.shape, -1).permute(0, 3, 1, 2), cells)
        (c_1, y_1), (c_2, y_2) = (part.softmax(dim=1).max(dim=1) for part in of_places(logits.detach(), cells))
        whole = (
            torch.cat(of_places(shown[:, None].to(features), cells), dim=1).amin(dim=1) == 1
        )  # no padding blended in
        both, keys = inside.flatten() & whole, (self.keys.flatten(0, 1), self.key_labels.flatten())
        to_2 = both & (c_2 > c_1) & (c_2 > options.least_confidence)
        to_1 = both & (c_1 > c_2) & (c_1 > options.least_confidence)
        loss = directional_contrast(v_1, v_2, y_1, to_2, *keys, options.temperature)
        loss = loss + directional_contrast(v_2, v_1, y_2, to_1, *keys, options.temperature)
        return loss, mean((to_1 | to_2).float().mean()) / mean(both.float().mean()).clamp_min(1e-12)

    @torch.no_grad()
    def remember(self, vectors: Tensor, labels: Tensor, shown: Tensor, step: Step) -> None:
        """Store random vectors (N, dim), to length 1, with their pseudo-labels; those of the oldest step go."""
        room = self.keys.shape[1]
        index, filled = drawn(shown[None], room // world(), step.draws)
        new, new_labels = F.normalize(vectors, dim=1)[index[0]], labels[index[0]].where(filled[0], -1)
        for stored, values in ((self.keys, gathered(new)), (self.key_labels, gathered(new_labels))):
            padding = stored.new_full((room - len(values), *stored.shape[2:]), -1)
            stored.copy_(torch.cat([torch.cat([values.to(stored), padding])[None], stored[:-1]]))


def common_places(crops: Batch, size: torch.Size) -> tuple[list[Tensor], Tensor]:
    """Where the cells of maps (h, w) of the first crops lie in the second ones.

    Returns:
        (B, h) rows and (B, w) columns, in cells of the second crop, and (B, h, w) bool: whether it shows their centre.
    """
    assert crops.corner is not None
    first, second = crops.corner.chunk(2)
    cells, inside = [], []
    for axis, count in enumerate(size):
        side, distance = crops.images.shape[2 + axis], (first - second)[:, axis, None]
        place = torch.arange(count, device=distance.device)
        centre = (place + 0.5) * side / count + distance  # (B, count) pixels of the second crop
        cells.append(place + distance * count / side)  # whole numbers where the distance is a multiple of the stride
        inside.append((centre >= 0) & (centre < side))
    return cells, inside[0][:, :, None] & inside[1][:, None]


def of_places(maps: Tensor, cells: list[Tensor]) -> tuple[Tensor, Tensor]:
    """What maps (2·B, D, h, w) of first and second crops hold at the cells of the first: (B·h·w, D) of either."""
    first, second = maps.chunk(2)
    for dim, at in enumerate(cells, start=2):
        low, last = at.floor(), second.shape[dim] - 1
        shape = (len(at), 1, -1, 1) if dim == 2 else (len(at), 1, 1, -1)
        below, above = (second.take_along_dim(i.long().clamp(0, last).view(shape), dim) for i in (low, low + 1))
        second = below.lerp(above, (at - low).to(second).view(shape).expand_as(below))
    return rows(first), rows(second)


METHOD = ContextAware
