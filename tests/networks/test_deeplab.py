"""Every architecture on every backbone: shapes, strides, gradients, wrong names."""

import pytest
import torch
import torch.nn.functional as F

from semiseg.errors import UsageError
from semiseg.networks import Output, build_network, upsample
from semiseg.networks.build import ARCHITECTURES, BACKBONES
from semiseg.networks.decoders.deeplabv2 import DilatedClassifier
from semiseg.networks.decoders.deeplabv3plus import ASPP, DeepLabV3Plus

WIDTHS = {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048, "efficientnet_lite0": 320}


def build(architecture="deeplabv3plus", backbone="efficientnet_lite0", classes=5, stride=16, **options):
    return build_network(architecture, backbone, classes, stride, "none", **{"decoder_channels": 24, **options})


def images(batch=1, height=64, width=64):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_every_backbone_has_a_width_here():
    optional = {name for name in BACKBONES if ":" in name}  # their libraries may be missing: test_dinov2.py
    assert set(WIDTHS) == set(BACKBONES) - optional - {"small"} and optional == {
        f"dinov2:{size}" for size in ("small", "base", "large")
    }


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("backbone", WIDTHS)
@pytest.mark.parametrize(
    ("architecture", "kind"), [*((name, "batch") for name in ARCHITECTURES), ("deeplabv3plus", "group")]
)
def test_one_training_image(architecture, kind, backbone, stride):
    network = build(architecture, backbone, stride=stride, decoder_norm=kind)
    network = network.to(memory_format=torch.channels_last).train()
    logits, features = network(images())  # a batch of one must train

    dim = WIDTHS[backbone] if architecture == "deeplabv2" else 24
    feature_stride = {"deeplabv2": stride, "deeplabv3plus": 4, "dpt": 2}[architecture]
    assert (network.feature_dim, network.feature_stride, network.num_classes) == (dim, feature_stride, 5)
    assert features.shape == (1, dim, 64 // feature_stride, 64 // feature_stride)
    assert logits.shape == (1, 5, 64 // feature_stride, 64 // feature_stride)
    assert features.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(logits, network.classifier(features))

    logits.square().mean().backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []
    groups = network.backbone_parameters() + network.classifier_parameters()
    assert sorted(map(id, groups)) == sorted(map(id, network.parameters()))


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_lite0"])
def test_a_pass_is_encode_and_decode_of_the_maps_that_the_decoder_takes(backbone):
    for architecture, taken in (("deeplabv2", [-1]), ("deeplabv3plus", [0, -1])):
        network = build(architecture, backbone).eval()
        x = images(2, 50, 71)
        maps = network.backbone((x - network.mean) / network.std)
        found = network.encode(x)
        assert len(found) == len(taken) and all(torch.equal(found[i], maps[k]) for i, k in enumerate(taken))
        assert all(map(torch.equal, network(x), network.decode(found)))
        changed = network.decode([found[0] * 0, *found[1:]])
        assert not torch.equal(changed.features, network(x).features)


def test_a_part_of_an_output_is_that_of_its_images():
    output = Output(torch.rand(5, 3, 4, 4), torch.rand(5, 7, 4, 4))
    part = output.part(slice(1, 3))
    assert torch.equal(part.logits, output.logits[1:3]) and torch.equal(part.features, output.features[1:3])
    assert isinstance(part, Output)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_sizes_that_no_stride_divides_round_up(architecture):
    network = build(architecture).eval()
    output = network(images(2, 50, 71))
    # ceil of 50 and 71 over 16, 4, and twice that over 4
    expected = {"deeplabv2": (4, 5), "deeplabv3plus": (13, 18), "dpt": (26, 36)}[architecture]
    assert output.logits.shape[-2:] == output.features.shape[-2:] == expected
    assert upsample(output.logits, (50, 71)).shape == (2, 5, 50, 71)


def test_images_are_normalised_inside_and_the_checkpoint_knows_how():
    network = build("deeplabv2", "resnet18").eval()
    torch.testing.assert_close(network.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(network.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))
    assert {"mean", "std"} <= set(network.state_dict())
    *_, last = network.backbone((images() - network.mean) / network.std)
    torch.testing.assert_close(network(images()).features, last)
    lite = build()
    assert lite.mean.flatten().tolist() == lite.std.flatten().tolist() == [0.5, 0.5, 0.5]


def test_deeplabv2_sums_four_dilated_convolutions():
    classifier = DilatedClassifier(6, 3)
    features = torch.randn(1, 6, 40, 40)
    convolutions = [module for module in classifier.modules() if isinstance(module, torch.nn.Conv2d)]
    assert [c.dilation for c in convolutions] == [(6, 6), (12, 12), (18, 18), (24, 24)]
    for convolution in convolutions:
        torch.nn.init.normal_(convolution.bias)
    centre = sum(c.weight[:, :, 1, 1] @ features[0, :, 0, 0] + c.bias for c in convolutions)
    for c, d in zip(convolutions, (6, 12, 18, 24), strict=True):  # taps inside the map, seen from its corner
        centre = centre + c.weight[:, :, 1, 2] @ features[0, :, 0, d]
        centre = centre + c.weight[:, :, 2, 1] @ features[0, :, d, 0]
        centre = centre + c.weight[:, :, 2, 2] @ features[0, :, d, d]
    torch.testing.assert_close(classifier(features)[0, :, 0, 0], centre, rtol=1e-4, atol=1e-5)


def test_deeplabv2_starts_near_zero_and_the_reference_has_two_branches():
    network = build("deeplabv2", classes=21)
    weights = torch.cat([p.flatten() for name, p in network.classifier.named_parameters() if "weight" in name])
    assert weights.numel() == 4 * 21 * 320 * 9
    assert weights.std().item() == pytest.approx(0.01, rel=0.02)
    assert not any(p.any() for name, p in network.classifier.named_parameters() if "bias" in name)
    reference = build("deeplabv2", classes=21, aspp="reference")
    assert sum(p.numel() for p in reference.classifier.parameters()) == 2 * (21 * 320 * 9 + 21)


@pytest.mark.parametrize(("stride", "rates"), [(16, {6, 12, 18}), (8, {12, 24, 36})])
def test_deeplabv3plus_doubles_its_rates_at_stride_8(stride, rates):
    decoder = DeepLabV3Plus((24, 320), (4, stride), 16)
    dilations = {m.dilation[0] for m in decoder.aspp.modules() if isinstance(m, torch.nn.Conv2d)}
    assert dilations == rates | {1}


def test_aspp_equals_joining_five_concatenated_branches():
    aspp = ASPP(7, 6, (2, 3, 4), separable=False).eval()
    x = torch.randn(2, 7, 9, 8)
    pooled = aspp.pooled(x).expand(-1, -1, 9, 8)
    five = torch.cat([*(branch(x) for branch in aspp.branches), pooled], dim=1)
    weight = torch.cat([aspp.join.weight, aspp.join_pooled.weight], dim=1)
    torch.testing.assert_close(aspp(x), aspp.norm(F.conv2d(five, weight)))
    torch.testing.assert_close(aspp.pooled[0](x)[..., 0, 0], x.mean((2, 3)))


def test_separable_convolutions_are_the_default_and_cheaper():
    counts = [
        sum(p.numel() for p in build(decoder_channels=64, **kw).decoder.parameters())
        for kw in ({}, {"separable": False})
    ]
    # Three 3x3 branches on 320 channels and two 3x3 of the decoder, on 64 + 48 and 64 channels, to 64 each.
    plain = 9 * 64 * (3 * 320 + 112 + 64)
    separable = (9 + 64) * (3 * 320 + 112 + 64)
    assert counts[1] - counts[0] == plain - separable


def test_upsampling_uses_half_pixel_centres():
    logits = torch.tensor([0.0, 4.0]).view(1, 1, 1, 2)
    assert upsample(logits, (1, 4)).flatten().tolist() == [0.0, 1.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"architecture": "deeplabv3+"}, r"architecture=deeplabv3\+ .*deeplabv2, .* mean deeplabv3plus\?"),
        ({"backbone": "resnet-50"}, r"network\.backbone=resnet-50 .*efficientnet_lite0.*mean resnet50\?"),
        ({"stride": 12}, r"network\.output_stride=12 .*8, 16, 32"),
        ({"batch_norm": "freeze"}, r"network\.batch_norm=freeze .*mean frozen\?"),
        ({"decoder_norm": "layer"}, r"network\.decoder_norm=layer .*batch, group"),
        ({"aspp": "code"}, r"network\.aspp=code .*paper, reference"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(wrong, said):
    with pytest.raises(UsageError, match=said):
        build(**wrong)
