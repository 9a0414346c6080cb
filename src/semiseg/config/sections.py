"""The sections of a configuration: every field with its unit, its default and where the default comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

MethodName = Literal["supervised", "mean_teacher", "cutmix", "classmix", "memory_bank"]


PERMUTATION_SUFFIXES = (".pkl", ".npy")


def is_permutation(path: str | Path) -> bool:
    """Whether ``data.labelled_list`` names a NumPy permutation (.pkl, .npy) rather than a text file of names."""
    return Path(path).suffix.lower() in PERMUTATION_SUFFIXES


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=True, use_attribute_docstrings=True)


class SourceConfig(Section):
    """X_d, a labelled set from another domain (section 4.3.2); its classes must be those of the target."""

    dataset: str | None = None
    """Kind of data set, e.g. gta5; none: no domain adaptation."""
    root: str | None = None
    """Folder of the data set as downloaded."""
    resize: tuple[Count, Count] | None = None
    """(height, width) in pixels before cropping; None: as they are."""
    options: dict[str, Any] = {}
    """Further arguments of the data set, e.g. look: game for toy streets."""
    sampling: Literal["even", "alternating", "late"] = "even"
    """Every labelled batch half from X_l and half from X_d (section 4.3.2); whole batches of each in turn (authors'
    early code); or X_d in every second of the last 100 iterations only (authors' later code, an inverted test)."""


class DataConfig(Section):
    dataset: str = "folder"
    """Kind of data set: folder, camvid, toy_streets, cityscapes or voc (gta5: as source)."""
    root: str | None = None
    """Folder of the data set as downloaded; toy streets need none."""
    labelled: str | int | float = "all"
    """Training images that keep their masks: a count (12), a fraction (1/30) or all (Tables 2-4 use fractions)."""
    split_seed: int = 0
    """Seed of the permutation of the sorted image list whose first entries stay labelled (section 4.2: three
    splits)."""
    labelled_list: str | None = None
    """Text file with one image name a line, instead of a seeded split; or a NumPy permutation of the sorted list
    (.pkl, .npy), whose first data.labelled entries stay labelled."""
    resize: tuple[Count, Count] | None = None
    """(height, width) in pixels that images are brought to before cropping, e.g. [512, 1024] (section 4.2)."""
    crop: Count | tuple[Count, Count] = 512
    """Side of the training crop in pixels, or (height, width): 512 for Cityscapes, 321 for VOC (section 4.2)."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Loader processes; 0 loads in the training process."""
    cache: bool = False
    """Keep decoded images in memory: for small sets."""
    options: dict[str, Any] = {}
    """Further arguments of the data set, e.g. look: game for toy streets."""
    source: SourceConfig = SourceConfig()

    @property
    def crop_size(self) -> tuple[int, int]:
        """(height, width) of the training crop in pixels."""
        return (self.crop, self.crop) if isinstance(self.crop, int) else self.crop


class NetworkConfig(Section):
    architecture: str = "deeplabv2"
    """deeplabv2 or deeplabv3plus (section 4.2)."""
    backbone: str = "resnet101"
    """resnet18/34/50/101, efficientnet_lite0, timm:NAME or dinov2:small|base; the paper: resnet101 (v2), resnet50
    (v3+)."""
    pretrained: str = "imagenet"
    """none, imagenet, coco (DeepLabv2-ResNet-101) or a file with weights (Table 2: ImageNet or COCO)."""
    output_stride: Literal[8, 16] = 8
    """Input pixels per feature of the backbone (section 4.2: 8)."""
    batch_norm: Literal["train", "frozen", "frozen_affine"] = "train"
    """Backbone's BatchNorm: ordinary; all of it frozen; or batch statistics with fixed affine parameters
    (authors' code)."""
    decoder_channels: Count = 256
    """Width of the DeepLabv3+ decoder (DeepLabv3+ paper: 256)."""
    aspp: Literal["paper", "reference"] = "paper"
    """DeepLabv2 classifier: four summed dilated branches, or the first two as in the authors' code."""


class LossWeights(Section):
    """λ of eq. 1 (section 4.2)."""

    supervised: NotNegative = 1.0
    """λ_sup = 1 (section 4.2)."""
    pseudo: NotNegative = 1.0
    """λ_pseudo = 1 (section 4.2)."""
    entropy: NotNegative = 0.01
    """λ_ent = 0.01 (section 4.2)."""
    contrastive: NotNegative = 0.1
    """λ_contr = 0.1 (section 4.2, Table 6); over labelled and unlabelled vectors together."""


class TeacherConfig(Section):
    momentum_start: Probability = 0.995
    """τ of eq. 2 at the first iteration (section 4.2)."""
    momentum_end: Probability = 1.0
    """τ at the last iteration (section 4.2)."""
    ramp: bool = False
    """Cap τ at 1 - 1/(i + 1), so that the first random weights are forgotten (Tarvainen and Valpola, 2017); for
    short schedules."""
    buffers: Literal["copy", "ema", "keep"] = "copy"
    """BatchNorm statistics of the teacher: the student's, averaged like weights, or its own."""
    batch_statistics: bool = False
    """The teacher runs in training mode, on the statistics of its batch (authors' code)."""


class PseudoLabelConfig(Section):
    views: Count = 2
    """A of eq. 6: strong augmentations of each crop (section 4.2: 2)."""
    sharpness: NotNegative = 6.0
    """s of the confidence weights β = confidence^s (section 4.2: 6)."""
    confidence_threshold: Probability | None = None
    """Confidence above which a pixel counts as confident in cutmix (0.97, French et al.) and classmix (0.968,
    Olsson et al.); None: these."""
    warmup: Literal["off", "ramp"] = "off"
    """During warm-up λ_pseudo is 0 (section 4.2) or ramps up as exp(-5(1 - i/n)²) (authors' code)."""

    @field_validator("warmup", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML 1.1 reads a bare off as false


class ContrastiveConfig(Section):
    bank_size: Count = 256
    """ψ, vectors per class (section 4.2, Table 7)."""
    dim: Count = 256
    """Width of heads and attention networks (section 4.2)."""
    quality_threshold: Probability = 0.95
    """φ of the feature quality filter (section 4.2)."""
    quality_filter: bool = True
    """Feature quality filter before the bank (Table 8: FQF)."""
    attention: bool = True
    """Class-specific attention weights and ranking (Table 8: S_c); without it w = 1 and the bank takes random
    vectors."""
    teacher_features: bool = True
    """The bank stores teacher features (Table 8: f_ξ); otherwise the student's."""
    bank_weights: Literal["attention", "ones"] = "attention"
    """w_z by eq. 8, or constant 1 (authors' code)."""
    bank_keep: Literal["highest", "lowest"] = "highest"
    """Which end of the ranking enters the bank (section 3.4: highest; authors' code: lowest)."""
    ranking: Literal["projection", "prediction"] = "projection"
    """Attention network of the teacher that ranks: the projection's S_{c,ξ} (section 3.4) or the prediction's
    (authors' code)."""
    bank_scope: Literal["image", "batch"] = "image"
    """K = max(1, ψ/|X_l|) vectors per image and class (section 4.2), or batch·round(ψ/|X_l|) over the batch
    (authors' code)."""
    separate: bool = False
    """One loss over labelled and one over unlabelled vectors, each with λ_contr (authors' code)."""
    bank_start: Probability = 0.0
    """Share of the warm-up after which the bank starts to fill (authors' code: 0.5)."""
    max_pixels_per_class: Count | None = None
    """At most so many pixels of each class, drawn at random among the labelled and among the unlabelled ones, go
    through the heads at a step; None: all (the paper)."""
    feature_stride: Literal["paper", "network"] = "paper"
    """Contrast features at output stride 8 at the finest (section 4.2), or at the network's own, 4 for DeepLabv3+
    (authors' code)."""


class ClassBalanceConfig(Section):
    enabled: bool = True
    """α_c = sqrt(f_m/f_c) in eq. 3; off for VOC (section 4.2)."""
    after_warmup: bool = False
    """Only after the warm-up (authors' code)."""


class LossConfig(Section):
    divisor: Literal["pixels", "weights"] = "pixels"
    """Divisor of L_sup: N pixels (eq. 3) or Σα over valid pixels (authors' code)."""
    entropy_base: Literal["natural", "classes"] = "natural"
    """Logarithm of eq. 7: natural, or divided by ln C (authors' code)."""
    entropy_valid_only: bool = False
    """Mean of eq. 7 over all N pixels, or over those with a pseudo-label (authors' code)."""


class AugmentConfig(Section):
    weak: Literal["paper", "reference", "none"] = "paper"
    """Augmentation of labelled crops: Table 1, or the authors' code's jitter."""
    strong: Literal["paper", "reference", "weak"] = "paper"
    """Augmentation of unlabelled crops: Table 1, the authors' code, or the weak set."""
    classmix_rule: Literal["half", "reference"] = "half"
    """Classes pasted by ClassMix: half of them, or floor(n/2) + 1 (authors' code)."""
    classmix_exclude: Annotated[int, Field(ge=0)] | None = None
    """A class never pasted: the background of VOC in the authors' code."""
    classmix_after_warmup: bool = False
    """ClassMix only after the warm-up (authors' code)."""


# "Where the authors' code differs from the paper": profile reference sets these unless given by hand.
REFERENCE: dict[str, Any] = {
    "teacher.batch_statistics": True,
    "teacher.buffers": "keep",
    "pseudo.warmup": "ramp",
    "contrastive.bank_weights": "ones",
    "contrastive.bank_keep": "lowest",
    "contrastive.ranking": "prediction",
    "contrastive.bank_scope": "batch",
    "contrastive.separate": True,
    "contrastive.bank_start": 0.5,
    "contrastive.feature_stride": "network",
    "class_balance.after_warmup": True,
    "loss.divisor": "weights",
    "loss.entropy_base": "classes",
    "loss.entropy_valid_only": True,
    "augment.weak": "reference",
    "augment.strong": "reference",
    "augment.classmix_rule": "reference",
    "augment.classmix_after_warmup": True,
}
REFERENCE_ELSEWHERE: dict[str, Any] = {
    "data.source.sampling": "alternating",
    "network.aspp": "reference",
    "network.batch_norm": "frozen_affine",
    "training.lr_multipliers.backbone": 3.0,
    "training.lr_multipliers.classifier": 3.0,
    "training.lr_multipliers.heads": 2.0,
    "training.unlabelled_ratio": 0.4,
    "training.plateau_patience": 5,
    "training.batch_norm_refresh": 100,
}


class MethodConfig(Section):
    name: MethodName = "memory_bank"
    """supervised, mean_teacher, cutmix, classmix or memory_bank (the paper's)."""
    profile: Literal["paper", "reference"] = "paper"
    """The paper's text, or every known deviation of the authors' code."""
    warmup: Probability = 2000 / 150000
    """Share of the iterations with λ_pseudo = λ_contr = 0: the first 2 000 of 150 000 (section 4.2)."""
    weights: LossWeights = LossWeights()
    teacher: TeacherConfig = TeacherConfig()
    pseudo: PseudoLabelConfig = PseudoLabelConfig()
    contrastive: ContrastiveConfig = ContrastiveConfig()
    class_balance: ClassBalanceConfig = ClassBalanceConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()


class LearningRateMultipliers(Section):
    stem: NotNegative = 1.0
    """Multiplier of the backbone's first convolution (authors' code: 1)."""
    backbone: NotNegative = 1.0
    """Multiplier of the backbone (the paper names one rate; authors' code before October 2021: 3, listed three
    times)."""
    classifier: NotNegative = 1.0
    """Multiplier of classifier and decoder (authors' code: 3)."""
    heads: NotNegative = 1.0
    """Multiplier of projection, prediction and attention heads (authors' code: 2)."""


class TrainingConfig(Section):
    iterations: Count = 150_000
    """Optimiser steps (section 4.2)."""
    batch_size: Count = 5
    """Labelled crops a step, of all processes together (section 4.2: 5 for DeepLabv2 on Cityscapes)."""
    unlabelled_ratio: Positive = 1.0
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
    accumulation: Count = 1
    """Batches whose gradients are added up before a step."""
    seed: int = 0
    """Seed of weights, sampling and augmentation."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Autocast type of the passes. bf16 took 0.93 of fp32's time on a processor with AVX-512 BF16
    (benchmarks/results/options_cpu.json); processors without such instructions emulate it."""
    sync_batch_norm: bool = True
    """With several CUDA processes: BatchNorm over the joint batch (SyncBatchNorm) instead of each process's part."""
    plateau_patience: Count | None = None
    """Validations without a better mIoU after which the best weights are loaded again (authors' code; None: never)."""
    batch_norm_refresh: Annotated[int, Field(ge=0)] = 0
    """Labelled batches that renew the student's BatchNorm statistics after the last step (authors' code; 0: none)."""
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
    checkpoint_every: Count = 5000
    """Steps between two saves of last.pt."""
    loggers: list[Literal["wandb", "mlflow"]] = []
    """Also log to Weights & Biases or MLflow (extras wandb, mlflow)."""
    tensorboard: bool = True
    """Write TensorBoard event files beside metrics.jsonl."""


class EvaluationConfig(Section):
    mode: Literal["whole", "sliding"] = "whole"
    """Whole image, single scale (section 4.2), or a sliding window."""
    window: tuple[Count, Count] | None = None
    """(height, width) of the window in pixels; None: the training crop."""
    stride: tuple[Count, Count] | None = None
    """Steps of the window in pixels; None: two thirds of it."""
    batch_size: Count = 1
    """Images a pass; above 1 all must have one size."""
