"""Options of the commands that write pre-annotations, and what they say at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

For = Annotated[
    str | None,
    typer.Option("--for", help="Also write pre-annotations for labelstudio, cvat, coco, yolo or geojson (QuPath)."),
]
Shapes = Annotated[
    str | None, typer.Option(help="With --for labelstudio or coco: polygons or masks, where the other is usual.")
]
ImageUrl = Annotated[
    str | None,
    typer.Option(help="With --for labelstudio: what stands before an image's path; default: its local files."),
]


def say(lines: Sequence[str]) -> None:
    """Print what to do with the files."""
    for line in lines:
        print(line)
