"""Small GeoTIFF and microscopy files, written as people have them."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import tifffile
from PIL import Image
from rasterio.transform import from_origin

PLACE = from_origin(500_000, 6_000_000, 10, 10)


def write_geotiff(path: Path, bands: np.ndarray, nodata: float | None = None, **more: Any) -> np.ndarray:
    """Bands (C, H, W) as a GeoTIFF at 10 m a pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"crs": "EPSG:32632", "transform": PLACE, "nodata": nodata} | more
    with rasterio.open(path, "w", driver="GTiff", height=bands.shape[1], width=bands.shape[2], count=len(bands),
                       dtype=bands.dtype, **options) as file:  # fmt: skip
        file.write(bands)
    return bands


def scene(seed: int, size: tuple[int, int], channels: int, highest: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """uint16 (C, H, W) of which the first channels tell three stripes apart, and the classes of these (H, W)."""
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(4, size[1] - 4, 2))
    label = rng.permutation(3).astype(np.uint8)[np.digitize(np.arange(size[1]), cuts)][None].repeat(size[0], 0)
    bands = rng.integers(1, highest // 4, (channels, *size))
    for band in range(channels):
        bands[band] += (label == band % 3) * (highest // 2)
    return bands.astype(np.uint16), label


def geo_folder(root: Path, channels: int = 4, count: int = 6, masks: int = 5, side: int = 48) -> Path:
    """GeoTIFF images with two rows without data, and GeoTIFF masks of the same place."""
    for i in range(count):
        bands, label = scene(i, (side, side), channels)
        bands[:, :2] = 0
        write_geotiff(root / "images" / f"scene{i}.tif", bands, nodata=0)
        if i < masks:
            write_geotiff(root / "masks" / f"scene{i}.tif", label[None])
    return root


def cell_folder(root: Path, count: int = 6, masks: int = 5, planes: int = 3, side: int = 48) -> Path:
    """Grey OME-TIFF images of 16 bits, 12 of them used, with planes along Z; PNG masks."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for i in range(count):
        bands, label = scene(i, (side, side), 1)
        stack = np.stack([bands[0] // (1 + z) for z in range(planes)])
        tifffile.imwrite(root / "images" / f"cell{i}.ome.tif", stack, metadata={"axes": "ZYX"})
        if i < masks:
            Image.fromarray(label).save(root / "masks" / f"cell{i}.ome.png")
    return root


def plot_folder(root: Path, channels: int = 5, count: int = 6, masks: int = 5, side: int = 48) -> Path:
    """TIFF images of several channels of 8 bits, as a drone's camera has them; PNG masks."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for i in range(count):
        bands, label = scene(i, (side, side), channels, 250)
        tifffile.imwrite(root / "images" / f"plot{i}.tif", bands.astype(np.uint8), metadata={"axes": "CYX"})
        if i < masks:
            Image.fromarray(label).save(root / "masks" / f"plot{i}.png")
    return root
