"""The contract of a method: it sees batches and returns losses.

The loop owns gradients, precision, processes, logging and resume. A method is a module, so everything that training
must not lose (teacher, heads, bank, class counts, a critic) lies in its ``state_dict``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from semiseg.class_balance import ClassCounts
from semiseg.config.optimiser import OptimiserConfig
from semiseg.config.read import Config
from semiseg.config.section import Section
from semiseg.data.base import IGNORE
from semiseg.losses import hard_labels, weighted_cross_entropy
from semiseg.methods.base.asked import Asked
from semiseg.methods.base.cost import StepCost
from semiseg.methods.base.stages import count_over, first_stage
from semiseg.methods.base.step import Needs, ParameterGroup, Round, Step
from semiseg.methods.base.unread import unread_of
from semiseg.methods.base.views import LabelledView, Views
from semiseg.networks import Output, SegmentationNetwork, upsample
from semiseg.networks.activation_checkpointing import recomputed
from semiseg.runtime.precision import at_least_single
from semiseg.teacher import make_teacher, momentum, momentum_of_half_life, update

if TYPE_CHECKING:
    from semiseg.methods.base.survey import Survey


class Method(Asked):
    """Base of all methods.

    A method defines :meth:`losses` and, as far as it differs, what stands below. ``needs``, ``terms``, ``watched``
    and ``measured`` are read without building it.

    Args:
        config: the run; ``method`` and ``training`` are read.
        student: the segmentation network to train.
        labelled: |X_l|, number of labelled training images.

    The class says:

    Attributes:
        settings: class of its own section of the configuration, ``method.<name>.*``.
        needs: what it asks of the data.
        keeps_teacher: whether a teacher follows the student (eq. 2).
        terms: names of the losses that it returns beside ``loss``, in the order to show them: in the progress line,
            the log and the report.
        watched: names of what else it returns with every step, such as the share of confident pixels: logged only.
        measured: names of what :meth:`measures` gives with every validation.
        takes_bank: whether it learns from pseudo-labels, which a bank beside it (``method.bank``) can use: its losses
            then end with :meth:`with_bank`.
        teacher_sees_labelled: whether its teacher sees the labelled crops anyway.
        further_rates: which of the rates ``heads`` and ``attention`` its :meth:`groups` read; None: both where they are
            its own.

    An instance has besides:

    Attributes:
        options: its own settings, of the class ``settings``.
        config, training_config: ``method.*`` and ``training.*``.
        first_stage: steps of the supervised stage that ``method.stages`` puts first; 0 where there is none.
        iterations, warmup: steps of the stage under way, which ``Step.iteration`` counts, and of its warm-up.
        student, teacher: the networks; ``teacher`` is None where none is kept.
        counts: pixels by class, for the class balance.
        views: augmentation as configured.
    """

    settings: ClassVar[type[Section]] = Section
    needs: Needs = Needs()
    keeps_teacher: ClassVar[bool] = True
    terms: ClassVar[tuple[str, ...]] = ()
    watched: ClassVar[tuple[str, ...]] = ()
    measured: ClassVar[tuple[str, ...]] = ()
    takes_bank: ClassVar[bool] = False
    teacher_sees_labelled: ClassVar[bool] = False
    further_rates: ClassVar[tuple[str, ...] | None] = None
    teacher: SegmentationNetwork | None
    iterations: int
    warmup: int

    def __init__(self, config: Config, student: SegmentationNetwork, labelled: int) -> None:
        super().__init__()
        self.config, self.options, self.training_config = config.method, config.method.settings, config.training
        self.num_classes, self.labelled = student.num_classes, labelled
        self.student = student
        self.teacher = make_teacher(student) if self.keeps_teacher else None
        self.counts = ClassCounts(self.num_classes)
        self.views = Views(config.method.augment, self.num_classes)
        self.first_stage = first_stage(config) if self.needs.unlabelled else 0
        count_over(self, config.training.iterations - self.first_stage)

    @classmethod
    def unread(cls, config: Config) -> set[str]:
        """Complete keys of settings that all methods share and a run so configured never reads: training says so where
        one of them was given. Other methods' own sections need not be named."""
        return unread_of(cls, config, cls.groups is not Method.groups)

    # The contract.

    def losses(self, step: Step) -> dict[str, Tensor]:
        """Losses of one step: ``loss`` is the one to minimise, then ``terms`` before their λ, then ``watched``.

        Scalar tensors, all of them in every step: what rests is 0. A mean over what is equally many in every process,
        crops or pixels, is right as it is; a count that differs is divided by as ``distributed.mean(count)``.
        """
        raise NotImplementedError

    def learners(self) -> dict[str, SegmentationNetwork]:
        """The networks that learn, by their attribute; ``student`` is the first: validated, reported and exported."""
        return {"student": self.student}

    def averages(self) -> list[tuple[nn.Module, nn.Module]]:
        """(teacher, student) pairs that eq. 2 averages."""
        return [] if self.teacher is None else [(self.teacher, self.student)]

    def groups(self) -> list[ParameterGroup]:
        """Parameters by learning rate: stem, backbone and classifier of every learner.

        Whatever else has ``requires_grad`` must be added, or training refuses to begin.
        """
        rates = self.training_config.lr_multipliers
        found = []
        for name, network in self.learners().items():
            stem = [p for p in network.stem_parameters() if p.requires_grad]
            known = {id(p) for p in stem}
            backbone = [p for p in network.backbone_parameters() if id(p) not in known]
            prefix = "" if network is self.student else f"{name} "
            found += [
                ParameterGroup(f"{prefix}stem", stem, rates.stem),
                ParameterGroup(f"{prefix}backbone", backbone, rates.backbone),
                ParameterGroup(f"{prefix}classifier", network.classifier_parameters(), rates.classifier),
            ]
        return found

    def optimisers(self) -> dict[str, OptimiserConfig]:
        """The optimisers that groups name; ``main`` is that of ``training.*``. All step after one backward pass."""
        return {"main": self.training_config.main_optimiser}

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        """Eq. 2 after the optimiser's step."""
        for teacher, student in self.averages():
            update(teacher, student, self.tau(step.iteration), self.config.teacher.buffers)

    def rounds(self, iterations: int) -> list[Round]:
        """The rounds, one after the other from 0 to ``iterations``, those of the run without its first stage: a
        function of that number and of settings, since a resume asks again."""
        return [Round(0, iterations)]

    def begin_round(self, number: int, survey: Survey) -> None:
        """Called before the first step of each round after the first, without gradients: look at the unlabelled images,
        store labels. Every process sees its share of them; one that was interrupted is called again."""

    def measures(self) -> dict[str, float | None]:
        """``measured`` and their values, written down with every validation."""
        return {}

    def remarks(self, measures: Mapping[str, float | None]) -> list[str]:
        """What the user should know and can do something about, one line each, given what was just measured."""
        return []

    def cost(self, labelled: int, unlabelled: int) -> StepCost:
        """What a step of ``labelled`` and ``unlabelled`` crops computes: here one view of each, and all further modules
        that learn, whose FLOPs and activations are not counted."""
        student = (labelled, unlabelled) if self.needs.unlabelled else (labelled,)
        teacher = unlabelled if self.teacher is not None else 0
        learners = list(self.learners().values())
        modules = {
            name: module
            for name, module in self.named_children()
            if module not in learners and any(p.requires_grad for p in module.parameters())
        }
        return StepCost(student, teacher, modules)

    # What most methods build on.

    def tau(self, iteration: int) -> float:
        """τ of eq. 2 at an iteration, by ``teacher.half_life`` where it is set, capped at first by ``teacher.ramp``."""
        teacher = self.config.teacher
        if teacher.half_life is not None:
            tau = momentum_of_half_life(teacher.half_life, self.iterations)
        else:
            tau = momentum(iteration, self.iterations, teacher.momentum_start, teacher.momentum_end)
        return min(tau, 1 - 1 / (iteration + 2)) if teacher.ramp else tau

    def train(self, mode: bool = True) -> Method:
        """Teachers predict with running statistics unless told to use those of their batch."""
        super().train(mode)
        for teacher, _ in self.averages():
            teacher.train(mode and self.config.teacher.batch_statistics)
        return self

    def pseudo_weight(self, iteration: int) -> float:
        """λ_pseudo at an iteration: 0 during the warm-up (section 4.2), or a ramp there (authors' code)."""
        if iteration >= self.warmup:
            weight: float = self.options.weights.pseudo
            return weight
        if self.options.pseudo.warmup == "off":
            return 0.0
        return self.options.weights.pseudo * math.exp(-5 * (1 - iteration / self.warmup) ** 2)

    def class_weights(self, iteration: int) -> Tensor | None:
        """α of eq. 3, or None where class balance is off."""
        balance = self.config.class_balance
        if not balance.enabled or (balance.after_warmup and iteration < self.warmup):
            return None
        return self.counts.weights()

    def labelled_view(self, step: Step) -> LabelledView:
        """x_l^a of eq. 4, its labels counted for the class balance."""
        view = self.views.weak(step)
        self.counts.update(view.labels)
        return view

    def pass_student(self, *parts: Tensor, network: SegmentationNetwork | None = None) -> Output:
        """f_θ on batches of images (B_i, 3, H, W): one pass over all of them, or one after the other.

        In turn (``training.passes``), the backward pass computes one part's activations at a time; BatchNorm then
        normalises every part by its own statistics.
        """
        network = self.student if network is None else network
        if self.training_config.passes != "in_turn":
            output: Output = network(torch.cat(parts))
            return output
        outputs = [recomputed(network, part, self.training) for part in parts]
        return Output(*(torch.cat(maps) for maps in zip(*outputs, strict=True)))

    def supervised(self, logits: Tensor, labels: Tensor, iteration: int) -> Tensor:
        """Eq. 4: weighted cross-entropy on labelled crops, β = 1. logits (B, C, h, w), labels (B, H, W)."""
        logits, loss = upsample(logits, labels.shape[-2:]), self.config.loss
        if loss.hard_threshold is not None:
            labels = hard_labels(logits, labels, loss.hard_threshold, loss.hard_share)
        return weighted_cross_entropy(
            logits,
            labels,
            self.class_weights(iteration),
            ignore_index=IGNORE,
            divisor=loss.divisor,
            across_processes=True,
        )

    @torch.no_grad()
    def teacher_logits(self, images: Tensor) -> Tensor:
        """Logits of the teacher at the resolution of ``images``, (B, C, H, W), float32 at least."""
        assert self.teacher is not None
        return at_least_single(upsample(self.teacher(images).logits, images.shape[-2:]))
