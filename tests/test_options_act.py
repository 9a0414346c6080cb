"""Every value of every option acts: two steps of a small network, or the first batches, differ from those without it.

A new option needs a line here: a value in VALUES, or the reason and the test that holds it in ELSEWHERE.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from conftest import as_needed, write_picture
from fake_networks import Images
from torch import Tensor

from semiseg import Config
from semiseg.config.contrastive import BankConfig
from semiseg.config.keys import value_of
from semiseg.config.read import fields
from semiseg.data.base import DatasetInfo
from semiseg.data.run_data import RunData, open_run_data
from semiseg.methods import Batch, method_class, method_names
from semiseg.methods.base.stages import count_over
from semiseg.training import rounds
from semiseg.training.batches import training_batches
from semiseg.training.building import build_method
from semiseg.training.optimisers import Optimisers
from semiseg.training.step import Stepper
from semiseg.training.unread import switched_off_by

BASE = [
    "network.architecture=deeplabv3plus", "network.backbone=small", "network.pretrained=none",
    "network.output_stride=16", "network.decoder_channels=16", "method.warmup=0.25",
    "method.contrastive.quality_threshold=0.1", "method.contrastive.bank_size=8", "method.contrastive.dim=16",
    "method.teacher.momentum_start=0.9", "training.iterations=8", "training.batch_size=2",
    "training.learning_rate=0.05", "training.device=cpu", "data.crop=32", "data.workers=0",
]  # fmt: skip
ALL_SURE = "method.fixmatch.pseudo.confidence_threshold=0"
PATCHES = [
    f"method.patch_contrast.contrastive.{word}" for word in ("patch=8", "alike=0.7", "confidence_threshold=0")
]  # fmt: skip
ALL_SURE_V2 = "method.unimatch_v2.pseudo.confidence_threshold=0"


OPTIMISER = {
    "learning_rate": 0.2, "momentum": 0, "beta2": 0.1, "weight_decay": 0.1, "poly_power": 2, "lr_warmup": 0.5,
}  # fmt: skip


def critic(name: str) -> dict[str, list[Any]]:
    """Values of the optimiser of a method's critic."""
    return {f"method.{name}.critic.{key}": [value] for key, value in OPTIMISER.items()}


