"""``method.bank=true``: the bank beside a method, by hand in float64, and what it leaves as it was."""

from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from conftest import tiny
from fake_networks import pixelwise
from torch import Tensor
from torch.nn import functional as F

from semiseg import Config
from semiseg.config.keys import value_of
from semiseg.contrastive import downsample_labels, rows
from semiseg.cost.step import cost
from semiseg.errors import UsageError
from semiseg.methods import Batch, Method, Step, method_class, method_names
from semiseg.methods.base.bank import Banked, method_of, with_bank
from semiseg.methods.base.views import NOTHING
from semiseg.methods.memory_bank import ConfidencePseudo, MemoryBankMethod

CLASSES, SIZE = 4, (16, 24)
TAKERS = [name for name in method_names() if method_class(name).takes_bank]
BANK = {"method__bank": "true", "method__bank__bank_size": 6, "method__bank__dim": 5, "method__warmup": 0.25}
ALL = {"method__augment__weak": "none", "method__bank__quality_filter": "false"}


def build(name: str, **changes: object) -> Method:
    torch.manual_seed(0)
    config = tiny(Path("."), Path("."), **{"method__name": name} | BANK | changes)
    method: Method = method_of(config)(config, pixelwise(CLASSES), 4).train()
    method.views.strong_set = NOTHING
    return method


