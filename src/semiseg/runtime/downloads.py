"""Published files, fetched once into a cache and checked by their SHA-256.

PyTorch's own ``torch.hub`` fetches: it shows progress and moves a file to its place only when it is complete and its
checksum is right. The cache is torch.hub's too, so that what other programs fetched is found there.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import torch

from semiseg.errors import SemisegError

TIMEOUT = 30.0  # seconds without an answer or a byte; urlopen alone waits as long as the system lets it


def cached(address: str, kind: str) -> Path:
    """Where the file behind ``address`` is kept, whether it is there or not: ``$TORCH_HOME/hub/KIND/NAME``.

    ``$TORCH_HOME`` is ``~/.cache/torch`` by default; torch.hub's own kind is ``checkpoints``.
    """
    return Path(torch.hub.get_dir()) / kind / Path(urlparse(address).path).name


def fetch(address: str, sha256: str, kind: str, otherwise: str) -> Path:
    """The file behind ``address``, from the cache or downloaded into it, with the right checksum in either case.

    Args:
        address: of the file.
        sha256: its checksum in hexadecimal, or the first digits of it where no more is published.
        kind: folder of the cache, see :func:`cached`.
        otherwise: what follows "save a copy from elsewhere as FILE, " in the error of a failed download.

    Raises:
        SemisegError: the address does not answer, the cache cannot be written, or the checksum is wrong.
    """
    path = cached(address, kind)
    if path.is_file():
        if not _sha256(path).startswith(sha256):
            raise SemisegError(f"the SHA-256 of {path} does not begin with {sha256}; delete the file and try again")
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _timeout(TIMEOUT):
            torch.hub.download_url_to_file(address, str(path), sha256, progress=True)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise SemisegError(
            f"{address} could not be downloaded ({error}); save a copy from elsewhere as {path}, {otherwise}"
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