# What to set where a field's type does not tell its values; of the others every one is tried.
VALUES: dict[str, list[Any]] = {
    "method.name": [name for name in method_names() if name != "memory_bank"],
    "method.profile": ["reference"],  # the others do nothing to memory_bank: config/test_profiles.py
    "method.warmup": [0.5], "method.stages": [0.5], "method.teacher.momentum_start": [0.5],
    "method.loss.hard_threshold": [0.3], "method.loss.hard_share": [0.9],
    "method.teacher.momentum_end": [0.95], "method.teacher.half_life": [0.1], "method.augment.classmix_exclude": [0],
    "method.context_aware.weights.supervised": [0.5, 0],
    **{f"method.{name}.weights.{term}": [0.5, 0] for term in ("supervised", "pseudo") for name in (
       "ael", "augseg", "classmix", "corrmatch", "cutmix", "cutout", "fixmatch", "mean_teacher", "memory_bank",
       "prevmatch", "reco", "u2pl", "unimatch")},
    "method.memory_bank.weights.entropy": [0.5, 0], "method.memory_bank.weights.contrastive": [0.5, 0],
    "method.classmix.pseudo.confidence_threshold": [0], "method.cutmix.pseudo.confidence_threshold": [0],
    "method.cutout.pseudo.confidence_threshold": [0],
    "method.fixmatch.pseudo.confidence_threshold": [0], "method.fixmatch.pseudo.views": [2],
    "method.fixmatch.pseudo.sharpness": [1], "method.fixmatch.pseudo.mix_probability": [0, 1],
    "method.augseg.pseudo.confidence_threshold": [0], "method.augseg.pseudo.operations": [1],
    "method.augseg.pseudo.mix_probability": [0],
    **{f"method.{name}.pseudo.{key}": values for name in ("unimatch", "prevmatch", "corrmatch") for key, values in (
       ("confidence_threshold", [0]), ("strong", [1, 0]), ("features", [1, 0]), ("dropout", [0, 0.9]),
       ("mix_probability", [0, 1]))},
    "method.corrmatch.pseudo.threshold_momentum": [0.5], "method.corrmatch.pseudo.regions": [1],
    "method.corrmatch.pseudo.soft": [1, 0], "method.corrmatch.pseudo.correlation": [1, 0],
    "method.corrmatch.weights.correlation": [0.5, 0],
    "method.prevmatch.previous.snapshots": [1], "method.prevmatch.previous.every": [0.5],
    "method.prevmatch.previous.confidence_threshold": [0],
    "method.memory_bank.pseudo.views": [1], "method.memory_bank.pseudo.sharpness": [1],
    "method.memory_bank.contrastive.bank_size": [4], "method.memory_bank.contrastive.dim": [8],
    "method.memory_bank.contrastive.quality_threshold": [0.99],
    "method.memory_bank.contrastive.quality_quantile": [0.1], "method.memory_bank.contrastive.least_score": [0.5],
    "method.memory_bank.contrastive.effective_weight": [1], "method.memory_bank.contrastive.bank_start": [1],
    "method.memory_bank.contrastive.max_pixels_per_class": [1], "method.memory_bank.contrastive.temperature": [1],
    **{f"method.bank.{key}": [value] for key, value in {"bank_size": 2, "dim": 8, "quality_threshold": 0.99,
       "quality_quantile": 0.1, "least_score": 0.5, "effective_weight": 1, "bank_start": 1, "max_pixels_per_class": 1,
       "temperature": 1, "weight": 0.5}.items()},
    **{f"method.patch_contrast.weights.{term}": [0.5, 0] for term in ("supervised", "contrastive")},
    **{f"method.patch_contrast.contrastive.{key}": [value] for key, value in {"patch": 16, "levels": 1, "alike": 0.5,
       "confidence_threshold": 0.5, "temperature": 1, "dim": 8}.items()},
    **{f"method.semantic_shift.weights.{term}": [0.5, 0] for term in ("supervised", "adversarial", "critic")},
    **{f"method.unimatch_v2.weights.{term}": [1, 0] for term in ("supervised", "pseudo")},
    "method.unimatch_v2.pseudo.confidence_threshold": [0], "method.unimatch_v2.pseudo.mix_probability": [0, 1],
    "method.unimatch_v2.pseudo.dropped": [0, 1],
    **{f"method.adversarial.weights.{term}": [0.5, 0] for term in ("supervised", "pseudo", "adversarial",
       "adversarial_unlabelled", "critic")},
    "method.adversarial.pseudo.score_threshold": [0.9], "method.adversarial.pseudo.start": [0.9],
    **critic("adversarial"), **critic("semantic_shift"), **critic("s4gan"), "method.s4gan.critic.dropout": [0.1],
    **{f"method.s4gan.weights.{term}": [0.5, 0] for term in ("supervised", "pseudo", "matching", "critic")},
    "method.s4gan.pseudo.score_threshold": [0], "method.s4gan.multi_label.presence_threshold": [0.49],
    "method.s4gan.multi_label.consistency": [0.1], "method.s4gan.multi_label.burn_in": [0.9],
    **{f"method.s4gan.multi_label.optimiser.{key}": [value] for key, value in OPTIMISER.items()},
    "method.cbc.rounds.count": [2], "method.cbc.rounds.first": [0.5], "method.cbc.pseudo.gamma": [0],
    **{f"method.error_correcting.weights.{term}": [0.5, 0] for term in ("supervised", "pseudo", "auxiliary",
       "corrector")},
    "method.dmt.rounds.count": [2], "method.dmt.rounds.first": [0.5],
    "method.dmt.pseudo.gamma_agree": [0], "method.dmt.pseudo.gamma_disagree": [0],
    **{f"method.{name}.weights.{term}": [0.5, 0] for name in ("cbc", "dmt") for term in ("supervised", "pseudo")},
    **{f"method.ael.pseudo.{key}": values for key, values in {"momentum": [0.5], "classes": [1], "sharpness": [0],
       "paste_probability": [0, 1], "least_share": [0.9], "least_part": [0.9], "sampling": [0]}.items()},
    "method.context_aware.weights.contrastive": [0.5, 0], "method.context_aware.contrastive.dim": [8],
    "method.context_aware.contrastive.temperature": [0.5],
    "method.context_aware.contrastive.least_confidence": [0], "method.context_aware.contrastive.stored": [4],
    "method.context_aware.contrastive.steps": [1],
    "method.reco.weights.contrastive": [0.5, 0], "method.reco.pseudo.confidence_threshold": [0],
    "method.reco.contrastive.dim": [8], "method.reco.contrastive.least_confidence": [0],
    "method.reco.contrastive.queries": [1], "method.reco.contrastive.keys": [2],
    "method.reco.contrastive.temperature": [0.1],
    "network.architecture": ["deeplabv2", "dpt"], "network.decoder_channels": [32],
    "method.u2pl.weights.contrastive": [0.5, 0], "method.u2pl.pseudo.unreliable": [0, 1],
    "method.u2pl.pseudo.mix_probability": [0, 1], "method.u2pl.contrastive.dim": [8],
    "method.u2pl.contrastive.bank_size": [4], "method.u2pl.contrastive.pushed": [2],
    "method.u2pl.contrastive.queries": [1], "method.u2pl.contrastive.keys": [2],
    "method.u2pl.contrastive.temperature": [0.1], "method.u2pl.contrastive.least_probability": [0],
    "method.u2pl.contrastive.low_rank": [1], "method.u2pl.contrastive.high_rank": [3],
    "training.iterations": [16], "training.learning_rate": [0.1], "training.momentum": [0],
    "training.weight_decay": [0.1], "training.poly_power": [2], "training.lr_warmup": [0.5],
    "training.gradient_clip": [0.01], "training.accumulation": [2], "training.seed": [1],
    **{f"training.lr_multipliers.{part}": [3] for part in ("stem", "backbone", "classifier", "heads", "attention")},
    "data.labelled": [1, "1/3"], "data.split_seed": [1], "data.resize": [48, "[48, 40]"], "data.crop": [24, "[16, 40]"],
    "training.batch_size": [3], "training.unlabelled_ratio": [2], "data.labelled_list": ["LIST"],
    "data.options": ["{fold: 1}"], "data.channels": ["[3, 2, 1]", "[1, 2]"], "data.intensity": ["image", "dataset"],
    "data.percentiles": ["[20, 60]"], "data.ranges": ["[[0, 100]]"],
}  # fmt: skip
# What must be so for an option to act.
BANKED = ["method.name=fixmatch", "method.bank=true", "method.bank.quality_threshold=0.1", "method.bank.bank_size=8",
          "method.bank.dim=16", ALL_SURE]  # fmt: skip
