import json

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from semiseg.errors import SemisegError, UsageError
from semiseg.evaluation.confusion import (
    EvaluationResult,
    confusion_matrix,
    device_counts,
    iou_from_confusion,
    matrix_of_counts,
)


def test_confusion_by_hand() -> None:
    labels = np.array([[0, 0, 1], [2, 255, 1]], dtype=np.uint8)
    predicted = np.array([[0, 1, 1], [0, 2, 1]], dtype=np.uint8)
    confusion = confusion_matrix(predicted, labels, 3)
    assert confusion.dtype == np.int64
    assert confusion.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
@pytest.mark.parametrize("classes", [2, 19, 200])
@pytest.mark.parametrize("ignore", [255, 1])
def test_confusion_agrees_with_torchmetrics(dtype: type, classes: int, ignore: int) -> None:
    rng = np.random.default_rng(classes)
    labels, predicted = rng.integers(0, classes, (2, 3, 17, 23)).astype(dtype)
    labels[rng.random(labels.shape) < 0.2] = ignore
    metric = MulticlassConfusionMatrix(classes, ignore_index=ignore)
    expected = metric(torch.from_numpy(predicted).long(), torch.from_numpy(labels).long()).numpy()
    assert np.array_equal(confusion_matrix(predicted, labels, classes, ignore), expected)
    tensors = torch.from_numpy(predicted), torch.from_numpy(labels)
    assert np.array_equal(confusion_matrix(*tensors, classes, ignore), expected)
    counts = device_counts(*tensors, classes, ignore).numpy()
    assert np.array_equal(counts[:-2].reshape(classes, classes), expected)
    assert counts[-2] == (labels == ignore).sum() and counts[-1] == 0


def test_confusion_with_all_256_byte_values_and_with_more() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(confusion_matrix(every[::-1], every, 256, ignore_index=-1), np.eye(256, dtype=np.int64)[::-1])
    many = np.array([0, 299, 300], dtype=np.int64)
    confusion = confusion_matrix(many[::-1].copy(), many, 301, ignore_index=-100)
    assert confusion[0, 300] == confusion[299, 299] == confusion[300, 0] == 1 and confusion.sum() == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_label_outside_the_classes_is_an_error(dtype: type) -> None:
    labels = np.array([0, 7, 255], dtype=dtype)
    with pytest.raises(SemisegError, match=r"label 7 is outside 0\.\.2"):
        confusion_matrix(np.zeros(3, dtype=dtype), labels, 3)
    assert device_counts(torch.zeros(3), torch.from_numpy(labels), 3)[-2:].tolist() == [1, 1]


def test_negative_label_is_an_error_unless_it_is_ignored() -> None:
    labels = np.array([0, -1])
    with pytest.raises(SemisegError, match="label -1"):
        confusion_matrix(np.array([0, 0]), labels, 2)
    assert confusion_matrix(np.array([0, 0]), labels, 2, ignore_index=-1).tolist() == [[1, 0], [0, 0]]


def test_prediction_outside_counts_only_where_the_label_counts() -> None:
    predicted = np.array([0, 9], dtype=np.uint8)
    assert confusion_matrix(predicted, np.array([0, 255], dtype=np.uint8), 2).tolist() == [[1, 0], [0, 0]]
    with pytest.raises(SemisegError, match="prediction 9"):
        confusion_matrix(predicted, np.array([0, 1], dtype=np.uint8), 2)


