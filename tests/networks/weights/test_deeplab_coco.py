"""Files in DeepLab's naming: every bit in its place, and the network they were trained in around them."""

import logging

import pytest
import torch
from conftest import tiny
from resnet_files import random_state, reference_features, shapes

from semiseg import evaluate, train
from semiseg.errors import SemisegError, UsageError
from semiseg.networks import build_network
from semiseg.networks.backbones.resnet import ResNet
from semiseg.networks.weights import deeplab_coco, downloads
from semiseg.runs.checkpoint import load_model
from semiseg.training.loop import Run

SHORT = {"iterations": 2, "validate_every": 2, "checkpoint_every": 1}
BODY = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")


@pytest.fixture
def deeplab50(tmp_path):
    state = random_state(shapes("resnet50", deeplab_classes=3))
    torch.save(state, tmp_path / "deeplab.pth")
    return tmp_path / "deeplab.pth", state


def assert_body_is(network, state):
    loaded = network.backbone.state_dict()
    counters = {name for name in loaded if name.endswith("num_batches_tracked")}
    assert set(loaded) - counters == {name for name in state if name.startswith(BODY)}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items() if name.startswith(BODY))


def test_the_published_file_has_the_528_tensors_of_the_table():
    names = shapes("resnet101", deeplab_classes=21)
    assert len(names) == 528
    ours = deeplab_coco.renamed(dict.fromkeys(names))
    assert len(ours) == 528
    expected = {"conv1.weight": "backbone.conv1.weight", "layer3.22.bn2.bias": "backbone.layer3.22.bn2.bias"}
    expected["layer5.conv2d_list.3.bias"] = "classifier.branches.3.bias"
    assert dict(zip(names, ours, strict=True)).items() >= expected.items()
    with torch.device("meta"):
        network = build_network("deeplabv2", "resnet101", 21, 8, "none")
    state = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    rest = {name for name in state if not name.endswith("num_batches_tracked")} - {"mean", "std", "_extra_state"}
    assert rest == set(ours) and all(state[ours_] == shape for ours_, shape in zip(ours, names.values(), strict=True))


def test_body_and_classifier_load_bit_by_bit(deeplab50):
    path, state = deeplab50
    network = build_network("deeplabv2", "resnet50", 3, 8, path)
    assert_body_is(network, state)
    for index, branch in enumerate(network.classifier.branches):
        assert torch.equal(branch.weight, state[f"layer5.conv2d_list.{index}.weight"])
        assert torch.equal(branch.bias, state[f"layer5.conv2d_list.{index}.bias"])


@pytest.mark.parametrize("caffe", [True, False])
def test_features_are_those_of_the_network_the_weights_were_trained_in(tmp_path, caffe):
    state = random_state(shapes("resnet50", deeplab_classes=3 if caffe else None))
    torch.save(state, tmp_path / "weights.pth")
    network = build_network("deeplabv2", "resnet50", 3, 8, tmp_path / "weights.pth").double().eval()
    images = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    network.follow(network.backbone.variant)  # mean and std in double precision too
    expected = reference_features(state, images, "resnet50", caffe=caffe)
    assert expected.shape[-2:] == ((7, 9) if caffe else (6, 8))
    with torch.no_grad():
        features = network(images.double()).features
    torch.testing.assert_close(features, expected)


def test_a_classifier_of_other_classes_is_set_aside_and_said(deeplab50, caplog):
    path, state = deeplab50
    network = build_network("deeplabv2", "resnet50", 19, 8, path)
    assert_body_is(network, state)
    assert "8 of 8 tensors of its classifier (3 classes) are set aside; that of the network (19 classes)" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
    caplog.clear()
    build_network("deeplabv3plus", "resnet50", 3, 8, path, decoder_channels=8)
    assert "8 of 8 tensors" in caplog.text and "starts at random" in caplog.text


def test_two_branches_take_two(deeplab50, caplog):
    path, state = deeplab50
    network = build_network("deeplabv2", "resnet50", 3, 8, path, aspp="reference")
    assert "4 of 8 tensors" in caplog.text and "takes the others" in caplog.text
    assert [branch.dilation[0] for branch in network.classifier.branches] == [6, 12]
    assert torch.equal(network.classifier.branches[1].weight, state["layer5.conv2d_list.1.weight"])


