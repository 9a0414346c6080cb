"""GeoJSON, one file an image, as QuPath exports and imports its annotations: pixels for degrees, y downwards.

``properties.objectType`` and ``properties.classification`` (name, colour) are QuPath's; other programs pass over them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from semiseg.prediction.tools.job import Job, plain
from semiseg.runtime.files import write_text

ROOT = "geojson"


def geojson_files(images: list[Path]) -> list[str]:
    """What :func:`write_geojson` writes."""
    return [f"{ROOT}/{image.stem}.geojson" for image in images]


def write_geojson(job: Job) -> list[str]:
    """Write ``geojson/NAME.geojson``; returns what to do with them."""
    (job.folder / ROOT).mkdir(parents=True, exist_ok=True)
    kinds = {k: {"name": name, "color": list(job.colours[k])} for k, name in job.drawn.items()}
    for picture, mask in job.each():
        features = [
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [_ring(r) for r in (region.outer, *region.holes)]},
                "properties": {"objectType": "annotation", "classification": kinds[region.number]},
            }
            for region in job.regions(mask)
        ]
        text = json.dumps({"type": "FeatureCollection", "features": features})
        write_text(job.folder / ROOT / f"{picture.image.stem}.geojson", text)
    return [f"drop {ROOT}/NAME.geojson on the image NAME in QuPath, or import it as objects"]


def _ring(corners: np.ndarray) -> list[list[float]]:
    """Closed, as the standard asks for."""
    values = plain(corners)
    points = [list(pair) for pair in zip(values[::2], values[1::2], strict=True)]
    return [*points, points[0]]
