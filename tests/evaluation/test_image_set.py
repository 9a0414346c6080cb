import numpy as np
import pytest
import torch
from fake_networks import INFO, Colours, FakeOutput, Images, Strided, painted
from torch import Tensor

from semiseg.data.base import DatasetInfo
from semiseg.errors import SemisegError, UsageError
from semiseg.evaluation.confusion import confusion_matrix
from semiseg.evaluation.image_set import evaluate_network


def random_set(sizes: list[tuple[int, int]], seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    pairs: list[tuple[np.ndarray, np.ndarray | None]] = []
    for size in sizes:
        label = rng.integers(0, 3, size).astype(np.uint8)
        seen = np.where(rng.random(size) < 0.3, rng.integers(0, 3, size), label)
        label[rng.random(size) < 0.1] = 255
        pairs.append((painted(seen), label))
    return Images(pairs)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("workers", [1, 3, 20])
@pytest.mark.parametrize("mode", ["whole", "sliding"])
def test_evaluation_counts_every_labelled_image_once(batch_size: int, workers: int, mode: str) -> None:
    images = random_set([(7, 9), (7, 9), (7, 9), (5, 12), (7, 9), (1, 3)])
    expected = sum(confusion_matrix(im.argmax(2).astype(np.uint8), label, 3) for im, label in images.pairs)
    images.pairs.insert(2, (images.pairs[0][0], None))
    images.names.append("picture6")
    network, steps = Colours(), []
    result = evaluate_network(
        network, images, mode, window=(4, 6), batch_size=batch_size, workers=workers,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert np.array_equal(result.confusion, expected)
    assert result.images == 6 and result.classes == INFO.classes
    assert 0.3 < result.miou < 0.95
    assert steps[-1] == (6, 6) and len(steps) == {1: 6, 2: 5, 5: 4}[batch_size]
    assert max(network.batch_sizes) == min(batch_size, 3)


def test_modules_keep_their_modes() -> None:
    network = Colours().train()
    network.frozen.eval()
    evaluate_network(network, random_set([(4, 4)]))
    assert network.training and not network.frozen.training


def test_prediction_is_compared_at_the_labels_own_size() -> None:
    classes = np.array([[0, 1]])
    label = classes.repeat(4, 0).repeat(4, 1).astype(np.uint8)  # the image is kept at a quarter of the label's size
    for mode in ("whole", "sliding"):
        result = evaluate_network(Colours(), Images([(painted(classes), label)]), mode, window=(1, 2))
        assert result.confusion.sum() == 32
        assert result.pixel_accuracy == 1


def test_bfloat16_and_unknown_precision() -> None:
    class Checking(Strided):
        def forward(self, images: Tensor) -> FakeOutput:
            output = super().forward(images)
            assert output.logits.dtype == torch.bfloat16
            return output

    info = DatasetInfo("four", ("a", "b", "c", "d"), ((0, 0, 0),) * 4)
    pair = (np.zeros((6, 6, 3), np.uint8), np.zeros((6, 6), np.uint8))
    assert evaluate_network(Checking(), Images([pair], info), precision="bf16").confusion.sum() == 36
    with pytest.raises(UsageError, match="no precision 'half'; choose one of fp32, bf16, fp16"):
        evaluate_network(Strided(), Images([pair], info), precision="half")


def test_errors_name_what_is_wrong_with_the_set() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(SemisegError, match="none of the 1 images of dots has a label"):
        evaluate_network(Colours(), Images([(image, None)]))
    good, bad = np.zeros((2, 2), np.uint8), np.full((2, 2), 3, np.uint8)
    with pytest.raises(SemisegError, match="picture1: label 3 is outside"):
        evaluate_network(Colours(), Images([(image, good), (image, bad)]))
    with pytest.raises(SemisegError, match="is ignored"):
        evaluate_network(Colours(), Images([(image, np.full((2, 2), 255, np.uint8))]))
    with pytest.raises(UsageError, match="batch_size"):
        evaluate_network(Colours(), Images([(image, None)]), batch_size=0)


def test_images_of_one_size_whose_masks_differ_in_size_do_not_share_a_pass() -> None:
    classes = np.array([[0, 1], [2, 0]])
    masks = [classes.repeat(n, 0).repeat(n, 1).astype(np.uint8) for n in (1, 1, 2, 2, 4)]
    network = Colours()
    result = evaluate_network(network, Images([(painted(classes), mask) for mask in masks]), batch_size=5)
    assert network.batch_sizes == [2, 2, 1]
    assert result.confusion.sum() == 4 * (1 + 1 + 4 + 4 + 16)


def test_the_network_sees_each_byte_as_a_255th() -> None:
    class Seen(Colours):
        def forward(self, images: Tensor) -> FakeOutput:
            assert torch.equal(images, (torch.arange(256) / 255).expand(1, 3, 1, 256))
            return super().forward(images)

    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    assert evaluate_network(Seen(), Images([(ramp, np.zeros((1, 256), np.uint8))])).images == 1


@pytest.mark.parametrize("words", [{"workers": 0}, {"workers": -1}, {"batch_size": 0}])
def test_no_workers_and_empty_batches_are_refused(words: dict[str, int]) -> None:
    given = {"batch_size": 1, "workers": 2} | words
    text = f"batch_size {given['batch_size']} and workers {given['workers']}: give at least 1 of each"
    with pytest.raises(UsageError, match=text):
        evaluate_network(Colours(), random_set([(2, 2)]), **words)


@pytest.mark.parametrize("bad", [-1, 3])
def test_a_label_that_is_no_class_is_named_with_its_image(bad: int) -> None:
    label = np.array([[0, 1], [bad, 2]])
    with pytest.raises(SemisegError, match=f"picture0: label {bad} is outside"):
        evaluate_network(Colours(), Images([(np.zeros((2, 2, 3), np.uint8), label)]))
