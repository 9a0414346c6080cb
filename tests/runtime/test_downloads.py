"""Downloads from a server of our own: checksum, cache, and what an address says that does not answer."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from semiseg.errors import SemisegError
from semiseg.runtime import downloads

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "archive.zip"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "things"


def fetch(address, sha256=SHA256):
    return downloads.fetch(address, sha256, "things", "or do without")


@pytest.fixture
def server(cache):
    """Serves CONTENT under NAME, the half of it under half-…, and waits for ever at silent-…"""
    asked, release = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if "silent" in self.path:
                release.wait(5)
                return
            self.send_response(404 if "missing" in self.path else 200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[: len(CONTENT) // 2] if "half" in self.path else CONTENT)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}", asked
        release.set()
        httpd.shutdown()


def test_a_file_is_fetched_once(server, cache, capfd):
    address, asked = server
    path = fetch(f"{address}/{NAME}")
    assert path == cache / NAME and path.read_bytes() == CONTENT
    assert "100" in capfd.readouterr().err  # progress is shown
    assert fetch(f"{address}/{NAME}") == path
    assert asked == [f"/{NAME}"]


def test_the_first_digits_of_a_checksum_are_enough(server, cache):
    assert fetch(f"{server[0]}/{NAME}", SHA256[:8]) == cache / NAME == downloads.cached(f"{server[0]}/{NAME}", "things")


@pytest.mark.parametrize(("name", "sha256"), [("half-" + NAME, SHA256), (NAME, "0badc0de")])
def test_a_wrong_checksum_leaves_nothing_behind(server, cache, name, sha256):
    with pytest.raises(SemisegError, match="invalid hash value") as caught:
        fetch(f"{server[0]}/{name}", sha256)
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "{server}/missing", "{server}/silent"])
def test_a_dead_address_is_one_line_with_the_mend(server, cache, address, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
    address = address.format(server=server[0])
    with pytest.raises(SemisegError) as caught:
        fetch(address)
    message = str(caught.value)
    assert message.startswith(f"{address} could not be downloaded (") and "\n" not in message
    assert message.endswith(", or do without") and f"save a copy from elsewhere as {cache}" in message
    assert list(cache.iterdir()) == []


def test_a_file_put_into_the_cache_by_hand_is_checked(server, cache):
    cache.mkdir()
    (cache / NAME).write_bytes(CONTENT)
    assert fetch(f"http://127.0.0.1:9/{NAME}") == cache / NAME
    (cache / NAME).write_bytes(CONTENT[:-1])
    with pytest.raises(SemisegError, match=rf"SHA-256 of {cache / NAME} does not begin with .*; delete the file"):
        fetch(f"{server[0]}/{NAME}")


def test_a_cache_that_cannot_be_made_is_named(server, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(SemisegError, match=r"could not be downloaded \(.*File exists"):
        fetch(f"{server[0]}/{NAME}")
