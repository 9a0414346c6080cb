"""The contrastive module of section 3.4: heads, attention networks, memory bank and the loss between them.

It takes features and labels, so it drops into any training loop: ``fill_bank`` with what a teacher gives for labelled
images, then ``loss`` with the student's features of labelled and pseudo-labelled ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from semiseg.config.contrastive import ContrastiveConfig
from semiseg.contrastive.maps import coarsened, downsample_labels, resized, rows
from semiseg.contrastive.quality import admitted
from semiseg.losses import contrast_against_bank, contrastive_loss, effective_share, lost_share
from semiseg.memory_bank import MemoryBank, bank_similarity, shortlist, vectors_per_image
from semiseg.networks import Output
from semiseg.networks.class_attention import ClassAttention
from semiseg.networks.heads import PredictionHead, ProjectionHead
from semiseg.networks.running_statistics import hand_on
from semiseg.runtime.distributed import gathered, rank, world
from semiseg.runtime.precision import at_least_single
from semiseg.teacher import make_teacher


def _without_updates(head: nn.Module, *inputs: Tensor) -> Tensor:
    """The student's head on running statistics, which looking at vectors must not move, or what stands in for them."""
    training = head.training
    head.eval()
    try:
        return head(*inputs, True)  # stand_in
    finally:
        head.train(training)


LEAST_EFFECTIVE = 0.25  # share of the bank that counts, below which the attention is said to have collapsed
COLLAPSED = (
    "the weights of eq. 8 leave {:.0%} of the bank's vectors: the attention makes the contrastive loss small by "
    "itself; set {keys}.least_score=0.5, {keys}.effective_weight=1 or {keys}.attention=false"
)


