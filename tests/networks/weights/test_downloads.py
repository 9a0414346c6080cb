"""Weights from an address: the checksum is the one in the name, and a failed download says what else would do."""

import hashlib

import pytest
import torch

from semiseg.errors import SemisegError
from semiseg.networks.weights import downloads

CONTENT = b"weights" * 100
NAME = f"weights-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_the_digits_in_the_name_are_checked(tmp_path, cache):
    address = (tmp_path / NAME).as_uri()
    (tmp_path / NAME).write_bytes(CONTENT)
    assert not downloads.at_hand(address)
    assert downloads.fetch(address) == cache / NAME and downloads.at_hand(address)
    (cache / NAME).unlink()
    (tmp_path / NAME).write_bytes(CONTENT[1:])
    with pytest.raises(SemisegError, match="invalid hash value"):
        downloads.fetch(address)


def test_without_the_file_a_failure_says_what_else_would_do(tmp_path, cache):
    with pytest.raises(SemisegError) as caught:
        downloads.fetch((tmp_path / NAME).as_uri())
    message = str(caught.value)
    assert f"save a copy from elsewhere as {cache / NAME}, or give network.pretrained=FILE" in message
