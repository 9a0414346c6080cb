"""A page that follows a run, served on this machine alone with the standard library."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from semiseg.app.guard import is_own_host
from semiseg.errors import SemisegError
from semiseg.report.facts import read_run
from semiseg.report.live import live_page, state_of

HOST = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip
"""Beside the policy that stands in the page itself."""


class WatchServer(ThreadingHTTPServer):
    """Serves ``/``, the page, and ``/state``, where the run stands; reads the run folder and writes nothing.

    Args:
        run: the run folder.
        port: of 127.0.0.1; 0 takes any.
        images: validation images on the page.

    Raises:
        UsageError: no run folder.
        SemisegError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, run: Path, port: int, images: int) -> None:
        self.run, self.images, self.facts = run, images, read_run(run)
        self.making, self.made = Lock(), ("", b"")
        try:
            super().__init__((HOST, port), _Request)
        except OSError as error:
            raise SemisegError(
                f"port {port} of {HOST} cannot be opened; if it is in use, choose another --port"
            ) from error

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}"

    def state(self) -> bytes:
        """JSON: ``words``, ``version`` and ``ended``."""
        return json.dumps(state_of(self.facts)._asdict()).encode()

    def page(self) -> bytes:
        """The page, made anew only where it would differ."""
        with self.making:
            version = state_of(self.facts).version
            if version != self.made[0]:
                self.made = version, live_page(self.run, self.images).encode(errors="replace")
            return self.made[1]


class _Request(BaseHTTPRequestHandler):
    server: WatchServer

    def do_GET(self) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not is_own_host(hosts[0], HOST):
            text = "This page answers to the name of its own machine only, as semiseg watch printed it.\n"
            self._send(421, "text/plain", text.encode())
            return
        pages: dict[str, tuple[str, Callable[[], bytes]]] = {
            "/": ("text/html", self.server.page), "/state": ("application/json", self.server.state),
        }  # fmt: skip
        kind, make = pages.get(urlsplit(self.path).path, ("text/plain", None))
        if make is None:
            self._send(404, kind, b"There is / and /state.\n")
            return
        try:
            body = make()
        except SemisegError as error:  # the folder was moved, or edited in what a run cannot change
            self._send(503, "text/plain", f"{error}\n".encode(), {"Refresh": "3"})
            return
        self._send(200, kind, body)

    do_HEAD = do_GET

    def _send(self, status: int, kind: str, body: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        sizes = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body))}
        for name, value in {**sizes, **HEADERS, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "semiseg"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the terminal is for the user."""