class ContrastiveModule(nn.Module):
    """g, q, S_c (student and teacher) and the bank.

    Args:
        config: ψ, φ, widths and the switches of Table 8 and of the authors' code.
        feature_dim: width of V = f_θ⁻(x).
        num_classes: C.
        labelled: ``|X_l|``, for ``K = max(1, ψ/|X_l|)``.
        batch_size: labelled images a step, for the authors' K over the batch.
    """

    MEASURED = ("bank_within", "bank_between", "bank_effective")

    def __init__(
        self, config: ContrastiveConfig, feature_dim: int, num_classes: int, labelled: int, batch_size: int = 1
    ) -> None:
        super().__init__()
        self.config, self.num_classes = config, num_classes
        self.projection = ProjectionHead(feature_dim, config.dim)
        self.prediction = PredictionHead(config.dim)
        self.attention_p = ClassAttention(num_classes, config.dim)
        self.attention_z = ClassAttention(num_classes, config.dim, replicated=True)  # it scores the bank
        self.teacher_projection = make_teacher(self.projection)
        self.teacher_attention_p = make_teacher(self.attention_p)
        self.teacher_attention_z = make_teacher(self.attention_z)
        self.teacher_attention_z.replicated = False  # it ranks candidates
        self.bank = MemoryBank(num_classes, config.dim, config.bank_size)
        if config.bank_scope == "image":
            self.per_image = vectors_per_image(config.bank_size, labelled)
        else:
            self.per_image = max(1, batch_size * round(config.bank_size / max(labelled, 1)))

    def teacher_pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """(teacher, student) modules that eq. 2 averages."""
        return [
            (self.teacher_projection, self.projection),
            (self.teacher_attention_p, self.attention_p),
            (self.teacher_attention_z, self.attention_z),
        ]

    def at_stride(self, maps: Tensor, height: int) -> Tensor:
        """Maps (B, ·, h, w) of an image ``height`` pixels high, averaged down to stride 8 where they are finer."""
        return maps if self.config.feature_stride == "network" else coarsened(maps, height)

    @torch.no_grad()
    def fill_bank(self, output: Output, labels: Tensor, generator: torch.Generator) -> None:
        """Memory bank update (section 3.4): quality filter → projection → ranking → top K of each image and class.

        The bank fills from the first step, the heads learn after the warm-up only. Section 3.4 does not say what the
        BatchNorm of g_ξ and S_ξ normalises by until then. Here it is the vectors at hand: those of all labelled pixels
        for g_ξ, the candidates of each class for S_ξ. On PyTorch's initial 0 and 1 the vectors of all classes coincide.

        Args:
            output: the teacher's logits and features of labelled target images, (B, ·, h, w); the logits may be of
                another size.
            labels: (B, H, W) int64.
            generator: draws the random ranking that replaces attention in Table 8's ablation.
        """
        with torch.autocast(labels.device.type, enabled=False):  # batch statistics need single precision
            self._fill_bank(output, labels, generator)

    def _fill_bank(self, output: Output, labels: Tensor, generator: torch.Generator) -> None:
        features = self.at_stride(output.features, labels.shape[-2])
        small = downsample_labels(labels, features.shape[-2:])
        labelled = self._inside(small.flatten())
        if self.config.quality_filter:
            logits = resized(at_least_single(self.at_stride(output.logits, labels.shape[-2])), small.shape[-2:])
            small = admitted(self.config, logits.softmax(dim=1), small)
        flat, v = small.flatten(), at_least_single(rows(features))
        if self.config.teacher_features:
            # On batch statistics (authors' code) the teacher's head sees what passed the filter.
            counted = self._inside(flat) if self.teacher_projection.training else labelled
            z = self.teacher_projection(v, counted, stand_in=True)
        else:
            z = _without_updates(self.projection, v, labelled)
        if self.config.attention:
            by_p = self.config.ranking == "prediction"
            scores = (self.teacher_attention_p if by_p else self.teacher_attention_z)(z, flat, stand_in=True)
        else:
            scores = torch.rand(len(flat), generator=generator).to(z.device)
        # Rank r holds the r-th piece of the joint batch: the bank is the same on every rank, and as of one process.
        images = rank() * len(labels) + torch.arange(len(labels), device=flat.device)
        images = images.repeat_interleave(small[0].numel())
        if self.config.bank_scope == "batch":
            images = torch.zeros_like(images)
        keep = self.config.bank_keep
        if world() > 1:
            short = shortlist(z, flat, scores, images, self.per_image, self.num_classes, len(labels), keep)
            z, flat, scores, images = (gathered(part) for part in short)
        self.bank.push(z, flat, scores, images, self.per_image, keep)

    def _inside(self, labels: Tensor) -> Tensor:
        return (labels >= 0) & (labels < self.num_classes)

    @property
    def _weighs_z(self) -> bool:
        """Whether the bank's vectors have weights by eq. 8."""
        return self.config.attention and self.config.bank_weights == "attention" and not self.config.negatives

    def loss(self, features: Tensor, labels: Tensor, labelled: int) -> Tensor:
        """L_contr (eqs. 8-11) of the student's features against the bank, and the penalty of ``effective_weight``.

        Args:
            features: (B, D, h, w) V = f_θ⁻(x) of labelled crops first, then of the unlabelled views.
            labels: (B, H, W) int64 labels y, then pseudo-labels ŷ; 255 is left out.
            labelled: how many of the B are labelled; used where the authors' two separate losses are asked for.
        """
        with torch.autocast(features.device.type, enabled=False):  # batch statistics need single precision
            return self._loss(features, labels, labelled)

    def distance(self, features: Tensor, height: int) -> Tensor | None:
        """Cosine distance of g_ξ of every feature to the nearest vector of the bank; None while the bank is empty.

        While g_ξ has no statistics of its own it normalises by these features, as in :meth:`fill_bank`.

        Args:
            features: (B, D, h, w) of images ``height`` pixels high; averaged down to stride 8 where they are finer.

        Returns:
            (rows,) in [0, 2], one for each feature.
        """
        if not int(self.bank.counts.sum()):
            return None
        v = at_least_single(rows(self.at_stride(features, height)))
        return self.bank.distance(self.teacher_projection(v, stand_in=True))

    def measures(self) -> dict[str, float | None]:
        """How alike the bank's vectors are (:func:`bank_similarity`) and how many count (:func:`effective_share`)."""
        within, between = bank_similarity(self.bank.vectors, self.bank.labels, self.num_classes)
        share = self.effective_share().nanmean().item()
        return dict(zip(self.MEASURED, (within, between, None if math.isnan(share) else share), strict=True))

    def remarks(self, measures: Mapping[str, float | None], keys: str = "method.contrastive") -> list[str]:
        """A line where the attention has collapsed, with the ``keys`` that these settings stand under."""
        share = measures["bank_effective"]
        return [COLLAPSED.format(share, keys=keys)] if share is not None and share < LEAST_EFFECTIVE else []

    @torch.no_grad()
    def effective_share(self) -> Tensor:
        """Share of the bank's vectors that count after the weights of eq. 8, (C,), NaN where a class has none."""
        z, labels = self.bank.vectors, self.bank.labels
        if self._weighs_z:
            scores = self._bounded(_without_updates(self.attention_z, z, labels))
        else:
            scores = torch.ones_like(z[:, 0])
        return effective_share(scores, labels, self.num_classes)

    def _bounded(self, scores: Tensor) -> Tensor:
        """Attention scores (N,) in (0, 1), brought to (a, 1) for ``least_score`` a."""
        least = self.config.least_score
        return scores if least == 0 else least + (1 - least) * scores

    def _sampled(self, v: Tensor, flat: Tensor, split: int, most: int) -> tuple[Tensor, Tensor, int]:
        """At most ``most`` random rows a class, of the labelled and of the unlabelled rows alike; shapes stay fixed."""
        parts = []
        for part in (slice(0, split), slice(split, None)):
            some = flat[part]
            keys = torch.rand(some.shape, device=some.device)
            chosen = shortlist(v[part], some, keys, torch.zeros_like(some), most, self.num_classes, 1)
            parts.append(chosen[:2])
        return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]), len(parts[0][1])

    def _loss(self, features: Tensor, labels: Tensor, labelled: int) -> Tensor:
        features = self.at_stride(features, labels.shape[-2])
        small = downsample_labels(labels, features.shape[-2:])
        flat, v = small.flatten(), at_least_single(rows(features))
        split = labelled * small[0].numel()
        if (most := self.config.max_pixels_per_class) is not None:
            v, flat, split = self._sampled(v, flat, split, most)
        valid = self._inside(flat)
        p = self.prediction(self.projection(v, valid), valid)
        z, z_labels = self.bank.slots.flatten(0, 1), self.bank.slot_labels
        weighs_p = self.config.attention
        weighs_z = self._weighs_z
        p_scores = self._bounded(self.attention_p(p, flat)) if weighs_p else torch.ones_like(p[:, 0])
        z_scores = self._bounded(self.attention_z(z, z_labels)) if weighs_z else torch.ones_like(z[:, 0])
        if self.training:
            self._begin_teachers()

        def against_bank(some: slice) -> Tensor:
            sides, classes = (p[some], flat[some], p_scores[some], z, z_labels), self.num_classes
            if self.config.negatives:
                loss = contrast_against_bank(*sides, classes, self.config.temperature, across_processes=True)
            else:
                loss = contrastive_loss(*sides, z_scores, classes, across_processes=True)
            if (weight := self.config.effective_weight) > 0:
                if weighs_p:
                    loss = loss + weight * lost_share(p_scores[some], flat[some], self.num_classes, True)
                if weighs_z:
                    loss = loss + weight * lost_share(z_scores, z_labels, self.num_classes)
            return loss

        if not self.config.separate:
            return against_bank(slice(None))
        return against_bank(slice(0, split)) + against_bank(slice(split, None))

    def _begin_teachers(self) -> None:
        """Teachers without statistics take the student's first ones: an average of those and 0 and 1 would lag."""
        hand_on(self.projection.norm, self.teacher_projection.norm)
        hand_on(self.attention_p, self.teacher_attention_p)
        hand_on(self.attention_z, self.teacher_attention_z)
