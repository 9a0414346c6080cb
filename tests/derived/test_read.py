from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_picture
from PIL import Image

from semiseg import Config
from semiseg.data.files import read_rgb
from semiseg.data.run_data import open_run_data
from semiseg.derived import read, read_facts
from semiseg.errors import SemisegError

CPU = torch.device("cpu")


def facts_of(folder: Path, *words: str) -> read.Facts:
    return read_facts(open_run_data(Config.load(folder, list(words)).data), CPU, own_validation=False)


def test_facts_of_a_folder_of_several_sizes(tmp_path: Path) -> None:
    for i, size in enumerate([(40, 60), (60, 40), (50, 90), (50, 90), (30, 30), (50, 90), (50, 90)]):
        write_picture(tmp_path, f"photo{i}", i, mask=i < 5, size=size)
    found = facts_of(tmp_path, "data.labelled=2")
    data = open_run_data(Config.load(tmp_path).data)
    sizes = [data.train.image(i).shape[:2] for i in range(len(data.train))]
    assert (found.small_side, found.large_side) == tuple(
        np.median([side(size) for size in sizes]) for side in (min, max)
    )
    areas = [height * width for height, width in sizes]
    assert (np.prod(found.smallest), np.prod(found.largest)) == (min(areas), max(areas))
    assert found.mean_pixels == round(np.mean(areas))
    assert found.largest_validation == data.val.image(0).shape[:2]
    assert (found.labelled, found.unlabelled, found.validation, found.classes) == (2, 4, 1, 3)
    assert (found.device, found.gpu_memory, found.processes) == ("cpu", None, 1)
    assert found.threads >= 1 and found.memory is not None and found.memory > 2**28
    assert found.finest_class in data.train.info.classes and 0 < found.finest_width <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_headers_give_the_size_of_the_upright_image(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    image = Image.new("RGB", (30, 20))
    tags = image.getexif()
    tags[0x0112] = orientation
    image.save(path, exif=tags)
    assert read.image_size(path) == read_rgb(path).shape[:2] == ((20, 30) if orientation < 5 else (30, 20))


def test_a_header_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (300, 200)).save(path)
    path.write_bytes(path.read_bytes()[:60])  # no pixel is left
    assert read.image_size(path) == (200, 300)


def test_damaged_files_are_passed_over_and_masks_too(tmp_path: Path) -> None:
    for i in range(6):
        write_picture(tmp_path, f"photo{i}", i, mask=i < 5)
    data = open_run_data(Config.load(tmp_path).data)
    files = [data.train.files[name] for name in data.train.names]  # type: ignore[attr-defined]
    files[0].write_bytes(b"no image")
    first_mask = data.train.masks[data.labelled_names[0]]  # type: ignore[attr-defined]
    first_mask.write_bytes(b"no mask")
    assert read_facts(data, CPU, own_validation=False).small_side == 64
    for path in files:
        path.write_bytes(b"no image")
    with pytest.raises(SemisegError, match=r"photo\d\.png and others cannot be read as images; replace or remove them"):
        read_facts(data, CPU, own_validation=False)


def test_of_many_images_some_headers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(12):
        write_picture(tmp_path, f"photo{i:02d}", i, mask=i < 5)
    seen: list[Path] = []
    size_of = read.image_size
    monkeypatch.setattr(read, "image_size", lambda path: seen.append(path) or size_of(path))
    monkeypatch.setattr(read, "HEADERS", 4)
    assert facts_of(tmp_path).labelled == 4
    assert len(seen) == 4 + 1 and len(set(seen)) == 5
