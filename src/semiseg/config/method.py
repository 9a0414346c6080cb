"""``method.*``: what all methods share. Each method's own section, ``method.<name>.*``, stands in its own file."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)

from semiseg.config.contrastive import BankConfig
from semiseg.config.nested import set_key
from semiseg.config.section import Probability, Section
from semiseg.errors import SemisegError, did_you_mean
from semiseg.runtime import plugins


class TeacherConfig(Section):
    momentum_start: Probability = 0.995
    """τ of eq. 2 at the first iteration (section 4.2)."""
    momentum_end: Probability = 1.0
    """τ at the last iteration (section 4.2)."""
    half_life: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the run after which half of the teacher's weights are new ones, instead of the two ends above: for runs
    of any length; None: the paper's schedule."""
    ramp: bool = False
    """Cap τ at 1 - 1/(i + 1), so that the first random weights are forgotten (Tarvainen and Valpola, 2017); for
    short schedules."""
    buffers: Literal["copy", "ema", "keep"] = "copy"
    """BatchNorm statistics of the teacher: the student's, averaged like weights, or its own."""
    batch_statistics: bool = False
    """The teacher runs in training mode, on the statistics of its batch (authors' code)."""

    @model_validator(mode="after")
    def _one_schedule(self) -> TeacherConfig:
        """The ends mean nothing beside a half-life, which the presets set: an end of one's own would be lost unsaid."""
        usual = type(self).model_fields
        ends = [name for name in ("momentum_start", "momentum_end") if getattr(self, name) != usual[name].default]
        if self.half_life is not None and ends:
            raise ValueError(f"half_life stands instead of {ends[0]}; add method.teacher.half_life=null to use that")
        return self


class ClassBalanceConfig(Section):
    enabled: bool = True
    """α_c = sqrt(f_m/f_c) in eq. 3; off for VOC (section 4.2)."""
    after_warmup: bool = False
    """Only after the warm-up (authors' code)."""

    READ_WITH = {"after_warmup": ("enabled", (True,))}


class LossConfig(Section):
    divisor: Literal["pixels", "weights"] = "pixels"
    """Divisor of L_sup: N pixels (eq. 3) or Σα over valid pixels (authors' code)."""
    hard_threshold: Probability | None = None
    """Of L_sup only labelled pixels count whose class is less probable than this (OHEM; 0.7 on Cityscapes in UniMatch,
    U2PL and AugSeg, with ``divisor=weights``); None: all, as in the paper."""
    hard_share: Probability = 0.1
    """With it, the share of the labelled pixels that counts at least (UniMatch on Cityscapes: 200 000 pixels of two
    crops of 801, 0.16; U2PL and AugSeg half as many)."""


class AugmentConfig(Section):
    weak: Literal["paper", "reference", "none", "flip", "scale", "wide"] = "paper"
    """Augmentation of labelled crops: Table 1, or the authors' code's jitter; or geometry alone: ``flip`` in half of
    them, ``scale`` by 0.5 to 1.5 as well (Hung et al., French et al.), or ``wide``, by 0.5 to 2 (UniMatch)."""
    strong: Literal["paper", "reference", "weak", "flip", "scale", "wide"] = "paper"
    """Augmentation of unlabelled crops: Table 1, the authors' code, or the weak set; ``flip`` and ``scale`` as above;
    ``wide``, that with the colours of UniMatch: jitter by 0.5 and hue by 0.25, grey pictures, blur."""
    classmix_rule: Literal["half", "reference"] = "half"
    """Classes pasted by ClassMix: half of them, or floor(n/2) + 1 (authors' code)."""
    classmix_exclude: Annotated[int, Field(ge=0)] | None = None
    """A class never pasted: the background of VOC in the authors' code."""
    classmix_after_warmup: bool = False
    """ClassMix only after the warm-up (authors' code)."""


