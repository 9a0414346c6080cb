"""Folds by time on synthetic drives: whole blocks, nothing near a border on both sides, no clip that outweighs."""

import random

import pytest

from semiseg.data.splits.folds import Fold, drive_and_frame, time_blocked_folds
from semiseg.errors import UsageError

# As CamVid's: a frame a second with or without an f, a hole in one drive, and a clip of 15 frames a second.
DRIVES = {
    "0001TP_00": range(6690, 8550, 30),
    "0006R0_f0": range(930, 3960, 30),
    "0016E5_0": [*range(1000, 2430, 30), *range(4350, 7950, 30), *range(7959, 8161, 2), *range(8190, 8670, 30)],
}
NAMES = [f"{drive}{frame:04d}" for drive, frames in DRIVES.items() for frame in frames]


def near(one: str, other: str) -> int | None:
    """Frames between two names; None for different drives."""
    (drive, frame), (drive_2, frame_2) = drive_and_frame(one), drive_and_frame(other)
    return abs(frame - frame_2) if drive == drive_2 else None


@pytest.fixture(scope="module")
def folds() -> list[Fold]:
    return time_blocked_folds(NAMES)


def test_no_training_frame_is_within_the_gap_of_a_validation_frame(folds: list[Fold]) -> None:
    for fold in folds:
        distances = [d for t in fold.train for v in fold.val if (d := near(t, v)) is not None]
        assert min(distances) > 150
        assert max(distances) > 1000  # other parts of the same drives do train


def test_each_fold_validates_on_one_block_of_every_drive(folds: list[Fold]) -> None:
    assert len(folds) == 3
    validated = sorted(name for fold in folds for name in fold.val)
    assert len(set(validated)) == len(validated)
    for fold in folds:
        for drive in ("0001TP", "0006R0", "0016E5"):
            block = [name for name in fold.val if name.startswith(drive)]
            whole = [name for name in validated if name.startswith(drive)]
            first = whole.index(block[0])
            assert whole[first : first + len(block)] == block
            assert len(block) in (len(whole) // 3, len(whole) // 3 + 1)


def test_training_loses_only_the_frames_at_the_borders(folds: list[Fold]) -> None:
    everything = {name for fold in folds for name in fold.val}
    for fold in folds:
        left_out = everything - set(fold.train) - set(fold.val)
        assert all(any((d := near(name, v)) is not None and d <= 150 for v in fold.val) for name in left_out)
    # Five frames, 30 apart, at each inner border of a drive: one border in the outer folds, two in the middle one.
    assert [len(everything) - len(f.train) - len(f.val) for f in folds] == [15, 30, 15]


def test_a_dense_clip_is_thinned_to_the_spacing_of_the_other_drives(folds: list[Fold]) -> None:
    clip = [n for f in folds for n in f.val if n.startswith("0016E5") and 7959 <= drive_and_frame(n)[1] < 8162]
    assert len(clip) == 8  # of 101
    dense = time_blocked_folds(NAMES, spacing=1)
    assert sorted(name for fold in dense for name in fold.val) == sorted(NAMES)


def test_the_order_of_the_names_does_not_matter(folds: list[Fold]) -> None:
    shuffled = random.Random(0).sample(NAMES, len(NAMES))
    assert time_blocked_folds(shuffled) == folds


def test_mistakes_are_told() -> None:
    assert drive_and_frame("Seq05VD_f00930") == ("Seq05VD", 930)
    with pytest.raises(UsageError, match=r"'street' is not DRIVE_FRAME; .* such as 0016E5_07959"):
        time_blocked_folds([*NAMES, "street"])
    with pytest.raises(UsageError, match="folds=1 leaves nothing to train on; give at least 2"):
        time_blocked_folds(NAMES, folds=1)
    with pytest.raises(UsageError, match="3 frames are too few for 3 folds with a gap of 150"):
        time_blocked_folds(["a_0000", "a_0030", "a_0060"])
