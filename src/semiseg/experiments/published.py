"""Rows of the paper's tables whose systems have no recipe that can be run: figures to stand beside, as published there.

Settings of Mendel et al. (ECCV 2020), Wang et al. (CVPRW 2020) and Liu et al. (2021) are in no public code, and could
not be read in their papers; the methods ``error_correcting``, ``semantic_shift`` and ``patch_contrast`` are built from
what could.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """A figure of a table: who it belongs to and what was trained on, as the paper has it, and mIoU in percent."""

    system: str
    title: str
    paper: float


def _row(system: str, what: str, figures: dict[str, float]) -> list[Published]:
    shares = {share: "fully labelled" if share == "full" else f"1/{share} labelled" for share in figures}
    return [Published(system, f"{what.format(shares[share])}: {system}", figure) for share, figure in figures.items()]


CORRECTING = "Error-correcting (Mendel et al. 2020)"
V3PLUS = "{}, DeepLabv3+-ResNet-50, ImageNet"
ADAPTED = "GTA5 → Cityscapes, {}, DeepLabv2-ResNet-101, ImageNet"

PUBLISHED: dict[str, list[Published]] = {
    "2": _row(CORRECTING, f"Cityscapes, {V3PLUS}", {"8": 67.4, "4": 70.7, "full": 74.8}),
    "3": _row(CORRECTING, f"VOC 2012, {V3PLUS}", {"8": 70.2, "full": 76.3}),
    "4": [
        *_row("ASS (Wang et al. 2020)", ADAPTED, {"30": 54.2, "15": 56.0, "6": 60.2, "3": 64.5}),
        *_row("Patch contrast (Liu et al. 2021)", ADAPTED, {"30": 55.2, "15": 57.0, "6": 60.4, "3": 64.6}),
    ],
}
"""By the number of the table."""
