"""Published files of weights, whose names end in the first digits of their SHA-256: all that is published of it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlparse

from semiseg.runtime import downloads

KIND = "checkpoints"  # torch.hub's folder for weights


def at_hand(address: str) -> bool:
    """Whether :func:`fetch` would find the file in the cache."""
    return downloads.cached(address, KIND).is_file()


def fetch(address: str) -> Path:
    """The file behind ``address``, from the cache or downloaded into it, with the right checksum in either case.

    Args:
        address: of a file whose name ends in the first digits of its SHA-256, as in ``resnet50-0676ba61.pth``.

    Raises:
        SemisegError: the address does not answer, the cache cannot be written, or the checksum is wrong.
    """
    digits = re.search(r"-([0-9a-f]+)\.\w+$", urlparse(address).path)
    assert digits is not None, f"no checksum in the name of {address}"
    return downloads.fetch(address, digits[1], KIND, "or give network.pretrained=FILE")
