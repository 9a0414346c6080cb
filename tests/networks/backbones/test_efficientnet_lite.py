"""EfficientNet-Lite0 against the published table of sizes, and its padding."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semiseg.networks.backbones.efficientnet_lite import EfficientNetLite0, StridedConv2d


def test_size_is_the_published_one():
    network = EfficientNetLite0()
    # 4,652,008 is the published size; its head: 1x1 conv 320 → 1280, BatchNorm, Linear 1280 → 1000.
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(p.numel() for p in network.parameters()) == 4_652_008 - head == 2_958_848


def test_names_are_timms():
    names = set(EfficientNetLite0().state_dict())
    blocks = {".".join(name.split(".")[1:3]) for name in names if name.startswith("blocks")}
    depths = (1, 2, 2, 3, 3, 4, 1)
    assert blocks == {f"{stage}.{index}" for stage, depth in enumerate(depths) for index in range(depth)}
    parts = {name.removeprefix("blocks.0.0.").split(".")[0] for name in names if name.startswith("blocks.0.0.")}
    assert parts == {"conv_dw", "bn1", "conv_pw", "bn2"}
    parts = {name.removeprefix("blocks.3.2.").split(".")[0] for name in names if name.startswith("blocks.3.2.")}
    assert parts == {"conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"}
    assert {name.split(".")[0] for name in names} == {"conv_stem", "bn1", "blocks"}


def test_batch_norm_and_activation_are_those_of_the_weights():
    modules = list(EfficientNetLite0().modules())
    assert {m.eps for m in modules if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    assert not any(type(m) is nn.ReLU for m in modules)
    assert sum(isinstance(m, nn.ReLU6) for m in modules) == 17  # stem and sixteen blocks


@pytest.mark.parametrize("kernel", [3, 5])
def test_strided_convolution_pads_as_tensorflow_does_for_even_sizes(kernel):
    convolution = StridedConv2d(2, 4, kernel, 2, bias=False)
    x = torch.randn(1, 2, 12, 14)
    before, after = {3: (0, 1), 5: (1, 2)}[kernel]  # the odd row goes behind: TensorFlow's "SAME"
    expected = F.conv2d(F.pad(x, (before, after, before, after)), convolution.weight, stride=2)
    torch.testing.assert_close(convolution(x), expected)
    # An odd size keeps the alignment: the outputs whose windows lie inside are those of the larger image.
    odd = convolution(x[:, :, :11, :13])
    assert odd.shape[-2:] == (6, 7)
    torch.testing.assert_close(odd[:, :, :4, :5], expected[:, :, :4, :5])


def test_dilated_features_contain_the_strided_ones():
    strided = EfficientNetLite0(32).double().eval()
    generator = torch.Generator().manual_seed(0)
    for name, buffer in strided.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5, generator=generator)
    x = torch.rand(1, 3, 64, 96, generator=generator, dtype=torch.float64)
    maps = strided(x)
    shapes = [(1, 24, 16, 24), (1, 40, 8, 12), (1, 112, 4, 6), (1, 320, 2, 3)]
    assert [tuple(found.shape) for found in maps] == shapes
    assert (strided.channels, strided.strides) == ((24, 40, 112, 320), (4, 8, 16, 32))
    for stride in (8, 16):
        dilated = EfficientNetLite0(stride).double().eval()
        dilated.load_state_dict(strided.state_dict())
        *_, dense = found = dilated(x)
        assert dilated.strides == tuple(min(usual, stride) for usual in (4, 8, 16, 32))
        assert [f.shape[-2:] for f in found] == [(64 // s, 96 // s) for s in dilated.strides]
        assert dense.shape == (1, 320, 64 // stride, 96 // stride)
        step = 32 // stride
        torch.testing.assert_close(dense[:, :, step - 1 :: step, step - 1 :: step], maps[-1])


def test_stem_and_recomputed_blocks():
    network = EfficientNetLite0()
    stem = [network.conv_stem.weight, network.bn1.weight, network.bn1.bias]
    assert [id(p) for p in network.stem_parameters()] == [id(p) for p in stem]
    assert len(network.recomputed_modules()) == 16
