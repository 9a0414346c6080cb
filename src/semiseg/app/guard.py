"""What the page does not answer: other sites that pretend to be it, and files that nobody sent it."""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

from semiseg.errors import SemisegError, one_line

# The page must fetch nothing from other addresses, whatever a release of Gradio links to.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
)


def is_own_host(header: str | None, host: str) -> bool:
    """Whether a request's Host names this machine: by number, as localhost, by its own name or as ``host``.

    Any other site may let its name point here (DNS rebinding), and its scripts could then read what the page shows;
    they cannot pretend to come from a bare number.
    """
    name = (header or "").strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        machine = socket.gethostname().lower()
        return name.rstrip(".") in {"localhost", host.lower(), machine, f"{machine}.local", machine.partition(".")[0]}
    return True


class Guard:
    """ASGI middleware: only requests to this machine's own names are answered, and what is answered forbids the browser
    to fetch from any other address.

    Args:
        app: what answers.
        host: the address that the page listens on.
    """

    def __init__(self, app: Any, host: str = "127.0.0.1") -> None:
        self.app, self.host = app, host

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on and add the policy to the response."""

        async def guarded(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        if scope["type"] in ("http", "websocket"):
            given = [value.decode("latin-1") for key, value in scope["headers"] if key == b"host"]
            if len(given) != 1 or not is_own_host(given[0], self.host):
                await _refuse(scope, send)
                return
        await self.app(scope, receive, guarded)


async def _refuse(scope: dict[str, Any], send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    text = b"This page answers to the name of its own machine only, as semiseg app printed it.\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def refuse_foreign_files(page: Any, gr: Any) -> None:
    """Let ``page`` (Gradio's Blocks) say one line where a request names a file that was not sent to it.

    Gradio refuses those too, with a traceback, but would fetch an address for whoever asks.
    """
    preprocess = page.preprocess_data

    async def checked(block: Any, inputs: Any, *rest: Any, **more: Any) -> Any:
        try:
            if any(_names_address(value) for value in inputs):
                raise SemisegError("it names an address, and nothing is fetched")
            return await preprocess(block, inputs, *rest, **more)
        except gr.Error:
            raise
        except Exception as error:  # whatever a request that was made by hand leads to
            print(f"semiseg: a request was refused ({one_line(error)})", file=sys.stderr)
            raise gr.Error("only images that were dropped here are read", print_exception=False) from None

    page.preprocess_data = checked


def _names_address(value: Any) -> bool:
    if isinstance(value, dict):
        path = value.get("path")
        return (isinstance(path, str) and "://" in path) or any(_names_address(inner) for inner in value.values()
                                                              if not isinstance(inner, str))  # fmt: skip
    return isinstance(value, list) and any(_names_address(inner) for inner in value)
