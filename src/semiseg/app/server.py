"""Serving the page on this machine, with nothing fetched from or sent to others."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from semiseg.app.guard import Guard
from semiseg.app.page import STYLE, build, gradio
from semiseg.errors import SemisegError
from semiseg.prediction.predictor import Predictor
from semiseg.runtime.extras import first_line, require

MAX_MEGABYTES = 50


def serve(
    predictor: Predictor,
    title: str = "semiseg",
    host: str = "127.0.0.1",
    port: int = 7860,
    ready: Callable[[str], None] | None = None,
    wait: bool = True,
    meaning: Sequence[str] = (),
    example: np.ndarray | None = None,
) -> Any:
    """Open the page at http://host:port and serve it until interrupted.

    Uploads above MAX_MEGABYTES are refused, and files that are not in one of ``image.FORMATS`` are not opened. Neither
    this process nor the page sends anything elsewhere, and requests under the names of other sites are refused.

    Args:
        predictor: the network, and how it predicts.
        title: of the page.
        host: address to listen on.
        port: of that address.
        ready: called with the address of the page.
        wait: whether to block until interrupted.
        meaning: sentences about the run, shown on top.
        example: uint8 (H,W,3), an image that the page opens with.

    Returns:
        Gradio's Blocks.

    Raises:
        SemisegError: Gradio is not installed, or the port is taken.
    """
    gr = gradio()
    with tempfile.TemporaryDirectory(prefix="semiseg-app-", ignore_cleanup_errors=True) as uploads:
        if wait:
            os.environ["GRADIO_TEMP_DIR"] = uploads
        _without_proxy(host)
        page = build(predictor, title, meaning, example)
        guard = require("starlette.middleware", "app", "semiseg app").Middleware(Guard, host=host)
        system = ("ui-sans-serif", "system-ui", "sans-serif"), ("ui-monospace", "monospace")
        try:
            page.launch(
                server_name=host,
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=MAX_MEGABYTES * 2**20,
                app_kwargs={"middleware": [guard]},
                theme=gr.themes.Default(font=system[0], font_mono=system[1]),
                css=STYLE,
                footer_links=[],
                enable_monitoring=False,
                run_history=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
            )
        except OSError as error:
            raise SemisegError(
                f"port {port} of {host} cannot be opened; if it is in use, choose another --port"
            ) from error
        except Exception as error:  # what Gradio and its HTTP client raise when the page does not answer
            raise SemisegError(f"the page at {host}:{port} does not answer ({first_line(error)}); check --host"
                               ) from error  # fmt: skip
        if ready is not None:
            ready(page.local_url)
        if wait:
            page.block_thread()
    return page


def _without_proxy(host: str) -> None:
    """Gradio requests its page to see whether it answers; a proxy could not reach this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        known = [part for part in os.environ.get(name, "").split(",") if part]
        os.environ[name] = ",".join(dict.fromkeys([*known, "127.0.0.1", "localhost", host]))
