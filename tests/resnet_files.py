"""ResNet state dictionaries as they are published, and a ResNet written down a second time to run them."""

import torch
import torch.nn.functional as F

DEPTHS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
WIDTHS = (64, 128, 256, 512)


def shapes(name, deeplab_classes=None):
    """Names and shapes of a bottleneck ResNet's file, in order: torchvision's with counters and fc, or DeepLab's."""
    found = {"conv1.weight": (64, 3, 7, 7)}

    def norm(prefix, width):
        found.update({f"{prefix}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")})
        if deeplab_classes is None:
            found[f"{prefix}.num_batches_tracked"] = ()

    norm("bn1", 64)
    inputs = 64
    for layer, (depth, width) in enumerate(zip(DEPTHS[name], WIDTHS, strict=True), start=1):
        for index in range(depth):
            block = f"layer{layer}.{index}"
            sizes = [(width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)]
            for number, size in enumerate(sizes, start=1):
                found[f"{block}.conv{number}.weight"] = size
                norm(f"{block}.bn{number}", size[0])
            if index == 0:
                found[f"{block}.downsample.0.weight"] = (4 * width, inputs, 1, 1)
                norm(f"{block}.downsample.1", 4 * width)
            inputs = 4 * width
    if deeplab_classes is None:
        return found | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}
    for branch in range(4):
        found[f"layer5.conv2d_list.{branch}.weight"] = (deeplab_classes, 2048, 3, 3)
        found[f"layer5.conv2d_list.{branch}.bias"] = (deeplab_classes,)
    return found


def random_state(shapes, seed=0):
    """Random tensors of a size that neither dies nor explodes on the way through the network."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        if len(shape) == 4:
            fan_in = shape[1] * shape[2] * shape[3]
            state[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.randint(1000, shape, generator=generator)
        else:
            state[name] = torch.rand(shape, generator=generator) * 0.5 + (0.0 if name.endswith("bias") else 0.5)
    return state


def reference_features(state, images, name, *, caffe):
    """The last feature at output stride 8 in float64, by the two publications' own words.

    images: (B, 3, H, W) in [0, 1], RGB. Caffe's: BGR of 0 to 255 less the means, pooling with sizes rounded up, strides
    in the first 1x1, and all 3x3 of layers 3 and 4 dilated by 2 and 4. torchvision's: RGB standardised, strides in
    the 3x3, and the first 3x3 of a dilated layer still dilated like the layer before it.
    """
    state = {key: tensor.double() for key, tensor in state.items()}

    def norm(x, prefix):
        mean, var, weight, bias = (state[f"{prefix}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, weight, bias)

    def block(x, prefix, stride, dilation):
        first, second = (stride, 1) if caffe else (1, stride)
        out = norm(F.conv2d(x, state[f"{prefix}.conv1.weight"], stride=first), f"{prefix}.bn1").relu()
        weight = state[f"{prefix}.conv2.weight"]
        out = F.conv2d(out, weight, stride=second, padding=dilation, dilation=dilation)
        out = F.conv2d(norm(out, f"{prefix}.bn2").relu(), state[f"{prefix}.conv3.weight"])
        out = norm(out, f"{prefix}.bn3")
        if f"{prefix}.downsample.0.weight" in state:
            shortcut = F.conv2d(x, state[f"{prefix}.downsample.0.weight"], stride=stride)
            x = norm(shortcut, f"{prefix}.downsample.1")
        return (out + x).relu()

    if caffe:
        means = torch.tensor([104.00698793, 116.66876762, 122.67891434], dtype=torch.float64)
        x = images.double()[:, [2, 1, 0]] * 255 - means.view(1, 3, 1, 1)
    else:
        mean, std = (torch.tensor(v, dtype=torch.float64) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        x = (images.double() - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    x = norm(F.conv2d(x, state["conv1.weight"], stride=2, padding=3), "bn1").relu()
    x = F.max_pool2d(x, 3, 2, padding=1, ceil_mode=caffe)
    for layer, (depth, stride, first, rest) in enumerate(
        zip(DEPTHS[name], (1, 2, 1, 1), (1, 1, 2, 4) if caffe else (1, 1, 1, 2), (1, 1, 2, 4), strict=True), start=1
    ):
        for index in range(depth):
            x = block(x, f"layer{layer}.{index}", stride if index == 0 else 1, first if index == 0 else rest)
    return x
