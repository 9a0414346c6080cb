"""ResNets against torchvision's published names, shapes and counts, and dilation against striding."""

import pytest
import torch
from resnet_files import shapes

from semiseg.networks.backbones.resnet import LAYERS, ResNet

# torchvision's counts without fc: parameters, and state-dict entries with the counters of BatchNorm.
PUBLISHED = {
    "resnet18": (11_176_512, 120),
    "resnet34": (21_284_672, 216),
    "resnet50": (23_508_032, 318),
    "resnet101": (42_500_160, 624),
}


@pytest.mark.parametrize("name", LAYERS)
def test_size_is_torchvisions(name):
    network = ResNet(name)
    assert (sum(p.numel() for p in network.parameters()), len(network.state_dict())) == PUBLISHED[name]


def test_names_and_shapes_of_resnet50_are_torchvisions():
    expected = {name: shape for name, shape in shapes("resnet50").items() if not name.startswith("fc.")}
    assert {name: tuple(tensor.shape) for name, tensor in ResNet("resnet50").state_dict().items()} == expected


def test_names_of_resnet18_hold_a_shortcut_only_where_the_width_changes():
    names = set(ResNet("resnet18").state_dict())
    assert {name.split(".downsample")[0] for name in names if "downsample" in name} == {
        "layer2.0",
        "layer3.0",
        "layer4.0",
    }
    assert {"layer1.1.conv2.weight", "layer4.0.downsample.0.weight", "layer4.1.bn2.running_var"} <= names


def warmed(network):
    """Double precision, evaluation mode, BatchNorm with statistics other than 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5, generator=generator)
    return network.double().eval()


@pytest.mark.parametrize(
    ("name", "stride", "variant"),
    [
        ("resnet18", 16, "torchvision"),
        ("resnet18", 8, "torchvision"),
        ("resnet50", 8, "torchvision"),
        ("resnet50", 8, "caffe"),
    ],
)
def test_dilated_features_contain_the_strided_ones(name, stride, variant):
    strided = warmed(ResNet(name, 32, variant))
    # With 57 and 89 pixels both ways of pooling round alike.
    x = torch.rand(1, 3, 57, 89, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps = strided(x)
    sizes = [(15, 23), (8, 12), (4, 6), (2, 3)]
    assert [tuple(found.shape[-2:]) for found in maps] == sizes
    assert tuple(found.shape[1] for found in maps) == strided.channels
    assert strided.channels == tuple((4 if name == "resnet50" else 1) * width for width in (64, 128, 256, 512))
    assert strided.strides == (4, 8, 16, 32)
    dilated = ResNet(name, stride, variant).double().eval()
    dilated.load_state_dict(strided.state_dict())
    *_, dense = found = dilated(x)
    assert dilated.strides == tuple(min(usual, stride) for usual in strided.strides)
    assert [tuple(f.shape[-2:]) for f in found] == [(-(-57 // s), -(-89 // s)) for s in dilated.strides]
    step = 32 // stride
    torch.testing.assert_close(dense[:, :, ::step, ::step], maps[-1])


@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 8), ("resnet50", 16)])
def test_stem_and_recomputed_blocks(name, blocks):
    network = ResNet(name)
    network.bn1.requires_grad_(False)
    stem = [network.conv1.weight, network.bn1.weight, network.bn1.bias]
    assert [id(p) for p in network.stem_parameters()] == [id(p) for p in stem]
    assert len(network.recomputed_modules()) == blocks


def geometry(network):
    return {
        name: (module.stride[0], module.dilation[0], module.padding[0])
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }


def test_the_first_block_of_a_dilated_stage_keeps_the_previous_dilation():
    found = geometry(ResNet("resnet50", 8))
    assert found["layer2.0.conv2"] == (2, 1, 1)
    assert (found["layer3.0.conv2"], found["layer3.1.conv2"]) == ((1, 1, 1), (1, 2, 2))
    assert (found["layer4.0.conv2"], found["layer4.1.conv2"]) == ((1, 2, 2), (1, 4, 4))
    assert found["layer4.0.downsample.0"] == (1, 1, 0)


def test_caffes_variant_has_its_strides_in_the_first_1x1_and_rounds_up():
    found = geometry(ResNet("resnet50", 8, "caffe"))
    assert (found["layer2.0.conv1"][0], found["layer2.0.conv2"][0]) == (2, 1)
    assert (found["layer3.0.conv2"], found["layer4.0.conv2"]) == ((1, 2, 2), (1, 4, 4))
    x = torch.rand(1, 3, 65, 65)  # 65 → 33 by conv1, → 17 by a pooling that rounds either way
    assert ResNet("resnet18").eval()(x)[0].shape[-1] == 17
    x = torch.rand(1, 3, 64, 64)  # 64 → 32 → 16 rounding down, 17 rounding up
    assert ResNet("resnet18").eval()(x)[0].shape[-1] == 16
    assert ResNet("resnet18", 32, "caffe").eval()(x)[0].shape[-1] == 17


def test_a_network_that_turns_caffe_and_back_is_the_one_it_was():
    network = ResNet("resnet50", 8)
    before, plain = geometry(network), (network.mean, network.std, network.maxpool.ceil_mode)
    network.follow("caffe")
    assert geometry(network) == geometry(ResNet("resnet50", 8, "caffe")) != before
    assert network.maxpool.ceil_mode and (network.mean, network.std, True) != plain
    network.follow("torchvision")
    assert (geometry(network), (network.mean, network.std, network.maxpool.ceil_mode)) == (before, plain)


def test_caffes_variant_reads_blue_first():
    rgb, bgr = ResNet("resnet18").eval(), ResNet("resnet18", variant="caffe").eval()
    bgr.load_state_dict(rgb.state_dict())
    x = torch.rand(1, 3, 57, 57)
    assert torch.equal(bgr(x)[-1], rgb(x[:, [2, 1, 0]])[-1])
    assert not torch.equal(bgr(x)[-1], rgb(x)[-1])