WITH: dict[str, list[str]] = {
    "method.loss.hard_share": ["method.loss.hard_threshold=0"],
    **{f"method.bank.{key}": BANKED for key in BankConfig.model_fields},
    "method.bank.enabled": ["method.name=fixmatch"],
    "method.bank.temperature": [*BANKED, "method.bank.negatives=true", "method.bank.quality_filter=false"],
    "method.bank.quality_rule": [*BANKED, "method.bank.quality_threshold=0.275"],
    "method.bank.quality_quantile": [*BANKED, "method.bank.quality_rule=quantile"],
    "method.ael.pseudo.least_share": ["method.profile=equal"],  # other random pictures: a giver with enough of a class
    "data.split_seed": ["data.labelled=2"],
    "data.percentiles": ["data.intensity=image"], "data.ranges": ["data.intensity=dataset"],
    "method.teacher.half_life": ["method.teacher.momentum_start=0.995"],
    "network.aspp": ["network.architecture=deeplabv2"],
    "method.fixmatch.pseudo.sharpness": ["method.fixmatch.pseudo.weighting=confidence"],
    **{f"method.fixmatch.{key}": [ALL_SURE] for key in ("pseudo.views", "pseudo.mix", "pseudo.mix_probability",
       "weights.pseudo", "pseudo.warmup")},
    **{f"method.{name}.{key}": [f"method.{name}.pseudo.confidence_threshold=0"] for name in ("unimatch", "prevmatch",
       "corrmatch") for key in ("pseudo.strong", "pseudo.features", "pseudo.dropout", "pseudo.mix_probability",
       "weights.pseudo", "pseudo.warmup")},
    **{f"method.corrmatch.{key}": ["method.corrmatch.pseudo.confidence_threshold=0"] for key in ("pseudo.soft",
       "pseudo.correlation", "pseudo.regions")},
    **{f"method.{name}.{key}": [f"method.{name}.pseudo.confidence_threshold=0"]
       for name in ("classmix", "cutmix", "cutout") for key in ("weights.pseudo", "pseudo.warmup")},
    "method.cutout.pseudo.warmup": ["method.cutout.pseudo.confidence_threshold=0", "method.cutout.weights.pseudo=99"],
    **{f"method.reco.{key}": ["method.reco.pseudo.confidence_threshold=0"] for key in ("weights.pseudo",
       "pseudo.warmup", "pseudo.mix")},
    **{f"method.context_aware.{key}": ["method.context_aware.contrastive.least_confidence=0"] for key in
       ("weights.contrastive", "contrastive.temperature", "contrastive.stored", "contrastive.steps")},
    **{f"method.u2pl.{key}": ["method.u2pl.contrastive.least_probability=0"] for key in ("weights.contrastive",
       "contrastive.queries", "contrastive.keys", "contrastive.temperature")},
    "method.memory_bank.contrastive.temperature": ["method.memory_bank.contrastive.negatives=true",
       "method.contrastive.quality_filter=false"],
    "method.memory_bank.contrastive.quality_rule": ["method.contrastive.quality_threshold=0.275"],
    "method.memory_bank.contrastive.quality_quantile": ["method.contrastive.quality_rule=quantile"],
    "method.patch_contrast.weights.contrastive": PATCHES,
    **{f"method.patch_contrast.contrastive.{key}": PATCHES for key in ("patch", "levels", "alike", "temperature",
       "confidence_threshold")},
    **{f"method.unimatch_v2.{key}": [ALL_SURE_V2] for key in ("pseudo.mix_probability", "pseudo.dropped",
       "pseudo.warmup", "weights.pseudo")},
    **{f"method.{name}.critic.kind": ["method.critic.weight_decay=0.1", "method.critic.learning_rate=0.1"]
       for name in ("adversarial", "s4gan", "semantic_shift")},
    "method.s4gan.weights.pseudo": ["method.s4gan.pseudo.score_threshold=0"],
    **{f"method.s4gan.multi_label.{key}": ["method.s4gan.multi_label.enabled=true",
       "method.s4gan.pseudo.score_threshold=0", "method.s4gan.multi_label.optimiser.learning_rate=0.1"]
       for key in ("presence_threshold", "consistency", "burn_in", *(f"optimiser.{key}" for key in OPTIMISER))},
    "method.s4gan.multi_label.optimiser.kind": ["method.s4gan.multi_label.enabled=true"],
    "method.s4gan.multi_label.optimiser.beta2": ["method.s4gan.multi_label.enabled=true",
                                                 "method.s4gan.multi_label.optimiser.kind=adam"],
}  # fmt: skip
_LOOP = "is for the loop, not for a step"
ELSEWHERE: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("name", "title", "paper_miou", "system", "needs", "table"), ("words for people", "test_presets.py")
    ),
    "run_dir": ("a place", "training/test_loop.py"),
    "data.dataset": ("what is read", "data/test_run_data.py"),
    "data.root": ("a place", "data/test_run_data.py"),
    "data.workers": ("changes no result", "data/test_loading.py"),
    "data.cache": ("changes no result", "data/test_loading.py"),
    "data.stack": ("needs files of several planes", "data/rasters/test_microscopy.py"),
    "data.tile": ("needs large images", "data/rasters/test_tiles.py"),
    "data.shown": ("of pictures", "test_visualise.py"),
    "data.source.dataset": ("needs a second data set", "data/test_run_data.py"),
    "data.source.root": ("needs a second data set", "data/test_run_data.py"),
    "data.source.resize": ("needs a second data set", "training/test_loop.py"),
    "data.source.options": ("needs a second data set", "data/test_run_data.py"),
    "method.semantic_shift.weights.semantic": ("needs labelled crops of two domains", "methods/test_semantic_shift.py"),
    "data.source.sampling": ("needs a second data set", "data/test_domains.py"),
    "method.prevmatch.previous.most": ("needs several kept students", "networks/test_snapshots.py"),
    "network.backbone": ("what is built", "networks/test_build.py"),
    "network.pretrained": ("needs a file of weights", "networks/test_build.py"),
    "network.warm_start": ("needs another run", "training/test_warm_start.py"),
    "training.device": ("needs a device", "training/test_loop.py"),
    "training.sync_batch_norm": ("needs many GPUs", "training/test_parallel.py"),
    "training.plateau_patience": (_LOOP, "training/test_plateau.py"),
    "training.batch_norm_refresh": ("after the last step", "training/test_refresh.py"),
    "training.batch_norm_refresh_images": ("after the last step", "training/test_refresh.py"),
    "training.batch_norm_refresh_teacher": ("after the last step", "training/test_refresh.py"),
    "training.compile": ("changes no result", "training/test_options.py"),
    "training.activation_checkpointing": ("changes no result", "training/test_options.py"),
    "training.channels_last": ("changes no result", "training/test_options.py"),
    "training.deterministic": ("changes no result on a CPU", "training/test_options.py"),
    "training.log_every": (_LOOP, "training/test_saving.py"),
    "training.validate_every": (_LOOP, "training/test_loop.py"),
    "training.validate_teacher": (_LOOP, "training/test_validating.py"),
    "training.checkpoint_every": (_LOOP, "training/test_loop.py"),
    "training.save_minutes": (_LOOP, "training/test_saving.py"),
    "training.loggers": (_LOOP, "training/test_loggers.py"),
    "training.tensorboard": (_LOOP, "training/test_loggers.py"),
    "evaluation.mode": ("of validations", "evaluation/test_image_set.py"),
    "evaluation.window": ("of validations", "evaluation/test_image_set.py"),
    "evaluation.stride": ("of validations", "inference/test_logits.py"),
    "evaluation.batch_size": ("of validations", "evaluation/test_image_set.py"),
}
FROM_DATA = {key for key in VALUES if key.startswith("data.")} | {
    "data.context", "training.batch_size", "training.unlabelled_ratio"}  # fmt: skip
