"""``training.*``: steps, batches, optimiser, device, what is logged and when."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from semiseg.config.optimiser import OptimiserConfig
from semiseg.config.section import Count, NotNegative, Positive, Probability, Section, Seed


class LearningRateMultipliers(Section):
    stem: NotNegative = 1.0
    """Multiplier of the backbone's first convolution (authors' code: 1)."""
    backbone: NotNegative = 1.0
    """Multiplier of the backbone (the paper names one rate; authors' code before October 2021: 3, listed three
    times)."""
    classifier: NotNegative = 1.0
    """Multiplier of classifier and decoder (authors' code: 3)."""
    heads: NotNegative = 1.0
    """Multiplier of projection and prediction heads (authors' code: 2)."""
    attention: NotNegative | None = None
    """Multiplier of the class attention; None: that of ``heads`` (authors' code: 2)."""


class TrainingConfig(Section):
    iterations: Count = 150_000
    """Optimiser steps (section 4.2)."""
    batch_size: Count = 5
    """Labelled crops a step, of all processes together (section 4.2: 5 for DeepLabv2 on Cityscapes)."""
    unlabelled_ratio: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Unlabelled crops per labelled one, before the views (authors' code: 2 to 5)."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """sgd (section 4.2), or adamw: decoupled weight decay, fewer steps to a useful network on short schedules."""
    learning_rate: Positive = 2e-4
    """Learning rate: 2e-4 DeepLabv2, 4e-4 DeepLabv3+ with SGD (section 4.2)."""
    lr_multipliers: LearningRateMultipliers = LearningRateMultipliers()
    momentum: Probability = 0.9
    """SGD momentum (section 4.2); β1 of AdamW."""
    weight_decay: NotNegative = 5e-4
    """L2 penalty (authors' configurations)."""
    poly_power: NotNegative = 0.9
    """Power of the poly schedule lr·(1 - i/N)^power (authors' configurations)."""
    lr_warmup: Probability = 0.0
    """Share of the iterations over which the rate rises linearly (none in the paper)."""
    gradient_clip: Positive | None = None
    """Largest total gradient norm; None: no clipping (the paper)."""
    accumulation: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Batches whose gradients are added up before a step."""
    seed: Seed = 0
    """Seed of weights, sampling and augmentation."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Autocast type of the passes, validations included. bf16 took 0.93 of fp32's time on a processor with AVX-512 BF16
    (benchmarks/results/options_cpu.json); processors without such instructions emulate it."""
    sync_batch_norm: bool = True
    """With several CUDA processes: BatchNorm over the joint batch (SyncBatchNorm) instead of each process's part."""
    plateau_patience: Count | None = None
    """Validations without a better mIoU after which the best weights are loaded again (authors' code; None: never)."""
    batch_norm_refresh: Annotated[int, Field(ge=0)] = 0
    """Batches that renew the student's BatchNorm statistics after the last step (authors' code; 0: none)."""
    batch_norm_refresh_images: Literal["labelled", "unlabelled", "both"] = "labelled"
    """Images of those batches, as they are: the labelled ones (authors' code), the unlabelled ones, or both alike."""
    batch_norm_refresh_teacher: bool = False
    """Renew the teacher's statistics from them too, for its own weights (authors' code: no, it runs on its batch's)."""
    compile: bool = False
    """torch.compile the networks' passes: worth its first minutes on long GPU runs only."""
    activation_checkpointing: bool = False
    """Recompute the backbone's activations block by block in the backward pass instead of keeping them: less memory,
    one more forward pass, the same result."""
    passes: Literal["joint", "in_turn"] = "joint"
    """joint: the student sees labelled crops and all views as one batch. in_turn: one after the other, each computed
    again in the backward pass: the least memory, one more forward pass, BatchNorm statistics of each part alone."""
    channels_last: bool = True
    """Memory layout of images and weights; without it a step took 1.07 times as long on a CPU
    (benchmarks/results/options_cpu.json)."""
    deterministic: bool = False
    """Deterministic kernels wherever PyTorch has one, a warning where not: slower on a GPU, no difference on a CPU."""
    log_every: Count = 10
    """Steps between two lines of metrics.jsonl; losses are averaged over them."""
    validate_every: Count = 5000
    """Steps between two validations; the last step is always followed by one."""
    validate_teacher: bool = False
    """Validate the teacher too each time, not after the last step alone: validations take twice as long."""
    checkpoint_every: Count = 5000
    """Steps between two saves of last.pt, which is also saved before each validation and when a signal ends the run."""
    save_minutes: Positive | None = 10
    """Minutes after which last.pt is saved in any case; None: by steps only."""
    loggers: list[Literal["wandb", "mlflow"]] = []
    """Also log to Weights & Biases or MLflow (extras wandb, mlflow)."""
    tensorboard: bool = True
    """Write TensorBoard event files beside metrics.jsonl."""

    @property
    def main_optimiser(self) -> OptimiserConfig:
        """The optimiser that these settings describe."""
        return OptimiserConfig(
            kind=self.optimizer, learning_rate=self.learning_rate, momentum=self.momentum,
            weight_decay=self.weight_decay, poly_power=self.poly_power, lr_warmup=self.lr_warmup,
        )  # fmt: skip

    @field_validator("device", mode="before")
    @classmethod
    def _no_number(cls, value: Any) -> Any:
        if str(value).isdecimal():
            raise ValueError(f"write cuda:{value} for a GPU by its number, or auto, cuda or cpu")
        return value
