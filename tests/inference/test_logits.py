import pytest
import torch
from fake_networks import Colours, FakeOutput, Strided
from torch import Tensor, nn

from semiseg.errors import UsageError
from semiseg.inference.logits import predict_classes, sliding_window_logits, whole_image_logits


def test_whole_image_logits_are_bilinear_at_the_asked_size() -> None:
    images = torch.rand(2, 3, 9, 13)
    network = Strided()
    with torch.no_grad():
        logits = whole_image_logits(network, images)
        raw = network(images).logits
        assert raw.shape == (2, 4, 5, 7) and logits.shape == (2, 4, 9, 13)
        expected = torch.nn.functional.interpolate(raw, size=(9, 13), mode="bilinear", align_corners=False)
        assert torch.equal(logits, expected)
        assert whole_image_logits(network, images, (20, 31)).shape == (2, 4, 20, 31)


@pytest.mark.parametrize("size", [(8, 8), (17, 29), (8, 30), (5, 7), (3, 40), (1, 1)])
@pytest.mark.parametrize("stride", [None, (8, 8), (3, 5), (1, 8)])
def test_sliding_equals_whole_image_for_a_pointwise_network(
    size: tuple[int, int], stride: tuple[int, int] | None
) -> None:
    network = Colours().eval()
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        logits = sliding_window_logits(network, images, (8, 8), stride)
        assert torch.allclose(logits, whole_image_logits(network, images), atol=1e-6)


def test_sliding_equals_whole_image_when_one_window_covers_it() -> None:
    images = torch.rand(1, 3, 11, 14)
    with torch.no_grad():
        network = Strided()
        assert torch.equal(sliding_window_logits(network, images, (11, 14)), whole_image_logits(network, images))


def test_overlapping_windows_are_averaged_and_the_last_is_shifted_back() -> None:
    class Counting(nn.Module):
        calls = 0

        def forward(self, images: Tensor) -> FakeOutput:
            assert images.shape[-2:] == (1, 4)
            self.calls += 1
            return FakeOutput(torch.full_like(images[:, :1], float(self.calls)), images)

    network = Counting()
    logits = sliding_window_logits(network, torch.zeros(1, 3, 1, 7), (1, 4), (1, 2))
    # Windows start at 0, 2 and (shifted back from 4) 3.
    assert logits[0, 0, 0].tolist() == pytest.approx([1, 1, 1.5, 2, 2.5, 2.5, 3])
    assert network.calls == 3


@pytest.mark.parametrize("stride", [(9, 4), (0, 4), (4, -1)])
def test_stride_that_leaves_gaps_is_refused(stride: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="gaps"):
        sliding_window_logits(Colours(), torch.zeros(1, 3, 20, 20), (8, 8), stride)


def test_mode_errors() -> None:
    with pytest.raises(UsageError, match="whole, sliding"):
        predict_classes(Colours(), torch.zeros(1, 3, 4, 4), mode="tiles")
    with pytest.raises(UsageError, match="needs a window"):
        predict_classes(Colours(), torch.zeros(1, 3, 4, 4), mode="sliding")


# ---- evaluating a network
