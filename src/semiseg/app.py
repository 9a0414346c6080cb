"""A local page: drop an image and see what a trained network predicts. Needs the extra ``app``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
import torch
from PIL import Image

from semiseg.data.base import resized
from semiseg.errors import SemisegError
from semiseg.inference.plan import InferencePlan, out_of_memory, segment
from semiseg.prediction.class_shares import class_shares
from semiseg.prediction.inputs import read_image
from semiseg.prediction.outputs import as_grey
from semiseg.prediction.predictor import Predictor, training_scale
from semiseg.runtime.extras import first_line, require
from semiseg.visualise import colourise
from semiseg.visualise import overlay as blend

MAX_MEGABYTES = 50
WHOLE_BYTES = 2**28
"""Images whose class probabilities take up to this many bytes are predicted whole, larger ones in tiles."""
WHOLE_PIXELS = 2**23
"""The same for images that are not resized, in pixels: the features of the network need memory as well."""
TILE = 512
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
"""Formats that an upload may have, whatever its name: for others Pillow might run Ghostscript."""
SHOWN_SIDE = 2000
"""Longest side of the pictures sent to the browser, in pixels."""

# The page must fetch nothing from other addresses, whatever a release of Gradio links to.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
)
STYLE = """
.image-frame img { width: 100%; height: 100%; object-fit: contain; }
#shares table { width: 100%; border: none; }
#shares caption { text-align: left; font-weight: 600; }
#shares td { border: none; padding: .2em .5em; }
#shares .swatch { width: 1em; height: 1em; border: 1px solid; }
#shares .bar { width: 50%; }
#shares .bar div { height: .7em; }
#shares .share { text-align: right; white-space: nowrap; }
"""


def plan_for(predictor: Predictor, height: int, width: int) -> InferencePlan:
    """The plan of the predictor, or one with tiles for an image above WHOLE_BYTES or WHOLE_PIXELS."""
    plan, size = predictor.plan, height * width * predictor.info.num_classes * 4
    fits = size <= WHOLE_BYTES and (plan.resize is not None or height * width <= WHOLE_PIXELS)
    if plan.tile is not None or fits:
        return plan
    try:
        scale = training_scale(predictor.config)
    except SemisegError:  # the training images are gone: the network sees the tiles at the scale of the whole image
        down, across = resized((height, width), plan.resize)
        scale = (down / height, across / width)
    return replace(plan, tile=TILE, scale=scale)


def describe(
    predictor: Predictor, path: str
) -> tuple[str, str, Image.Image, Image.Image, tuple[np.ndarray, np.ndarray]]:
    """What the page shows of an image file.

    Returns:
        A line about the image, the class shares as HTML, the coloured mask, the confidence in grey, and image and mask,
        uint8 (h,w,3) and (h,w), at the size shown.

    Raises:
        SemisegError: the file cannot be read.
    """
    image = read_image(path, formats=FORMATS)
    height, width = image.shape[:2]
    plan = plan_for(predictor, height, width)
    mask, confidence = segment(predictor.network, image, plan, predictor.device)
    assert confidence is not None
    tiles = f", in tiles of {plan.tile}" if plan.tile else ""
    line = f"{width} × {height} pixels{tiles}; mean confidence {100 * float(confidence.mean()):.1f} %"
    picture, classes, grey = (_shown(array) for array in (image, mask, as_grey(confidence)))
    colours = predictor.info.colours
    return (
        line,
        shares_html(
            class_shares(mask, predictor.info.classes), dict(zip(predictor.info.classes, colours, strict=True))
        ),
        Image.fromarray(colourise(classes, colours)),
        Image.fromarray(grey),
        (picture, classes),
    )


def _shown(array: np.ndarray) -> np.ndarray:
    # Pixels are dropped, not averaged: classes have no mean, and the three pictures must match.
    step = -(-max(array.shape[:2]) // SHOWN_SIDE)
    return np.ascontiguousarray(array[::step, ::step])


def shares_html(shares: dict[str, float], colours: dict[str, tuple[int, int, int]]) -> str:
    """A table of classes, the most frequent first: colour, name, bar and percentage; absent classes are left out."""
    rows = []
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        if share:
            colour = "rgb({}, {}, {})".format(*colours[name])
            rows.append(
                f"<tr><td><div class=swatch style='background:{colour}'></div></td><td>{escape(name)}</td>"
                f"<td class=bar><div style='background:{colour};width:{100 * share:.2f}%'></div></td>"
                f"<td class=share>{100 * share:.1f} %</td></tr>"
            )
    return f"<table><caption>Class shares</caption>{''.join(rows)}</table>"


def _gradio() -> Any:
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")  # read at import
    return require("gradio", "app", "semiseg app")


def build(predictor: Predictor, title: str) -> Any:
    """The page as Gradio's Blocks.

    Raises:
        SemisegError: Gradio is not installed.
    """
    gr = _gradio()
    blank = ("", "", None, None, None, None)

    def show(path: str | None, opacity: float) -> tuple[Any, ...]:
        if path is None:
            return blank
        try:
            line, shares, mask, confidence, shown = describe(predictor, path)
        except SemisegError as error:
            # The path of the upload on this machine means nothing to the person who sent it.
            gr.Warning(str(error).replace(path, "the file"), duration=None)
            return blank  # an exception would leave the pictures of the last image on the page
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            gr.Warning("the image does not fit in memory; try a smaller one, or semiseg predict --tile", duration=None)
            return blank
        return line, shares, blend(*shown, predictor.info.colours, opacity), mask, confidence, shown

    def mix(shown: tuple[np.ndarray, np.ndarray] | None, opacity: float) -> Any:
        return None if shown is None else blend(*shown, predictor.info.colours, opacity)

    def picture(label: str) -> Any:
        more = {"format": "png", "height": 320, "interactive": False, "buttons": ["download", "fullscreen"]}
        return gr.Image(label=label, alt_text=label, elem_id=label.lower(), **more)

    # Uploads are deleted from the disk after an hour, and all of them when the program ends.
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# {escape(title)}\nDrop an image; it stays on the machine that runs `semiseg app`.")
        shown = gr.State(None, time_to_live=3600)
        with gr.Row():
            image = gr.Image(
                label="Image", type="filepath", sources=["upload", "clipboard"], height=320, elem_id="image"
            )
            # The file must not be decoded before FORMATS is checked; Gradio treats a subclass as a foreign component.
            image.preprocess = lambda payload: None if payload is None else payload.path
            overlay = picture("Overlay")
        with gr.Row():
            mask, confidence = picture("Mask"), picture("Confidence")
        opacity = gr.Slider(0, 1, 0.5, step=0.05, label="Opacity of the overlay", elem_id="opacity")
        line, shares = gr.Markdown(elem_id="line"), gr.HTML(elem_id="shares")
        outputs = [line, shares, overlay, mask, confidence, shown]
        mixed = {"inputs": [shown, opacity], "outputs": overlay, "show_progress": "hidden", "api_visibility": "private"}
        # Blended again at the end, since the slider may have moved in the meantime.
        image.change(show, [image, opacity], outputs, api_visibility="private").then(mix, **mixed)
        opacity.change(mix, **mixed)
    return page


def serve(
    predictor: Predictor,
    title: str = "semiseg",
    host: str = "127.0.0.1",
    port: int = 7860,
    ready: Callable[[str], None] | None = None,
    wait: bool = True,
) -> Any:
    """Open the page at http://host:port and serve it until interrupted.

    Uploads above MAX_MEGABYTES are refused, and files that are not in one of FORMATS are not opened. Neither this
    process nor the page sends anything elsewhere.

    Args:
        predictor: the network, and how it predicts.
        title: of the page.
        host: address to listen on.
        port: of that address.
        ready: called with the address of the page.
        wait: whether to block until interrupted.

    Returns:
        Gradio's Blocks.

    Raises:
        SemisegError: Gradio is not installed, or the port is taken.
    """
    gr = _gradio()
    with tempfile.TemporaryDirectory(prefix="semiseg-app-", ignore_cleanup_errors=True) as uploads:
        if wait:
            os.environ["GRADIO_TEMP_DIR"] = uploads
        _without_proxy(host)
        page = build(predictor, title)
        guard = require("starlette.middleware", "app", "semiseg app").Middleware(Guard)
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


class Guard:
    """ASGI middleware whose responses forbid the browser to fetch from any other address."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on and add the policy to the response."""

        async def guarded(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, guarded)