def step(iteration: int, seed: int = 0) -> Step:
    g = torch.Generator().manual_seed(seed)
    images = torch.rand(5, 3, *SIZE, generator=g, dtype=torch.float32)
    labels = torch.randint(0, CLASSES, (2, SIZE[0] // 8, SIZE[1] // 8), generator=g)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    unlabelled = Batch(images[2:], torch.full((3, *SIZE), 255), inside=torch.ones(3, *SIZE, dtype=torch.bool))
    return Step(Batch(images[:2], labels), unlabelled, iteration, torch.Generator().manual_seed(3))


def taken(method: Method, now: Step) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The terms of a step, and what the module was given for the bank and for its loss."""
    seen: dict[str, Any] = {}
    contrast = method.contrast
    fill, loss = contrast.fill_bank, contrast.loss
    contrast.fill_bank = lambda *words: (seen.update(fill=words), fill(*words))[1]
    contrast.loss = lambda *words: (seen.update(loss=words), loss(*words))[1]
    terms = method.losses(now)
    del contrast.fill_bank, contrast.loss
    return terms, seen


def normalised(module: Any, v: Tensor) -> Tensor:
    """Linear, BatchNorm on the statistics of these rows, ReLU, Linear."""
    first, norm, _, second = oracles.head(module)
    hidden = F.linear(v, first.weight, first.bias)
    hidden = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + norm.eps).sqrt()
    affine = next(m for m in module.modules() if "running_mean" in dict(m.named_buffers(recurse=False)))
    weight, bias = getattr(affine, "weight", None), getattr(affine, "bias", None)
    hidden = hidden if weight is None else hidden * weight + bias
    out: Tensor = F.linear(hidden.relu(), second.weight, second.bias)
    return out


@pytest.mark.parametrize("name", ["fixmatch", "classmix"])
def test_fixmatch_with_a_bank_is_fixmatch_and_eqs_8_to_11_by_hand(name: str) -> None:
    threshold = {f"method__{name}__pseudo__confidence_threshold": 0.8}
    torch.set_default_dtype(torch.float64)
    try:
        plain = build(name, method__bank="false", **ALL, **threshold).double()
        method = build(name, **ALL, **threshold).double()
        with torch.no_grad():  # the teacher's head has statistics of its own
            for part in (*method.contrast.projection.parameters(), *method.contrast.teacher_projection.parameters()):
                part.mul_(1.5)
        alone = [plain.losses(double(step(i))) for i in (2, 3)][-1]
        method.losses(double(step(2)))
        before = method.contrast.bank.vectors.clone(), method.contrast.bank.labels.clone()
        terms, seen = taken(method, double(step(3)))
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(terms[key], value) for key, value in alone.items() if key != "loss")
    torch.testing.assert_close(terms["loss"], alone["loss"] + 0.1 * terms["bank"], rtol=1e-12, atol=0)

    features, labels, labelled = seen["loss"]
    assert labelled == 2 and len(features) == 5 and torch.equal(labels[:2], step(3).labelled.labels)
    flat, v = downsample_labels(labels, (2, 3)).flatten(), rows(F.avg_pool2d(features, 8)).detach()
    inside = flat != 255
    assert bool(inside[12:].any()) and (name == "classmix" or not bool(inside[12:].all())), "only pixels that count"
    p = normalised(method.contrast.prediction, normalised(method.contrast.projection, v[inside]))
    p_labels = flat[inside]
    z, z_labels = method.contrast.bank.vectors, method.contrast.bank.labels
    assert len(z) >= len(before[0]) > 0 and z.shape[1] == 5

    def scores(attention: Any, x: Tensor, classes: Tensor) -> Tensor:
        found = torch.zeros(len(x), dtype=torch.float64)
        for c in classes.unique().tolist():
            network = oracles.class_attention(attention, c)
            network.train(int((classes == c).sum()) > 1)
            found[classes == c] = network(x[classes == c])[:, 0].to(found)
        return found

    s_p, s_z = scores(method.contrast.attention_p, p, p_labels), scores(method.contrast.attention_z, z, z_labels)
    wanted = oracles.contrastive(p, p_labels, s_p, z, z_labels, s_z, CLASSES)
    assert terms["bank"].item() == pytest.approx(wanted.item(), rel=1e-6) and wanted > 0.1


def double(now: Step) -> Step:
    labelled, unlabelled = (part._replace(images=part.images.double()) for part in (now.labelled, now.x_u))
    return now._replace(labelled=labelled, unlabelled=unlabelled)


@pytest.mark.parametrize("name", TAKERS)
def test_the_bank_takes_what_the_teacher_sees_of_labelled_crops_or_the_student_where_there_is_none(name: str) -> None:
    method = build(name, **ALL)
    now = step(2)
    if method.needs.stored_labels:
        stored = torch.randint(0, CLASSES, (3, *SIZE), generator=torch.Generator().manual_seed(1))
        now = now._replace(unlabelled=now.x_u._replace(labels=stored, confidence=torch.rand(3, *SIZE)))
    with torch.no_grad():  # so that teacher and student differ
        for p in method.student.classifier.parameters():
            p.mul_(1.3)
        for p in method.student.decoder.parameters():
            p.add_(0.1)
    seen = taken(method, now)[1]
    output, y_target, _ = seen["fill"]
    assert len(output.features) == len(y_target) == 2
    images = now.labelled.images
    network = method.teacher if method.keeps_teacher else method.student
    if name != "ael":  # other classes were pasted there
        assert torch.equal(y_target, now.labelled.labels)
        torch.testing.assert_close(output.features, network(images).features, rtol=1e-5, atol=1e-6)
    assert method.contrast.bank.counts.sum() > 0


def test_it_rests_in_the_warmup_while_the_bank_fills() -> None:
    method = build("fixmatch", **ALL, method__warmup=0.75)
    terms = method.losses(step(1))
    assert terms["bank"] == 0 < terms["bank_share"] and method.warmup == 3
    later = build("fixmatch", **ALL, method__warmup=0.75, method__bank__bank_start=1)
    assert later.losses(step(1))["bank_share"] == 0 < later.losses(step(3))["bank"]


@pytest.mark.parametrize("name", TAKERS)
def test_without_a_weight_it_is_the_method_without_a_bank_bit_for_bit(name: str) -> None:
    results = []
    for words in ({"method__bank": "false"}, {"method__bank__weight": 0}):
        method = build(name, **words)
        drawn = torch.rand(3)  # the generator of all stands where it stood
        optimiser = torch.optim.SGD([p for g in method.groups() for p in g.parameters], lr=0.1)
        for iteration in (2, 3):
            now = step(iteration, iteration)
            losses = method.losses(now)
            losses["loss"].backward()
            optimiser.step()
            optimiser.zero_grad()
            method.after_step(now)
        results.append((drawn, losses, method.state_dict()))
    (drawn, plain, state), (same, beside, with_module) = results
    assert torch.equal(drawn, same) and beside["bank"] == 0
    assert all(torch.equal(beside[key], value) for key, value in plain.items())
    assert all(torch.equal(with_module[key], value) for key, value in state.items())


def test_there_is_one_implementation() -> None:
    assert issubclass(MemoryBankMethod, Banked) and issubclass(MemoryBankMethod, ConfidencePseudo)
    banked = with_bank(method_class("fixmatch"))
    assert issubclass(banked, Banked) and issubclass(banked, method_class("fixmatch"))
    assert not {"with_bank", "measures", "groups", "cost"} & set(vars(MemoryBankMethod))
    assert banked.terms == ("supervised", "pseudo", "bank") and "bank_within" in banked.measured


def test_words_and_files_say_it_alike(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("method: {name: fixmatch, bank: true}\n")
    (tmp_path / "two.yaml").write_text("method: {name: fixmatch, bank: {enabled: true, weight: 0.2}}\n")
    one = Config.load(tmp_path / "one.yaml", ["method.bank.weight=0.2"])
    two, words = Config.load(tmp_path / "two.yaml"), ["method.name=fixmatch", "method.bank.weight=0.2"]
    by_words = [Config.parse({}, [*words, "method.bank=true"]), Config.parse({}, ["method.bank=true", *words])]
    assert one == two == by_words[0] == by_words[1] and one.method.bank.enabled
    one.save(tmp_path / "config.yaml")
    assert Config.load(tmp_path / "config.yaml") == one
    assert not Config.load(tmp_path / "one.yaml", ["method.bank=false"]).method.bank.enabled
    assert Config.parse({}, ["method.profile=reference"]).method.bank.bank_weights == "ones"


@pytest.mark.parametrize("name", [name for name in method_names() if name not in TAKERS])
def test_who_cannot_use_it_refuses_in_one_line_and_a_baseline_passes_it_over(name: str) -> None:
    if name == "supervised":
        config = Config.parse({}, ["method.name=supervised", "method.bank=true"])
        assert method_of(config) is method_class("supervised")
        assert "method.bank.weight" in method_class("supervised").unread(config)
        return
    with pytest.raises(UsageError) as told:
        Config.parse({}, [f"method.name={name}", "method.bank=true"])
    message = str(told.value)
    assert f"method: {name} " in message and "leave bank=true out" in message and len(message.splitlines()) == 1
    assert ("a bank of its own" in message) is (name == "memory_bank")


def test_its_cost_is_counted_and_its_settings_are_read() -> None:
    def of(*words: str) -> Config:
        small = ["network.backbone=small", "network.pretrained=none", "data.crop=32", "method.bank.dim=16"]
        return Config.parse({}, ["method.name=fixmatch", *small, *words])

    plain, beside, weightless = (
        cost(of(*words), 3) for words in ([], ["method.bank=true"], ["method.bank=true", "method.bank.weight=0"])
    )
    assert {"heads", "attention", "distances"} <= beside.flops.keys() and weightless.flops == plain.flops
    assert beside.step_flops > plain.step_flops == weightless.step_flops
    assert beside.parameters.keys() - plain.parameters.keys() == {"heads and attention"}
    unread, read = (method_class("fixmatch").unread(of(*words)) for words in ([], ["method.bank=true"]))
    assert unread - read >= {"method.bank.weight", "training.lr_multipliers.heads"} and not (read & {"method.bank.dim"})
    no_teacher = Config.parse({}, ["method.name=unimatch", "method.bank=true"])
    assert "method.bank.teacher_features" in method_class("unimatch").unread(no_teacher)
    assert value_of(no_teacher, "method.bank.teacher_features")