REFUSED = {"training.precision": ["fp16"]}  # on a CPU; tests/config holds that


def values_of(key: str) -> list[Any]:
    if key in VALUES:
        return VALUES[key]
    field = fields()[key]
    if field.annotation is bool:
        return [not field.default]
    assert get_origin(field.annotation) is Literal, f"{key}: give values in VALUES, or a reason in ELSEWHERE"
    now = "16" if key == "network.output_stride" else str(field.default)
    return [value for value in get_args(field.annotation) if str(value) != now and value not in REFUSED.get(key, [])]


def cases() -> Iterator[tuple[str, Any]]:
    for key in fields():
        if key not in ELSEWHERE:
            yield from ((key, value) for value in values_of(key))


@pytest.fixture(scope="module", autouse=True)
def _forgotten_at_the_end() -> Iterator[None]:
    yield
    two_steps.cache_clear()


def batches(seed: int) -> tuple[Batch, Batch]:
    """Four classes of different colours: ClassMix takes two of them by the paper's rule, three by the other."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (6, 4, 4), generator=g).repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = (torch.rand(4, 3, generator=g)[labels].permute(0, 3, 1, 2) + torch.rand(6, 3, 32, 32, generator=g)) / 2
    labels[:, :3] = 255
    return Batch(images[:3], labels[:3]), Batch(images[3:], torch.full_like(labels[3:], 255))


def with_stored_labels(given: tuple[Batch, Batch]) -> tuple[Batch, Batch]:
    """As a round after the first brings them."""
    labelled, unlabelled = given
    g = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 4, unlabelled.labels.shape, generator=g)
    return labelled, unlabelled._replace(labels=labels, confidence=torch.rand(labels.shape, generator=g))


@cache
def two_steps(words: tuple[str, ...]) -> list[Tensor]:
    """Losses and all that is kept after a step of the warm-up and one behind it."""
    config = Config.parse({}, [*BASE, *words])
    torch.manual_seed(config.training.seed)
    picture = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
    images = Images([picture] * 4, DatasetInfo("four", tuple("abcd"), ((0, 0, 0),) * 4))
    cpu = torch.device("cpu")
    method = build_method(config, RunData(images, images, [0, 1, 2, 3], []), cpu, pretrained=True).train()  # type: ignore[arg-type]
    stepper = Stepper(method, Optimisers(method), config.training, cpu)
    steps, seen = rounds.of_run(method, config.training.iterations), []
    stores = method.needs.stored_labels
    for iteration in (0, 3):
        now = steps[rounds.number_at(steps, iteration)]
        count_over(method, now.stop - now.start)
        parts = [batches(2 * iteration + part) for part in range(config.training.accumulation)]
        parts = [with_stored_labels(part) if stores and iteration else part for part in parts]
        given = iter([(labelled, as_needed(unlabelled, method.needs)) for labelled, unlabelled in parts])
        losses = stepper(lambda given=given: next(given), iteration, now)  # type: ignore[misc]
        seen += [losses[name] for name in sorted(losses)]
    return [value.double() for value in [*seen, *method.state_dict().values()]]


def differ(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) != len(other) or any(
        a.shape != b.shape or not torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for i in range(12):
        write_picture(root, f"photo{i:02d}", i, mask=i < 9)
    (root / "list.txt").write_text("photo01\nphoto02\n")
    return root


def first_batches(photos: Path, words: list[str]) -> list[Tensor]:
    config = Config.parse({}, [*BASE, f"data.root={photos}", *words])
    data = open_run_data(config.data)
    loaders = training_batches(config, data, 0, 2, method_class(config.method.name).needs)
    return [v.double() for loader in loaders if loader is not None for batch in loader for v in batch.values()]


def base_of(key: str) -> tuple[str, ...]:
    section = key.split(".")[1] if key.startswith("method.") else ""
    method = [f"method.name={section}"] if section in method_names() else []
    return (*method, *WITH.get(key, []))


@pytest.mark.parametrize(("key", "value"), list(cases()))
def test_it_acts(key: str, value: Any, photos: Path) -> None:
    if key in FROM_DATA:
        value = photos / "list.txt" if value == "LIST" else value
        words = [*base_of(key), f"{key}={value}"]
        assert differ(first_batches(photos, [*base_of(key)]), first_batches(photos, words))
    else:
        assert differ(two_steps(base_of(key)), two_steps((*base_of(key), f"{key}={value}")))


CLASSMIX = {
    "classmix": ("method.classmix.pseudo.confidence_threshold=0",),
    "fixmatch": ("method.fixmatch.pseudo.mix=classmix", "method.fixmatch.pseudo.mix_probability=1", ALL_SURE),
    "memory_bank": (),
}


@pytest.mark.parametrize("word", ["classmix_rule=reference", "classmix_exclude=0", "classmix_after_warmup=true"])
@pytest.mark.parametrize("name", CLASSMIX)
def test_unlabelled_crops_are_mixed_as_the_options_of_classmix_say(name: str, word: str) -> None:
    base = (f"method.name={name}", *CLASSMIX[name], "method.augment.weak=none", "method.pseudo.warmup=ramp")
    assert differ(two_steps(base), two_steps((*base, f"method.augment.{word}")))


def switched_off() -> Iterator[tuple[str, Any, str]]:
    """Keys with a value that acts, and the word beside which a run says that they do nothing."""
    for key in fields():
        for (section, name), (switch, read) in switches().items():
            if not f"{key}.".startswith(f"{section}.{name}.") or key in ELSEWHERE:
                continue
            switch = f"{section}.{switch}"
            tried = [False, *values_of(switch)] if fields()[switch].annotation is bool else values_of(switch)
            others = [value for value in [fields()[switch].default, *tried] if value not in read]
            yield key, values_of(key)[0], f"{switch}={others[0]}"


def switches() -> dict[tuple[str, str], tuple[str, tuple[Any, ...]]]:
    """``READ_WITH`` of every section, by the section's key and the field."""
    sections = {key.rpartition(".")[0] for key in fields()}
    sections |= {section.rpartition(".")[0] for section in sections}
    found = {}
    for section in sorted(sections - {""}):
        for name, condition in getattr(value_of(Config.parse({}, []), section), "READ_WITH", {}).items():
            found[section, name] = condition
    return found


