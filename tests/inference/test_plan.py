import subprocess
import sys

import numpy as np
import pytest
import torch
from fake_networks import Colours, FakeOutput, Strided
from torch import Tensor, nn

from semiseg.data.resizing import resize_image
from semiseg.errors import UsageError
from semiseg.inference.plan import InferencePlan, segment


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


class Sizes(nn.Module):
    """The colours as logits; remembers the sizes and the pictures it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        return [tuple(image.shape[-2:]) for image in self.seen]

    def forward(self, images: Tensor) -> FakeOutput:
        self.seen.append(images.clone())
        return FakeOutput(images * 5, images)


def test_the_default_chooses_by_the_logits_and_gives_their_softmax() -> None:
    image, network = noise(150, 9), Strided().eval()
    mask, confidence = segment(network, image, InferencePlan())
    with torch.no_grad():
        raw = network(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).logits
        logits = torch.nn.functional.interpolate(raw, size=(150, 9), mode="bilinear", align_corners=False)
    assert np.array_equal(mask, logits.argmax(1)[0].numpy()) and mask.dtype == np.uint8
    assert confidence is not None and confidence.dtype == np.float32
    np.testing.assert_allclose(confidence, torch.softmax(logits, 1).amax(1)[0].numpy(), atol=1e-6)
    assert segment(network, image, InferencePlan(), confidence=False)[1] is None


@pytest.mark.parametrize(
    "plan", [InferencePlan(tile=16), InferencePlan(tile=5, overlap=0.6), InferencePlan(tile=7, flip=True)]
)
def test_tiles_of_a_network_without_context_are_the_whole(plan: InferencePlan) -> None:
    image, network = noise(33, 47), Sizes()
    whole, tiled = segment(network, image, InferencePlan()), segment(network, image, plan)
    assert np.array_equal(whole[0], tiled[0])
    np.testing.assert_allclose(whole[1], tiled[1], atol=1e-5)
    assert tiled[1] is not None and tiled[1].max() <= 1


def test_a_tile_as_large_as_the_image_is_the_whole() -> None:
    image, network = noise(20, 31), Strided()
    whole, tiled = segment(network, image, InferencePlan()), segment(network, image, InferencePlan(tile=40))
    assert np.array_equal(whole[0], tiled[0])
    np.testing.assert_allclose(whole[1], tiled[1], atol=1e-6)


def test_tiles_never_exceed_their_size_and_keep_the_scale() -> None:
    image, network = noise(64, 100), Sizes()
    segment(network, image, InferencePlan(tile=16, scale=(0.5, 0.25)))
    # 16 pixels seen are 32 of the image's down and 64 across.
    assert set(network.sizes) == {(16, 16)} and len(network.sizes) == 3 * 2
    network.seen.clear()
    segment(network, image, InferencePlan(tile=16, scales=(0.5, 1, 1.25)))
    assert set(network.sizes) == {(8, 8), (16, 16), (20, 20)}
    network.seen.clear()
    segment(network, image, InferencePlan(tile=200, scale=(0.5, 0.5), resize=(1, 1)))
    assert network.sizes == [(32, 50)]


def test_tiles_at_the_scale_of_training_see_what_the_resized_image_shows() -> None:
    image, network = noise(40, 60), Sizes()
    segment(network, image, InferencePlan(tile=64, scale=(0.5, 0.5)))
    segment(network, image, InferencePlan(resize=(20, 30)))
    assert torch.equal(*network.seen)


def test_flips_and_scales_are_the_mean_of_the_softmax() -> None:
    image, network = noise(18, 22), Strided().eval()
    mask, confidence = segment(network, image, InferencePlan(flip=True, scales=(0.5, 1.5)))
    total = torch.zeros(4, 18, 22)
    with torch.no_grad():
        for size in ((9, 11), (27, 33)):
            for flip in (False, True):
                seen = resize_image(image, size)[:, :: -1 if flip else 1].copy()
                logits = network(torch.from_numpy(seen).permute(2, 0, 1)[None].float() / 255).logits
                logits = torch.nn.functional.interpolate(logits, size=(18, 22), mode="bilinear", align_corners=False)
                total += torch.softmax(logits.flip(-1) if flip else logits, 1)[0] / 4
    np.testing.assert_allclose(confidence, total.amax(0), atol=1e-5)
    assert np.array_equal(mask, total.argmax(0))
    plain = segment(network, image, InferencePlan())
    assert not np.array_equal(plain[0], mask), "they must have an effect to be tested"


def test_scales_are_relative_to_the_size_of_training() -> None:
    network = Sizes()
    segment(network, noise(30, 30), InferencePlan(resize=(10, 20), scales=(0.5, 2)))
    assert network.sizes == [(5, 10), (20, 40)]


def test_a_small_side_keeps_the_proportions_of_each_image() -> None:
    network = Sizes()
    for image in (noise(30, 60), noise(60, 30)):
        assert segment(network, image, InferencePlan(resize=10))[0].shape == image.shape[:2]
    assert network.sizes == [(10, 20), (20, 10)]


def test_sliding_windows_flip_too() -> None:
    image, network = noise(20, 24), Sizes()
    mask, _ = segment(network, image, InferencePlan("sliding", (8, 8), flip=True))
    assert np.array_equal(mask, segment(network, image, InferencePlan())[0]) and (8, 8) in network.sizes


def test_the_networks_modes_are_kept() -> None:
    network = Colours().train()
    segment(network, noise(9, 9), InferencePlan(tile=4))
    assert network.training


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"tile": 0}, "tile"),
        ({"overlap": 1.0}, "overlap"),
        ({"overlap": -0.1}, "overlap"),
        ({"scales": ()}, "scales"),
        ({"scales": (1.0, 0.0)}, "scales"),
        ({"scales": (float("nan"),)}, "scales"),
        ({"scale": (0.0, 1.0)}, "scale"),
    ],
)
def test_values_that_make_no_sense(values: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        InferencePlan(**values)  # type: ignore[arg-type]


MEASURE = """
import resource, sys
import numpy as np, torch
from torch import nn
from semiseg.inference.plan import InferencePlan, segment
torch.set_num_threads(1)

class Output:
    def __init__(self, logits): self.logits = logits

class Cheap(nn.Module):
    def forward(self, images):
        small = nn.functional.avg_pool2d(images[:, :1], 8)
        return Output(torch.cat([small * c for c in range(19)], dim=1))

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
image = np.zeros((int(sys.argv[1]), int(sys.argv[2]), 3), np.uint8)
image[:] = np.linspace(0, 255, image.shape[1]).astype(np.uint8)[None, :, None]
segment(Cheap(), image[:600, :600], InferencePlan(tile=512))
before = peak()
mask, confidence = segment(Cheap(), image, InferencePlan(tile=512), confidence=False)
assert mask.shape == image.shape[:2] and mask.max() == 18
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is measured in Linux's units")
def test_a_large_image_takes_memory_for_its_width_only() -> None:
    """4000x3000 pixels of 19 classes: 0.87 GB of probabilities as a whole; a quarter of a row of tiles is kept."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, "3000", "4000"],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    megabytes = float(done.stdout)
    assert megabytes < 120, megabytes  # 39 for the overlaps, 11 for the mask, the rest is freed between tiles
