"""Published files of weights, fetched once into a cache and checked against the checksum in their names.

PyTorch's own ``torch.hub`` fetches: it shows progress, checks SHA-256 by the digits in a name (all that is published
of these files) and moves a file to its place only when it is complete. The cache is torch.hub's too, so that what
other programs fetched is found there.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import torch

from semiseg.errors import SemisegError

TIMEOUT = 30.0  # seconds without an answer or a byte; urlopen alone waits as long as the system lets it


def cache_folder() -> Path:
    """``$TORCH_HOME/hub/checkpoints``, by default ``~/.cache/torch/hub/checkpoints``."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch(address: str) -> Path:
    """The file behind ``address``, from the cache or downloaded into it, with the right checksum in either case.

    Args:
        address: of a file whose name ends in the first digits of its SHA-256, as in ``resnet50-0676ba61.pth``.

    Raises:
        SemisegError: the address does not answer, the cache cannot be written, or the checksum is wrong.
    """
    path = cache_folder() / Path(urlparse(address).path).name
    digits = re.search(r"-([0-9a-f]+)\.\w+$", path.name)
    assert digits is not None, f"no checksum in the name of {address}"
    if path.is_file():
        if not _sha256(path).startswith(digits[1]):
            raise SemisegError(f"the SHA-256 of {path} does not begin with {digits[1]}; delete the file and try again")
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _timeout(TIMEOUT):
            torch.hub.download_url_to_file(address, str(path), digits[1], progress=True)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise SemisegError(
            f"{address} could not be downloaded ({error}); save a copy from elsewhere as {path}, "
            "or give network.pretrained=FILE"
        ) from error
    return path


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
