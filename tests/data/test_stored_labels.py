"""Pseudo-labels on disk: what is written is what is read, and damage is told from absence."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from semiseg.data.stored_labels import StoredLabels
from semiseg.errors import SemisegError, UsageError

LABELS = np.array([[0, 1, 255], [7, 254, 3]], np.uint8)
CONFIDENCE = np.array([[0.0, 0.5, 1.0], [0.25, 0.75, 0.125]], np.float64)


@given(data=st.data(), shape=st.tuples(st.integers(1, 6), st.integers(1, 6)), index=st.integers(0, 3_000_000))
def test_labels_come_back_bit_for_bit_and_confidence_as_half_floats(
    data: st.DataObject, shape: tuple[int, int], index: int
) -> None:
    labels = data.draw(arrays(np.uint8, shape))
    confidence = data.draw(arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    with tempfile.TemporaryDirectory() as folder:
        StoredLabels(folder).write(index, labels, confidence)
        found, sure = StoredLabels(folder).read(index)
    assert found.dtype == np.uint8 and np.array_equal(found, labels)
    assert sure.dtype == np.float32 and np.array_equal(sure, confidence.astype(np.float16).astype(np.float32))
    assert (sure >= 0).all() and (sure <= 1).all() and (abs(sure - confidence) <= 0.0005).all()


def test_indices_overwriting_and_what_lies_in_the_folder(tmp_path: Path) -> None:
    stored = StoredLabels(tmp_path / "round" / "1")
    assert stored.indices() == [] and not stored.folder.exists()
    for index in (12, 0, 1_234_567):
        stored.write(index, LABELS, CONFIDENCE)
    (stored.folder / "notes.npz").write_text("not a number")
    assert stored.indices() == [0, 12, 1_234_567]
    stored.write(12, LABELS + 1, CONFIDENCE / 2)
    labels, confidence = stored.read(12)
    assert np.array_equal(labels, LABELS + 1) and np.array_equal(confidence, CONFIDENCE / 2)
    assert sorted(path.name for path in stored.folder.iterdir()) == [
        "000000.npz", "000012.npz", "1234567.npz", "notes.npz",
    ]  # fmt: skip


def test_an_interrupted_write_leaves_the_earlier_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = StoredLabels(tmp_path)
    stored.write(3, LABELS, CONFIDENCE)

    def full_disk(file: object, **arrays: np.ndarray) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="no space"):
        stored.write(3, LABELS * 0, CONFIDENCE)
    assert np.array_equal(stored.read(3)[0], LABELS)
    assert [path.name for path in tmp_path.iterdir()] == ["000003.npz"]


def test_missing_and_damaged_files_are_told_in_one_line(tmp_path: Path) -> None:
    stored = StoredLabels(tmp_path)
    with pytest.raises(SemisegError, match=r"000004\.npz: no pseudo-labels are stored for image 4; train anew"):
        stored.read(4)
    stored.write(4, LABELS, CONFIDENCE)
    path = tmp_path / "000004.npz"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"labels.npy") + 40] ^= 255  # among the compressed values
    for damaged in (b"", b"junk", whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(SemisegError, match=r"000004\.npz cannot be read \(.+\); remove it and train anew") as told:
            stored.read(4)
        assert "\n" not in str(told.value)
    for wrong in (
        {"labels": LABELS.astype(int), "confidence": CONFIDENCE.astype(np.float16)},
        {"labels": LABELS, "confidence": CONFIDENCE},
        {"labels": LABELS[0], "confidence": CONFIDENCE[0].astype(np.float16)},
    ):
        np.savez(path, **wrong)
        with pytest.raises(SemisegError, match="holds no pseudo-labels; remove it"):
            stored.read(4)
    np.savez(path, labels=LABELS, confidence=CONFIDENCE[:1].astype(np.float16))
    with pytest.raises(SemisegError, match="of different sizes; remove it"):
        stored.read(4)


@pytest.mark.parametrize(
    ("index", "labels", "confidence", "told"),
    [
        (-1, LABELS, CONFIDENCE, "image -1; give an index from 0"),
        (0, LABELS.astype(np.int64), CONFIDENCE, r"int64 \(2, 3\); give classes as uint8"),
        (0, LABELS[0], CONFIDENCE[0], "give classes as uint8"),
        (0, LABELS, CONFIDENCE[:1], r"confidence of float64 \(1, 3\); give floats \(2, 3\)"),
        (0, LABELS, LABELS, "confidence of uint8"),
        (0, LABELS, CONFIDENCE * 1.1, "leaves 0…1"),
        (0, LABELS, CONFIDENCE - 0.1, "leaves 0…1"),
        (0, LABELS, CONFIDENCE * np.nan, "leaves 0…1"),
    ],
)
def test_what_cannot_be_stored(
    tmp_path: Path, index: int, labels: np.ndarray, confidence: np.ndarray, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        StoredLabels(tmp_path).write(index, labels, confidence)
    assert list(tmp_path.iterdir()) == []
