"""Images in, masks and overlays out."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

from semiseg import distributed
from semiseg.data.loading import resize_image
from semiseg.errors import SemisegError, UsageError
from semiseg.inference import autocast, evaluating, predict_classes
from semiseg.visualise import overlay as blend
from semiseg.visualise import palette

if TYPE_CHECKING:
    from semiseg.data.base import DatasetInfo

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class PredictedImage:
    """One image's prediction: its files, and the fraction of its pixels of every class (summing to 1)."""

    path: Path
    mask_path: Path
    overlay_path: Path | None
    shares: dict[str, float]


@dataclass(frozen=True)
class FailedImage:
    """An image that was skipped, and why, in one line."""

    path: Path
    reason: str


def find_images(inputs: str | Path | Iterable[str | Path]) -> list[Path]:
    """Image files that files, folders (not their subfolders) and glob patterns name, each once, sorted.

    A file that is named itself is taken whatever its suffix, the others by suffix (png, jpg, jpeg, bmp, webp,
    tif, tiff). Raises SemisegError for a path that does not exist or when there is no image at all.
    """
    named = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    found: dict[Path, Path] = {}
    for given in named:
        path = Path(given)
        if path.is_dir():
            files = _images_among(path.iterdir())
        elif path.exists():
            files = [path]
        elif glob.has_magic(str(given)):
            files = _images_among(Path(match) for match in glob.glob(str(given), recursive=True))
        else:
            raise SemisegError(f"{path} does not exist: give image files, folders or patterns such as 'photos/*.jpg'")
        for file in files:
            found.setdefault(file.resolve(), file)
    if not found:
        places = ", ".join(str(given) for given in named) or "nothing"
        raise SemisegError(f"no images in {places}: looked for files ending in {' '.join(SUFFIXES)}")
    return list(found.values())


def _images_among(paths: Iterable[Path]) -> list[Path]:
    # Names that start with a dot are what file managers leave behind ("._photo.jpg"), not images.
    return sorted(p for p in paths if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())


def read_image(path: str | Path) -> np.ndarray:
    """An image file upright (EXIF) as uint8 (H,W,3) RGB; SemisegError says why it cannot be read."""
    try:
        with Image.open(path) as opened:
            mode, image = opened.mode, np.array(ImageOps.exif_transpose(opened).convert("RGB"))
    except (
        Exception
    ) as error:  # decoders of damaged files raise nearly anything: OSError, SyntaxError, struct.error ...
        raise SemisegError(f"{path} cannot be read as an image: {' '.join(str(error).split())}") from error
    if mode.startswith(("I", "F")):  # Pillow would clip such values to white
        raise SemisegError(f"{path} holds 16-bit or floating-point grey values: convert it to 8 bits")
    return image


