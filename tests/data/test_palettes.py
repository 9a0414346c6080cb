from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.data.check.dataset import check_data
from semiseg.data.datasets.folder import open_folder
from semiseg.data.palettes import PalettesSeen, read_palette
from semiseg.errors import SemisegError

RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
HALVES = np.array([[0, 0, 1, 1]] * 4, np.uint8)
Palette = tuple[tuple[int, int, int], ...]


def write(
    root: Path, palettes: dict[str, Palette], numbers: dict[str, np.ndarray] | None = None, yaml: str = ""
) -> None:
    """Images left red, right green, and palette masks; ``numbers`` where they are not 0 on the left and 1."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for i, (name, palette) in enumerate(palettes.items()):
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(root / "images" / f"{name}.png")
        mask = Image.fromarray((numbers or {}).get(name, HALVES))
        mask.putpalette([value for colour in palette for value in colour] + [0, 0, 0] * (256 - len(palette)))
        mask.save(root / "masks" / f"{name}.png")
    if yaml:
        (root / "dataset.yaml").write_text(yaml)


def labels(root: Path) -> dict[str, list[int]]:
    found = {}
    for part in (open_folder(root, "train"), open_folder(root, "val")):
        for i, name in enumerate(part.names):
            label = part.label(i)
            assert label is not None
            found[name] = label[0].tolist()
    return found


def palette_errors(root: Path) -> list[str]:
    train, val = open_folder(root, "train"), open_folder(root, "val")
    found = check_data(train, val, train.names, (4, 4), quick=True).findings
    return [f"{f.where}: {f.message}" for f in found if f.level == "error" and "palette" in f.message]


NAMED = "classes: [red, green]\ncolours: [[255, 0, 0], [0, 255, 0]]\n"


def test_palettes_in_the_classes_colours_are_read_by_colour(tmp_path: Path) -> None:
    swapped = {"c": 1 - HALVES, "d": 1 - HALVES}
    write(tmp_path, {"a": (RED, GREEN), "b": (RED, GREEN), "c": (GREEN, RED), "d": (GREEN, RED)}, swapped, NAMED)
    assert labels(tmp_path) == {key: [0, 0, 1, 1] for key in "abcd"} and palette_errors(tmp_path) == []


def test_without_colours_contradicting_palettes_are_an_error_that_names_both_files(tmp_path: Path) -> None:
    swapped = {"c": 1 - HALVES, "d": 1 - HALVES}
    write(tmp_path, {"a": (RED, GREEN), "b": (RED, GREEN), "c": (GREEN, RED), "d": (GREEN, RED)}, swapped)
    (error, *_) = palette_errors(tmp_path)
    assert "its palette and that of" in error and "differ: 0 is" in error


def test_one_palette_for_all_or_colours_of_no_class_are_numbers(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys("abcd", (BLACK, BLUE)), yaml=NAMED)
    assert labels(tmp_path) == {key: [0, 0, 1, 1] for key in "abcd"} and palette_errors(tmp_path) == []
    write(tmp_path, dict.fromkeys("abcd", (GREEN, RED)))
    (tmp_path / "dataset.yaml").unlink()
    assert labels(tmp_path) == {key: [0, 0, 1, 1] for key in "abcd"} and palette_errors(tmp_path) == []


def test_a_palette_of_which_some_colours_are_other_classes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys("abcd", (BLUE, RED)), yaml=NAMED)
    with pytest.raises(SemisegError, match=r"index 1 has the colour of red in its palette, and index 0 the colour"):
        labels(tmp_path)


def test_ignored_numbers_have_no_colour(tmp_path: Path) -> None:
    numbers = np.where(HALVES == 0, 255, 1).astype(np.uint8)
    write(tmp_path, dict.fromkeys("abcd", (GREEN, RED)), dict.fromkeys("abcd", numbers), NAMED)
    assert labels(tmp_path) == {key: [255, 255, 0, 0] for key in "abcd"}


def test_a_ramp_of_greys_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"a": tuple((i, i, i) for i in range(256))})
    assert read_palette(tmp_path / "masks" / "a.png") is None


def test_a_colour_under_another_number_contradicts_too() -> None:
    seen = PalettesSeen()
    assert seen.contradicts("a", {0: RED}) is None and seen.contradicts("b", {0: RED, 1: GREEN}) is None
    assert seen.contradicts("c", {3: GREEN}) == f"its palette and that of b differ: {GREEN} is 3 here, 1 there"
    seen = PalettesSeen()
    assert seen.contradicts("a", {0: BLACK, 7: BLACK}) is None and seen.contradicts("b", {7: BLACK}) is None