def test_nothing_is_said_when_all_tensors_find_a_place(deeplab50, caplog):
    build_network("deeplabv2", "resnet50", 3, 8, deeplab50[0])
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer4.2.bn3.running_var"), r"1 missing \(layer4\.2\.bn3\.running_var\)"),
        (lambda state: state.update({"layer5.bias": torch.zeros(1)}), r"1 unexpected \(layer5\.bias\)"),
        (
            lambda state: state.update({"bn1.bias": torch.zeros(1)}),
            r"1 of wrong shape \(bn1\.bias \(1,\) for \(64,\)\)",
        ),
    ],
)
def test_a_file_that_differs_stops(deeplab50, change, message):
    path, state = deeplab50
    change(state)
    torch.save(state, path)
    with pytest.raises(SemisegError, match=message):
        build_network("deeplabv2", "resnet50", 3, 8, path)


def test_a_file_of_pytorch_0_3_loads(deeplab50):
    path, state = deeplab50
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert_body_is(build_network("deeplabv2", "resnet50", 3, 8, path), state)


def test_coco_is_the_published_address_for_resnet101_alone(tmp_path, monkeypatch, caplog):
    # One number a tensor keeps the file small: 528 numbers in place of 44 million.
    state = {name: torch.tensor(i / 7).expand(shape) for i, (name, shape) in enumerate(shapes("resnet101", 21).items())}
    torch.save(state, tmp_path / "coco.pth")
    asked = []
    monkeypatch.setattr(downloads, "fetch", lambda address: asked.append(address) or tmp_path / "coco.pth")
    network = build_network("deeplabv2", "resnet101", 19, 8, "coco")
    assert asked == ["http://vllab1.ucmerced.edu/~whung/adv-semi-seg/resnet101COCO-41f33a49.pth"]
    assert_body_is(network, state)
    assert network.backbone.variant == "caffe" and "(21 classes) are set aside" in caplog.text
    with pytest.raises(UsageError, match=r"coco is published for resnet101 alone, not for resnet50; .*=imagenet"):
        build_network("deeplabv2", "resnet50", 19, 8, "coco")
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "coco.pth")
    with pytest.raises(SemisegError, match=r"coco\.pth is not DeepLab's file"):
        build_network("deeplabv2", "resnet101", 19, 8, "coco")


def test_without_loading_coco_still_names_the_variant():
    with torch.device("meta"):
        network = build_network("deeplabv2", "resnet101", 19, 8, "coco", load=False)
        other = build_network("deeplabv2", "resnet101", 19, 8, "imagenet", load=False)
    assert (network.backbone.variant, other.backbone.variant) == ("caffe", "torchvision")


def test_a_state_dict_brings_its_variant_and_an_old_one_is_torchvisions(deeplab50):
    trained = build_network("deeplabv2", "resnet50", 3, 8, deeplab50[0]).eval()
    again = build_network("deeplabv2", "resnet50", 3, 8, "none").eval()
    images = torch.rand(1, 3, 32, 32)
    again.load_state_dict(trained.state_dict())
    assert torch.equal(again(images).logits, trained(images).logits)

    plain = build_network("deeplabv2", "resnet50", 3, 8, "none").eval()
    old = {name: tensor for name, tensor in plain.state_dict().items() if name != "_extra_state"}
    torch.nn.ModuleDict({"student": again}).load_state_dict({f"student.{name}": old[name] for name in old})
    assert torch.equal(again(images).logits, plain(images).logits)


def test_a_run_is_resumed_and_evaluated_without_the_file(folder, tmp_path, monkeypatch):
    state = {name: tensor for name, tensor in ResNet("resnet18").state_dict().items() if "num_batches" not in name}
    file = tmp_path / "deeplab.pth"
    torch.save(state | {"layer5.conv2d_list.0.bias": torch.zeros(9)}, file)

    def config(name):
        short = {f"training__{key}": steps for key, steps in SHORT.items()}
        changes = {"network__backbone": "resnet18", "network__pretrained": str(file), "method__name": "mean_teacher"}
        return tiny(folder, tmp_path / name, **changes | short)

    train(config("whole"), progress=False)
    run = Run(config("broken"))
    losses = run.method.losses

    def fails(step):
        if step.iteration == 1:
            raise RuntimeError("power cut")
        return losses(step)

    monkeypatch.setattr(run.method, "losses", fails)
    with pytest.raises(RuntimeError, match="power cut"):
        run.train(progress=False)
    file.unlink()
    train(config("broken"), resume=True, progress=False)
    for teacher in (False, True):
        whole, broken = (load_model(tmp_path / name, "last", teacher).network for name in ("whole", "broken"))
        assert whole.backbone.variant == broken.backbone.variant == "caffe"
        torch.testing.assert_close(broken.std.flatten(), torch.full((3,), 1 / 255))
        first, second = whole.state_dict(), broken.state_dict()
        assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert evaluate(tmp_path / "broken").miou >= 0