class MethodConfig(Section):
    """What all methods share. A complete one, see :func:`complete`, has a section for every installed method."""

    name: str = "memory_bank"
    """The method: memory_bank is the paper's, supervised the baseline; docs/methods.md has all that are shipped, and an
    installed package may bring others."""
    profile: Literal["paper", "reference", "equal"] = "paper"
    """What is filled in where nothing is set by hand. ``paper``: teacher, class weights, augmentation and warm-up of
    the chosen method are those of its own paper, as far as it was read; of memory_bank, the paper's text. ``equal``:
    they are the same for all methods, and only the use of the unlabelled images differs. ``reference``: every known
    deviation of the paper's authors' code."""
    warmup: Probability = 2000 / 150000
    """Share of the iterations with λ_pseudo = λ_contr = 0: the first 2 000 of 150 000 (section 4.2)."""
    stages: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the iterations that come first as a supervised stage, its learning rate annealed to 0, whose weights the
    student and the teacher of the method then start from; warm-up, τ and learning rate count from there, over the rest.
    0: one stage, as in the paper."""
    teacher: TeacherConfig = TeacherConfig()
    class_balance: ClassBalanceConfig = ClassBalanceConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    bank: BankConfig = BankConfig()

    @model_validator(mode="before")
    @classmethod
    def _packages(cls, values: Any) -> Any:
        """Only the chosen method needs its package: the sections of others are left out where theirs is gone."""
        packages = values.get("packages") if isinstance(values, dict) else None
        if not isinstance(packages, dict):
            return values
        gone = [name for name in packages if name not in plugins.method_names()]
        if (name := values.get("name")) in gone:
            raise ValueError(f"{name!r} comes from the package {packages[name]}, which is not installed; install it")
        return {key: value for key, value in values.items() if key not in {"packages", *gone}}

    @field_validator("name")
    @classmethod
    def _is_installed(cls, name: str) -> str:
        names = plugins.method_names()
        if name not in names:
            raise ValueError(f"there is no such method{did_you_mean(name, names)}; choose one of {', '.join(names)}")
        return name

    @model_validator(mode="after")
    def _takes_bank(self) -> MethodConfig:
        """A baseline beside the methods of a comparison passes a bank over; who could use one and cannot, refuses."""
        if not self.bank.enabled:
            return self
        method = plugins.method_class(self.name)
        if method.needs.unlabelled and not method.takes_bank:
            takers = [name for name in plugins.method_names() if plugins.method_class(name).takes_bank]
            own = self.name == "memory_bank"
            why = "has a bank of its own" if own else "learns from no pseudo-labels of one student"
            raise ValueError(f"{self.name} {why}; leave bank=true out, or choose one of {', '.join(takers)}")
        return self

    @property
    def settings(self) -> Any:
        """The chosen method's own section, of the type that its class names."""
        return getattr(self, self.name)

    @model_serializer(mode="wrap")
    def _chosen_method_only(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Other methods' sections are left out where nothing in them was set; of the rest, ``packages`` says who brings
        them, so that a file can be read, or say what is missing, where a package is not installed."""
        values: dict[str, Any] = handler(self)
        for name in set(plugins.method_names()) & set(values):
            if name != self.name and getattr(self, name) == _usual(type(getattr(self, name)), self.profile):
                del values[name]
        packages = {name: package for name in values if (package := plugins.method_package(name)) is not None}
        return values | ({"packages": packages} if packages else {})


def _usual(section: type[Section], profile: str) -> Section:
    """A method's section where nothing in it is set by hand."""
    values: dict[str, Any] = {}
    for key, value in {"reference": section.REFERENCE, "equal": section.EQUAL}.get(profile, {}).items():
        set_key(values, key, value)
    return section.model_validate(values)


@cache
def method_sections() -> dict[str, type[Section]]:
    """The settings of every installed method by its name."""
    return {name: plugins.method_class(name).settings for name in plugins.method_names()}


@cache
def complete() -> type[MethodConfig]:
    """``MethodConfig`` with the section of every installed method.

    Raises:
        SemisegError: an installed method has a name that means something else below ``method.``.
    """
    sections: dict[str, Any] = {}
    # What short keys begin with, such as ``method.weights.pseudo``, is no name of a method either.
    taken = {*MethodConfig.model_fields, "packages", *(f for s in method_sections().values() for f in s.model_fields)}
    for name, section in method_sections().items():
        if name in taken or hasattr(MethodConfig, name):
            raise SemisegError(
                f"the package {plugins.method_package(name)} calls its method {name!r}, which is a key of all methods; "
                "rename the method or uninstall the package"
            )
        sections[name] = (section, section())
    return create_model("MethodConfig", __base__=MethodConfig, __module__=__name__, **sections)
