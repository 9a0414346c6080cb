"""What a check finds in the images and masks of a data set."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.data.check.dataset import check_data
from semiseg.data.check.finding import Finding
from semiseg.data.datasets.folder import Folder, open_folder
from semiseg.errors import SemisegError


def findings(root: Path, crop: int = 32, labelled: list[str] | None = None, **options: bool) -> list[Finding]:
    train, val = open_folder(root, "train"), open_folder(root, "val")
    with_mask = [name for i, name in enumerate(train.names) if train.has_label(i)]
    return check_data(train, val, with_mask if labelled is None else labelled, (crop, crop), **options).findings


def messages(found: list[Finding]) -> list[tuple[str, str]]:
    return [(f.level, f.message) for f in found]


def masks_of(root: Path) -> list[Path]:
    names = open_folder(root, "train").names
    return [p for p in sorted((root / "masks").iterdir()) if p.stem in names]


def test_a_good_folder_has_no_findings(folder: Path) -> None:
    assert findings(folder) == []


def test_errors_come_first_and_name_the_file(folder: Path) -> None:
    first, second, *_ = masks_of(folder)
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(first)
    (folder / "dataset.yaml").write_text("classes: [a, b, c]\n")
    Image.fromarray(np.full((64, 64), 9, np.uint8)).save(second)
    unlabelled = next(n for n in open_folder(folder, "train").names if not (folder / "masks" / f"{n}.png").exists())
    (folder / "images" / f"{unlabelled}.png").write_bytes(b"junk")
    for quick in (False, True):
        found = findings(folder, crop=200, quick=quick)
        errors = {f.where: f.message for f in found if f.level == "error"}
        assert "mask of (10, 10), image of (64, 64)" in errors[f"train/{first.stem}"]
        assert "values 9" in errors[f"train/{second.stem}"]
        assert "cannot be read" in errors[f"train/{unlabelled}"]
        assert [f.level for f in found] == sorted((f.level for f in found), key=["error", "warning", "info"].index)
        assert any("smaller than the crop" in f.message for f in found)


def test_duplicates_between_train_and_val(folder: Path) -> None:
    train, val = open_folder(folder, "train").names, open_folder(folder, "val").names
    (folder / "images" / f"{train[0]}.png").write_bytes((folder / "images" / f"{val[0]}.png").read_bytes())
    assert ("warning", f"the same picture as train/{train[0]}") in messages(findings(folder))


@pytest.mark.parametrize(
    ("labelled", "level", "message"), [([], "error", "no labelled image"), (None, "warning", "a single labelled image")]
)
def test_too_few_labels(folder: Path, labelled: list[str] | None, level: str, message: str) -> None:
    one = [masks_of(folder)[0].stem] if labelled is None else labelled
    assert (level, message) in messages(findings(folder, labelled=one))


def test_absent_classes_and_masks_without_a_label(folder: Path) -> None:
    first = masks_of(folder)[0]
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(first)
    (folder / "dataset.yaml").write_text("classes: [a, b, c, unicorn]\n")
    found = messages(findings(folder))
    assert ("warning", "every pixel of the mask is ignored") in found
    assert ("warning", "no labelled image shows: unicorn") in found


def test_no_validation_and_no_unlabelled_images(folder: Path) -> None:
    train = open_folder(folder, "train")
    val = open_folder(folder, "val")
    val.masks.clear()
    found = messages(check_data(train, val, train.names, (32, 32)).findings)
    assert ("error", "no validation image with a mask") in found
    assert ("info", "no unlabelled image") in found


def test_images_chosen_without_a_mask(folder: Path) -> None:
    train = open_folder(folder, "train")
    bare = next(name for i, name in enumerate(train.names) if not train.has_label(i))
    found = findings(folder, labelled=[masks_of(folder)[0].stem, masks_of(folder)[1].stem, bare, "nowhere"])
    errors = {f.where for f in found if f.message == "chosen as labelled, but has no mask"}
    assert errors == {f"train/{bare}", "train/nowhere"}


def test_the_crop_is_compared_with_the_resized_images(folder: Path) -> None:
    train, val = open_folder(folder, "train"), open_folder(folder, "val")
    names = [mask.stem for mask in masks_of(folder)]

    def small(crop: tuple[int, int], resize: tuple[int, int] | int | None) -> bool:
        return any(
            "smaller than the crop" in f.message for f in check_data(train, val, names, crop, resize=resize).findings
        )

    assert not small((64, 64), None) and small((64, 65), None)
    assert not small((64, 65), (64, 65)) and small((64, 64), (63, 64))
    assert not small((70, 70), 70) and small((64, 64), 63)


def test_a_damaged_validation_mask_is_a_finding_and_does_not_stop_the_check(folder: Path) -> None:
    (folder / "dataset.yaml").write_text("classes: [a, b, c]\n")
    name = open_folder(folder, "val").names[0]
    (folder / "masks" / f"{name}.png").write_bytes(b"junk")
    errors = [f for f in findings(folder) if f.level == "error"]
    assert [f.where for f in errors] == [f"val/{name}"] and "cannot be read as a mask" in errors[0].message
    # The single label is noticed before the files are read; the error is told first all the same.
    assert [f.level for f in findings(folder, labelled=[masks_of(folder)[0].stem])][:2] == ["error", "warning"]


def test_quick_reads_labelled_images_and_twenty_others(folder: Path) -> None:
    class Counting(Folder):
        def image(self, i: int) -> np.ndarray:
            read.append(self.names[i])
            return super().image(i)

    read: list[str] = []
    small = open_folder(folder, "train")
    source = small.files[small.names[0]]
    files = {f"z{i:03d}": source for i in range(40)} | {"zz_last": source}
    train = Counting(small.info, files, {"zz_last": masks_of(folder)[0]})
    check_data(train, open_folder(folder, "val"), ["zz_last"], (32, 32), quick=True)
    assert sorted(read) == [*(f"z{i:03d}" for i in range(20)), "zz_last"]
    read.clear()
    check_data(train, open_folder(folder, "val"), ["zz_last"], (32, 32))
    assert len(read) == 41


def test_the_source_domain_is_read_too_and_remarks_are_passed_on(folder: Path) -> None:
    train, val = open_folder(folder, "train"), open_folder(folder, "val")
    names = [mask.stem for mask in masks_of(folder)]
    source = open_folder(folder, "train")
    found = [f for f in check_data(train, val, names, (32, 32), source=source).findings if f.where.startswith("source")]
    assert [(f.level, f.message) for f in found] == [("error", "7 images have no mask")]
    labelled = {name: source.files[name] for name in names}
    source = Folder(source.info, labelled, source.masks)
    with pytest.warns(UserWarning, match="one was turned"):
        source.remark("one was turned")
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(masks_of(folder)[0])
    found = [f for f in check_data(train, val, [], (32, 32), source=source).findings if f.where.startswith("source")]
    assert [(f.level, f.where) for f in found] == [("error", f"source/{names[0]}"), ("warning", "source")]
    assert "mask of (10, 10)" in found[0].message and found[1].message == "one was turned"


def test_a_colour_mask_among_index_masks_of_named_classes(folder: Path) -> None:
    (folder / "dataset.yaml").write_text("classes: [a, b, c]\n")
    first = masks_of(folder)[0]
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(first)
    (error,) = [f for f in findings(folder) if f.level == "error"]
    assert error.where == f"train/{first.stem}" and "is a colour image" in error.message
    assert f"semiseg data convert {folder} --from colour" in error.remedy


@pytest.mark.parametrize("divided", [False, True])
def test_masks_without_an_image_are_told(folder: Path, divided: bool) -> None:
    if divided:
        for kind in ("images", "masks"):
            files = sorted((folder / kind).iterdir())
            for split, part in (("train", files[:-1]), ("val", files[-1:])):
                (folder / kind / split).mkdir()
                for path in part:
                    path.rename(folder / kind / split / path.name)
        # The last mask is photo04's, the last image photo11's.
        assert open_folder(folder, "val").remarks == (
            f"1 masks have no image of their stem, e.g. {folder / 'masks' / 'val' / 'photo04.png'}: not used",
        )
    else:
        masks_of(folder)[0].rename(folder / "masks" / "mistyped.png")
        told = [f.message for f in findings(folder) if f.where == "train"]
        assert told == [f"1 masks have no image of their stem, e.g. {folder / 'masks' / 'mistyped.png'}: not used"]
        assert open_folder(folder, "val").remarks == ()


def test_source_images_are_compared_with_the_crop_and_with_validation(folder: Path) -> None:
    train, val = open_folder(folder, "train"), open_folder(folder, "val")
    names = [mask.stem for mask in masks_of(folder)]
    source = Folder(val.info, val.files, val.masks)

    def told(**options: tuple[int, int]) -> list[tuple[str, str]]:
        found = check_data(train, val, names, (64, 64), source=source, **options).findings
        return [(f.where, f.message) for f in found if "source" in f.where + f.message]

    name = val.names[0]
    same = (f"val/{name}", f"the same picture as source/{name}")
    assert told() == [same]
    small = (f"source/{name}", "1 images are smaller than the crop (64, 64)")
    assert told(source_resize=(60, 64)) == [small, same]


def test_many_absent_classes_get_the_hint_of_grey_levels(folder: Path) -> None:
    (folder / "dataset.yaml").write_text(f"classes: [{', '.join(f'c{i}' for i in range(9))}]\n")
    (absent,) = [f for f in findings(folder) if "no labelled image shows" in f.message]
    assert "grey levels" in absent.remedy and "--from colour" in absent.remedy


def many(root: Path, kind: str, count: int) -> None:
    """More images, of the first's pixels, with masks or without."""
    for i in range(count):
        for part in ("images", "masks") if kind == "masks" else ("images",):
            shutil.copy(root / part / "photo00.png", root / part / f"more{i:02d}.png")


