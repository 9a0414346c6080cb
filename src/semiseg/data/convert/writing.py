"""The folder that a conversion leaves: images/, masks/ and dataset.yaml."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import yaml
from PIL import Image, ImageOps

from semiseg.data import pictures
from semiseg.data.base import Colour, Size
from semiseg.data.convert.depth import in_bytes, read_deep
from semiseg.data.convert.export import Picture
from semiseg.data.files import SUFFIXES
from semiseg.errors import SemisegError, UsageError

_BY_FORMAT = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WEBP": ".webp", "TIFF": ".tif", "MPO": ".jpg"}


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``path`` when all went well; nothing is left of it otherwise.

    Raises:
        UsageError: ``path`` exists and is not an empty folder.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UsageError(f"{path} exists; nothing is overwritten: choose another --output")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        inside = made / path.name  # mkdtemp's own folder is closed to other users
        inside.mkdir()
        yield inside
        if path.exists():
            path.rmdir()
        inside.rename(path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def output_names(pictures: Sequence[Picture]) -> list[str]:
    """A stem for every picture: its own; where it is taken, with the name of its folder before it, then a number."""
    taken: set[tuple[str, str]] = set()
    names = []
    for picture in pictures:
        path = PurePosixPath(picture.name.replace("\\", "/"))
        above = path.parent.name
        candidates = [path.stem, *([f"{above}_{path.stem}"] if above not in ("", "..") else [])]
        candidates += [f"{path.stem}-{i}" for i in range(2, len(pictures) + 2)]
        name = next(name for name in candidates if (picture.split, name.lower()) not in taken)
        taken.add((picture.split, name.lower()))  # some file systems do not tell A from a
        names.append(name)
    return names


def upright_size(picture: Picture) -> Size:
    """(height, width) of the image as it is seen.

    Raises:
        SemisegError: it cannot be read.
    """
    try:
        with _open(picture) as image:
            return pictures.upright_size(image)
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise SemisegError(f"{_source(picture)} cannot be read as an image ({error}); replace or remove it") from None


def write_image(picture: Picture, folder: Path, stem: str, depth: int = 8) -> None:
    """Copy the file as it is; formats that training does not read, and images of ``depth`` bits, are saved as PNG."""
    try:
        with _open(picture) as image:  # what is no image is not copied, whatever its name
            if isinstance(picture.file, Path) and depth > 8 and pictures.is_deep(image):
                Image.fromarray(in_bytes(read_deep(picture.file), depth)).save(folder / f"{stem}.png")
                return
            if isinstance(picture.file, Path) and picture.file.suffix.lower() in SUFFIXES:
                shutil.copyfile(picture.file, folder / f"{stem}{picture.file.suffix.lower()}")
                return
            suffix = _BY_FORMAT.get(str(image.format))
            if suffix and isinstance(picture.file, bytes):
                (folder / f"{stem}{suffix}").write_bytes(picture.file)
            else:
                ImageOps.exif_transpose(image).convert("RGB").save(folder / f"{stem}.png")
    except Exception as error:  # as above
        raise SemisegError(f"{_source(picture)} cannot be read as an image ({error}); replace or remove it") from None


def write_mask(mask: np.ndarray, colours: Sequence[Colour], path: Path) -> None:
    """Classes, uint8 (H, W), as a palette PNG in the classes' colours; other values are black in it."""
    image = Image.fromarray(mask)
    values = [value for colour in colours for value in colour]
    image.putpalette(values + [0] * (768 - len(values)))
    image.save(path)


def is_turned(picture: Picture) -> bool:
    """Whether the image that :func:`write_image` copies is turned by an EXIF tag."""
    with _open(picture) as image:
        return pictures.orientation(image) != 1


def write_description(
    folder: Path, name: str, classes: Sequence[str], colours: Sequence[Colour], turned: bool = False
) -> None:
    """dataset.yaml with the classes' names and colours; where images are ``turned``, that masks lie on them upright."""
    sheet = {"name": name, "classes": list(classes), "colours": [list(colour) for colour in colours]}
    sheet |= {"orientation": "upright"} if turned else {}
    text = yaml.safe_dump(sheet, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    (folder / "dataset.yaml").write_text(text, encoding="utf-8")


def _open(picture: Picture) -> Image.Image:
    return Image.open(
        BytesIO(picture.file) if isinstance(picture.file, bytes) else picture.file, formats=pictures.FORMATS
    )


def _source(picture: Picture) -> str:
    return str(picture.file) if isinstance(picture.file, Path) else f"the copy of {picture.name} in its JSON file"
