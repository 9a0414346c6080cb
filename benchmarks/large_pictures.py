"""A GeoTIFF of 20 000 × 20 000 pixels through ``predict_files``: seconds, and memory at the highest.

The picture has four channels of 16 bits and a border without data; the network is one 1×1 convolution, which costs
nothing, so that reading, tiling and writing are what is measured. Each side is predicted in a process of its own.
``python benchmarks/large_pictures.py OUTPUT.json --sides 5000 10000 20000``
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from rasterio.windows import Window
from torch import Tensor, nn

from semiseg.data.base import DatasetInfo, default_colours
from semiseg.data.rasters.intensity import PixelSettings
from semiseg.data.rasters.reader import PixelReader
from semiseg.inference.plan import InferencePlan
from semiseg.networks.output import Output
from semiseg.prediction.files import predict_files
from semiseg.runtime.files import write_text
from semiseg.runtime.version import machine, versions

CHANNELS, CLASSES, BLOCK, BORDER = 4, 5, 512, 300
INFO = DatasetInfo("land", tuple(f"class_{i}" for i in range(CLASSES)), default_colours(CLASSES))


class Pixelwise(nn.Module):
    """One 1×1 convolution."""

    channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(CHANNELS, CLASSES, 1)

    def forward(self, images: Tensor) -> Output:
        return Output(self.convolution(images), images)


def write_picture(path: Path, side: int) -> None:
    """A GeoTIFF in blocks, its border without data, never held as a whole."""
    place = from_origin(500_000, 6_000_000, 10, 10)
    with rasterio.open(path, "w", driver="GTiff", height=side, width=side, count=CHANNELS, dtype="uint16",
                       crs="EPSG:32632", transform=place, nodata=0, tiled=True, blockxsize=BLOCK, blockysize=BLOCK,
                       compress="deflate", zlevel=1, BIGTIFF="IF_SAFER") as file:  # fmt: skip
        for top in range(0, side, BLOCK):
            for left in range(0, side, BLOCK):
                y, x = np.mgrid[top : min(top + BLOCK, side), left : min(left + BLOCK, side)]
                values = np.stack([1 + ((x // 16 + (band + 1) * (y // 16)) * 37) % 4000 for band in range(CHANNELS)])
                values[:, (x < BORDER) | (y < BORDER)] = 0
                file.write(values.astype(np.uint16), window=Window(left, top, y.shape[1], y.shape[0]))


def peak() -> int:
    """Bytes of main memory that this process has had at the highest."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


def predict(path: Path, output: Path) -> dict[str, float]:
    """Predict a picture in this process."""
    torch.set_num_threads(1)
    network, reader = Pixelwise(), PixelReader(PixelSettings(CHANNELS, "dataset", ranges=((1.0, 4000.0),)))
    with torch.no_grad():
        network(torch.rand(1, CHANNELS, 512, 512))  # libraries are loaded
    idle, start = peak(), time.perf_counter()
    done, failed = predict_files(
        network, INFO, path, output, plan=InferencePlan(tile=512), confidence=True, pixels=reader
    )
    assert len(done) == 1 and not failed, failed
    return {"seconds": round(time.perf_counter() - start, 1), "peak_mb_above_idle": round((peak() - idle) / 1e6)}


def measure(side: int) -> dict[str, float]:
    """Write a picture and predict it in another process."""
    with tempfile.TemporaryDirectory() as temporary:
        path, output = Path(temporary) / "scene.tif", Path(temporary) / "out"
        write_picture(path, side)
        command = [sys.executable, __file__, "--predict", str(path), str(output)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        with rasterio.open(path) as scene, rasterio.open(output / "masks" / "scene.tif") as mask:
            assert (mask.crs, mask.transform, mask.nodata) == (scene.crs, scene.transform, 255)
            corner = mask.read(1, window=Window(0, 0, BORDER + 1, BORDER + 1))
            assert (corner[:BORDER] == 255).all() and corner[BORDER, BORDER] < CLASSES
        picture_mb = round(side * side * CHANNELS * 2 / 1e6)
        return {"side": side, "picture_mb": picture_mb, "file_mb": round(path.stat().st_size / 1e6)} | found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--sides", type=int, nargs="+", default=[5000, 10000, 20000])
    parser.add_argument("--predict", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.predict:
        print(json.dumps(predict(*arguments.predict)))
        return
    rows = [measure(side) for side in arguments.sides]
    result = {
        "command": f"python benchmarks/large_pictures.py OUTPUT.json --sides {' '.join(map(str, arguments.sides))}",
        "date": str(date.today()), "machine": machine(),
        "versions": versions() | {"rasterio": rasterio.__version__, "gdal": rasterio.__gdal_version__}, "rows": rows,
    }  # fmt: skip
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if arguments.output is not None:
        write_text(arguments.output, text)


if __name__ == "__main__":
    main()
