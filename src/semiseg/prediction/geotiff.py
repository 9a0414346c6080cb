"""Predictions of a georeferenced picture: read in windows and written block by block, where the picture lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from semiseg.data.base import IGNORE, DatasetInfo
from semiseg.data.rasters import geotiff
from semiseg.data.rasters.reader import OpenPicture, PixelReader
from semiseg.data.windows import Window
from semiseg.errors import SemisegError
from semiseg.inference.plan import InferencePlan, segment, segment_in_tiles
from semiseg.prediction.outputs import Targets, as_grey
from semiseg.prediction.stored import no_content, stored
from semiseg.runtime.files import replacing
from semiseg.visualise import as_rgb, overlay

TILE = 512
"""Tiles that a picture of more than ``WHOLE`` pixels is predicted in where none are asked for."""
WHOLE = 2**22
BLOCK = 256  # pixels of a side of a written block


def predict_geotiff(
    network: nn.Module,
    info: DatasetInfo,
    path: Path,
    target: Targets,
    plan: InferencePlan,
    device: torch.device | str | None,
    reader: PixelReader,
    shown: tuple[int, int, int] | None,
    check: Callable[[np.ndarray], None],
) -> dict[str, float]:
    """Write the classes in the values of the training masks, with overlay and confidence where asked for.

    Where the picture has no content, 255.

    Neither the picture nor a prediction of it is ever held as a whole, unless it has at most ``WHOLE`` pixels and no
    tiles are asked for. All files have the picture's CRS and transform; that of the classes has 255 as its no-data
    value, and the classes' colours and names.

    Args:
        network, info, path, plan, device: as :func:`semiseg.prediction.files.predict_files` takes them.
        target: the files to write.
        reader: reads the picture.
        shown: channels of the overlay, see :func:`semiseg.visualise.as_rgb`.
        check: called with the classes of every block.

    Returns:
        Fractions, by class name, of the pixels that are content.

    Raises:
        SemisegError: the picture cannot be read, a file cannot be written, or it is large, the network was trained on
            resized images and no tiles are asked for.
    """
    counts = np.zeros(IGNORE + 1, np.int64)
    with reader.open(path) as picture, ExitStack() as files:
        assert isinstance(picture.raster, geotiff.GeoRaster)
        if plan.tile is None and picture.size[0] * picture.size[1] > WHOLE:
            if plan.resize is not None:
                raise SemisegError(f"{path} is too large to be predicted at once; give --tile {TILE}")
            plan = replace(plan, tile=TILE)
        source = picture.raster.dataset
        kind = stored(np.zeros(1, np.uint8), info).dtype.name
        masks = files.enter_context(_created(target.mask, source, nodata=no_content(info.values), dtype=kind))
        overlays = files.enter_context(_created(target.overlay, source, count=3)) if target.overlay else None
        sure = files.enter_context(_created(target.confidence, source, nodata=0)) if target.confidence else None
        if kind == "uint8":
            masks.write_colormap(1, dict(zip(info.values, info.colours, strict=True)))
        masks.update_tags(1, **{f"CLASS_{v}": name for v, name in zip(info.values, info.classes, strict=True)})

        def write(rows: slice, columns: slice, classes: np.ndarray, confidence: np.ndarray | None) -> None:
            check(classes)
            window = Window(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
            at = geotiff.slices(window)
            valid = picture.valid(window)
            if valid is not None:
                classes = np.where(valid, classes, np.uint8(IGNORE))
            counts[:] += np.bincount(classes.ravel(), minlength=IGNORE + 1)
            masks.write(stored(classes, info), 1, window=at)
            if overlays is not None:
                blended = overlay(as_rgb(picture.image(window), shown), classes, info.colours)
                overlays.write(blended.transpose(2, 0, 1), window=at)
            if sure is not None and confidence is not None:
                sure.write(as_grey(confidence if valid is None else confidence * valid), 1, window=at)

        _segment(network, picture, plan, device, sure is not None, write)
    return _shares(counts, info.classes)


def _segment(
    network: nn.Module,
    picture: OpenPicture,
    plan: InferencePlan,
    device: torch.device | str | None,
    confidence: bool,
    write: Callable[[slice, slice, np.ndarray, np.ndarray | None], None],
) -> None:
    height, width = picture.size
    if plan.tile is None:
        write(slice(0, height), slice(0, width), *segment(network, picture.image(), plan, device, confidence))
        return

    def read(rows: slice, columns: slice) -> np.ndarray:
        window = Window(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
        return picture.image(window)

    segment_in_tiles(network, read, picture.size, plan, write, device, confidence)


@contextmanager
def _created(
    path: Path | None, source: Any, count: int = 1, nodata: int | None = None, dtype: str = "uint8"
) -> Iterator[Any]:
    """A GeoTIFF to write, where ``source`` lies; it appears whole or not at all."""
    assert path is not None
    with replacing(path) as partial, geotiff.library().open(
        partial, "w", driver="GTiff", height=source.height, width=source.width, count=count, dtype=dtype,
        crs=source.crs, transform=source.transform, nodata=nodata, compress="deflate", tiled=True,
        blockxsize=BLOCK, blockysize=BLOCK, BIGTIFF="IF_SAFER", **({"photometric": "rgb"} if count == 3 else {}),
    ) as created:  # fmt: skip
        points, crs = source.gcps
        if points:
            created.gcps = points, crs
        if "AREA_OR_POINT" in source.tags():
            created.update_tags(AREA_OR_POINT=source.tags()["AREA_OR_POINT"])
        yield created


def _shares(counts: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    known = counts[: len(classes)]
    return dict(zip(classes, (known / max(1, known.sum())).tolist(), strict=True))