def test_every_switch_is_a_key_with_these_values() -> None:
    for (section, name), (switch, values) in switches().items():
        assert any(f"{key}.".startswith(f"{section}.{name}.") for key in fields())
        key = f"{section}.{switch}"
        known = {fields()[key].default, value_of(Config.parse({}, BASE), key), *values_of(key)}
        assert known > set(values)


@pytest.mark.parametrize(("key", "value", "off"), list(switched_off()))
def test_it_does_nothing_where_a_run_says_so(key: str, value: Any, off: str) -> None:
    method = [word for word in base_of(key) if word.startswith("method.name=")]
    assert switched_off_by(Config.parse({}, [*method, off]), key) is not None
    assert not differ(two_steps((*method, off)), two_steps((*method, off, f"{key}={value}")))


def test_nothing_differs_by_itself(photos: Path) -> None:
    assert not differ(two_steps(()), two_steps.__wrapped__(()))
    assert not differ(first_batches(photos, []), first_batches(photos, []))


@pytest.mark.parametrize("key", ELSEWHERE)
def test_what_a_step_does_not_show_is_held_by_another_test(key: str) -> None:
    _, test = ELSEWHERE[key]
    text = (Path(__file__).parent / test).read_text()
    assert key in fields() and key.rpartition(".")[2] in text