def test_shapes_must_agree() -> None:
    with pytest.raises(UsageError, match="differ in shape"):
        confusion_matrix(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_confusion_on_cuda_agrees_with_numpy() -> None:
    labels, predicted = np.random.default_rng(0).integers(0, 19, (2, 64, 65)).astype(np.uint8)
    on_device = confusion_matrix(torch.from_numpy(predicted).cuda(), torch.from_numpy(labels).cuda(), 19)
    assert np.array_equal(on_device, confusion_matrix(predicted, labels, 19))


# ---- IoU and the result


def test_iou_by_hand_with_an_absent_class() -> None:
    confusion = np.array([[3, 1, 0, 0], [2, 4, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]])
    iou = iou_from_confusion(confusion)
    assert iou[:2] == pytest.approx([3 / 6, 4 / 8])
    assert np.isnan(iou[2]) and iou[3] == 0
    result = EvaluationResult.from_confusion(confusion, ("a", "b", "c", "d"), images=5)
    assert result.miou == pytest.approx(1 / 3)
    assert result.pixel_accuracy == pytest.approx(7 / 11)
    assert result.mean_accuracy == pytest.approx((3 / 4 + 4 / 6 + 0) / 3)


def test_iou_agrees_with_torchmetrics_where_every_class_occurs() -> None:
    rng = np.random.default_rng(1)
    labels, predicted = rng.integers(0, 5, (2, 40, 30)).astype(np.uint8)
    labels[:3] = 255
    metric = MulticlassJaccardIndex(5, ignore_index=255, average="none")
    expected = metric(torch.from_numpy(predicted).long(), torch.from_numpy(labels).long()).numpy()
    assert iou_from_confusion(confusion_matrix(predicted, labels, 5)) == pytest.approx(expected, abs=1e-6)


def test_result_as_json_has_null_for_nan() -> None:
    result = EvaluationResult.from_confusion(np.array([[2, 0], [0, 0]]), ("a", "b"), images=1)
    found = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert found == {
        "miou": 1.0, "pixel_accuracy": 1.0, "mean_accuracy": 1.0, "images": 1, "classes": ["a", "b"],
        "iou": [1.0, None], "confusion": [[2, 0], [0, 0]],
    }  # fmt: skip


def test_the_first_number_that_is_no_class_is_refused_as_prediction_and_as_label() -> None:
    inside, three = np.array([0, 2], np.uint8), np.array([0, 3], np.uint8)
    for dtype in (np.uint8, np.int64):
        with pytest.raises(SemisegError, match=r"prediction 3 is outside 0\.\.2"):
            confusion_matrix(three.astype(dtype), inside.astype(dtype), 3)
        with pytest.raises(SemisegError, match=r"label 3 is outside 0\.\.2"):
            confusion_matrix(inside.astype(dtype), three.astype(dtype), 3)
    for predicted, labels in (
        (three, inside),
        (inside, three),
        (inside.astype(int) - 1, inside),
        (inside, three * -1.0),
    ):
        counts = device_counts(torch.from_numpy(predicted), torch.from_numpy(labels), 3)
        assert counts[-1] == 1
        with pytest.raises(SemisegError, match=r"1 pixels have a label or prediction outside 0\.\.2"):
            matrix_of_counts(counts, 3)


@pytest.mark.parametrize("ignore", [0, 1, 2, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_any_value_may_be_the_ignored_one(ignore: int, dtype: type) -> None:
    labels = np.array([0, 1, 2, ignore], dtype=dtype)
    expected = np.diag([float(c != ignore) for c in range(3)])
    predicted = np.array([0, 1, 2, 0], dtype=dtype)
    assert np.array_equal(confusion_matrix(predicted, labels, 3, ignore), expected)


def test_no_pixel_at_all_counts_nothing() -> None:
    for dtype in (np.uint8, np.int64):
        nothing = np.zeros((0, 4), dtype)
        assert confusion_matrix(nothing, nothing, 2).tolist() == [[0, 0], [0, 0]]


def test_an_array_and_a_tensor_may_be_mixed_and_nothing_known_is_nan() -> None:
    labels = np.array([0, 1], np.uint8)
    for predicted, truth in ((torch.tensor([0, 1]), labels), (labels, torch.tensor([0, 1]))):
        assert confusion_matrix(predicted, truth, 2).tolist() == [[1, 0], [0, 1]]
    empty = EvaluationResult.from_confusion(np.zeros((2, 2), np.int64), ("a", "b"), images=0)
    assert np.isnan([empty.miou, empty.pixel_accuracy, empty.mean_accuracy]).all()