def predict_array(
    network: nn.Module,
    image: np.ndarray,
    mode: str = "whole",
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    device: torch.device | str | None = None,
    precision: str = "float32",
    resize: tuple[int, int] | None = None,
) -> np.ndarray:
    """Classes of one image: uint8 (H,W,3) RGB -> uint8 (H,W). `device` moves the network.

    With `resize` (height, width) the network sees the image at the size it was trained on; the logits are
    brought back to the image's own.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UsageError(f"an image is uint8 (H,W,3) RGB, not {image.dtype} {image.shape}")
    with evaluating(network, device) as place, autocast(place, precision):
        seen = image if resize is None else resize_image(image, resize)
        # Made as in evaluation, strides included: another memory layout rounds differently, and ties would fall so.
        batch = torch.from_numpy(np.stack([seen])).to(place).permute(0, 3, 1, 2).float().div_(255)
        size = (image.shape[0], image.shape[1])
        classes = predict_classes(network, batch, size, mode=mode, window=window, stride=stride)
        return classes[0].to(torch.uint8).cpu().numpy()


def predict_files(
    network: nn.Module,
    info: DatasetInfo,
    paths: str | Path | Iterable[str | Path],
    output: str | Path,
    overlay: bool = True,
    device: torch.device | str | None = None,
    mode: str = "whole",
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    precision: str = "float32",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    resize: tuple[int, int] | None = None,
    across_processes: bool = False,
) -> tuple[list[PredictedImage], list[FailedImage]]:
    """Write `output`/masks/STEM.png and, with `overlay`, `output`/overlays/STEM.png at each image's size.

    A mask is a palette PNG: its values are the class ids, its palette `info.colours`. `paths` are what
    `find_images` takes. An image that cannot be read, or does not fit in the device's memory, is skipped and
    returned among the failures; `progress(done, total)` counts those too. Raises SemisegError before the
    first forward pass when two images would share an output file, an output file exists and `overwrite` is
    off, or an output file is itself one of the images. `across_processes`: every process takes its share of
    the images and returns that.
    """
    images, folder = find_images(paths), Path(output)
    table = palette(info.colours)
    targets = [_targets(folder, path, overlay) for path in images]
    _refuse_clashes(images, targets, overwrite)
    if across_processes:
        distributed.barrier()  # all have looked before the first writes
        share = slice(distributed.rank(), None, distributed.world())
        images, targets = images[share], targets[share]
    try:
        for name in ("masks", "overlays") if overlay else ("masks",):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemisegError(f"cannot make the output folder {folder}: {error.strerror or error}") from error

    predicted: list[PredictedImage] = []
    failed: list[FailedImage] = []
    for done, (path, (mask_path, overlay_path)) in enumerate(zip(images, targets, strict=True), start=1):
        try:
            image = read_image(path)
            mask = predict_array(network, image, mode, window, stride, device, precision, resize)
        except UsageError:
            raise
        except SemisegError as error:
            failed.append(FailedImage(path, str(error)))
        except torch.OutOfMemoryError:
            size = f"{image.shape[1]}x{image.shape[0]}"
            failed.append(
                FailedImage(path, f"{path} ({size}) does not fit in memory: use mode 'sliding' with a window")
            )
        else:
            if mask.max() >= len(info.classes):
                raise SemisegError(f"the network predicts class {mask.max()} but {info.name} has {len(info.classes)}")
            _save_mask(mask, table, mask_path)
            if overlay_path is not None:
                _save(Image.fromarray(blend(image, mask, info.colours)), overlay_path)
            shares = np.bincount(mask.ravel(), minlength=len(info.classes)) / mask.size
            named = dict(zip(info.classes, shares.tolist(), strict=True))
            predicted.append(PredictedImage(path, mask_path, overlay_path, named))
        if progress is not None:
            progress(done, len(images))
    return predicted, failed


def _targets(folder: Path, path: Path, overlay: bool) -> tuple[Path, Path | None]:
    name = f"{path.stem}.png"
    return folder / "masks" / name, folder / "overlays" / name if overlay else None


def _refuse_clashes(images: Sequence[Path], targets: Sequence[tuple[Path, Path | None]], overwrite: bool) -> None:
    by_mask: dict[Path, Path] = {}
    for path, (mask_path, _) in zip(images, targets, strict=True):
        other = by_mask.setdefault(mask_path, path)
        if other is not path:
            raise SemisegError(
                f"{other} and {path} would both be written to {mask_path}: predict them into different output folders"
            )
    written = [target for pair in targets for target in pair if target is not None]
    inputs = {path.resolve() for path in images}
    for target in written:
        if target.resolve() in inputs:
            raise SemisegError(f"the output {target} is itself one of the images: choose another output folder")
    existing = [str(target) for target in written if target.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 3} more" if len(existing) > 3 else ""
        raise SemisegError(
            f"output files exist: {', '.join(existing[:3])}{more}; choose another folder or --overwrite them"
        )


def _save_mask(mask: np.ndarray, table: np.ndarray, path: Path) -> None:
    picture = Image.fromarray(mask)
    picture.putpalette(table.tobytes())
    _save(picture, path)


def _save(picture: Image.Image, path: Path) -> None:
    try:
        picture.save(path, format="PNG")
    except OSError as error:
        raise SemisegError(f"cannot write {path}: {error.strerror or error}") from error