@pytest.mark.parametrize("damage", ["junk", "deep", "pipe"])
def test_the_header_of_every_image_is_read(folder: Path, damage: str) -> None:
    many(folder, "images", 25)
    path = folder / "images" / "zz.png"  # the last of all
    if damage == "pipe":
        os.mkfifo(path)
    elif damage == "junk":
        path.write_bytes(b"junk")
    else:
        Image.fromarray(np.zeros((40, 40), np.uint16)).save(path)
    (error,) = [f for f in findings(folder, quick=True) if f.level == "error"]
    said = {"junk": "cannot be read", "deep": "16-bit", "pipe": "pipe, socket or device"}[damage]
    assert error.where == "train/zz" and said in error.message


def test_every_validation_mask_is_read_and_must_be_as_large_as_its_image(folder: Path) -> None:
    many(folder, "masks", 150)
    (folder / "dataset.yaml").write_text("classes: [a, b, c]\n")
    val = open_folder(folder, "val").names
    assert len(val) > 21
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(folder / "masks" / f"{val[-1]}.png")
    (error,) = [f for f in findings(folder, quick=True) if f.level == "error"]
    assert error.where == f"val/{val[-1]}" and "mask of (32, 32), image of (64, 64)" in error.message
    with pytest.raises(SemisegError, match="make the mask as large as its image"):
        open_folder(folder, "val").label(len(val) - 1)


@pytest.mark.parametrize(("split", "what"), [("train", "labelled"), ("val", "validation")])
def test_nothing_but_ignored_pixels_is_an_error(folder: Path, split: str, what: str) -> None:
    (folder / "dataset.yaml").write_text("classes: [a, b, c]\nignore: 7\n")
    for name in open_folder(folder, split).names:
        path = folder / "masks" / f"{name}.png"
        if path.exists():
            Image.fromarray(np.full((64, 64), 7, np.uint8)).save(path)
    for quick in (False, True):
        errors = [f for f in findings(folder, quick=quick) if f.level == "error"]
        assert [(f.where, f.message) for f in errors] == [(split, f"no {what} pixel has a class: all are ignored")]


def test_what_is_no_content_is_told(folder: Path) -> None:
    bare = [
        n for i, n in enumerate(open_folder(folder, "train").names) if not open_folder(folder, "train").has_label(i)
    ]
    for name, rows in zip(bare, (16, 64), strict=False):
        picture = np.full((64, 64, 4), 255, np.uint8)
        picture[:rows, :, 3], picture[..., 0] = 0, rows
        Image.fromarray(picture).save(folder / "images" / f"{name}.png")
    told = messages(findings(folder))
    assert ("info", "2 images have transparent or no-data pixels, 62 % of theirs on average") in told
    assert ("warning", "1 images are transparent or no data all over") in told


def test_a_check_tells_how_far_it_is(folder: Path) -> None:
    train, val = open_folder(folder, "train"), open_folder(folder, "val")
    told: list[tuple[int, int]] = []
    check_data(train, val, train.names, (32, 32), quick=True, progress=lambda *done: told.append(done))
    assert told == [(i + 1, 12) for i in range(12)]
