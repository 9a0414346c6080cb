"""The page: an image to drop, and what is shown of it."""

from __future__ import annotations

import os
from html import escape
from typing import Any

import numpy as np
import torch

from semiseg.app.guard import refuse_foreign_files
from semiseg.app.image import describe
from semiseg.errors import SemisegError
from semiseg.inference.plan import out_of_memory
from semiseg.prediction.predictor import Predictor
from semiseg.runtime.extras import require
from semiseg.visualise import overlay as blend

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


def gradio() -> Any:
    """Gradio, told to send nothing anywhere.

    Raises:
        SemisegError: it is not installed.
    """
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")  # read at import
    return require("gradio", "app", "semiseg app")


def build(predictor: Predictor, title: str) -> Any:
    """The page as Gradio's Blocks.

    Raises:
        SemisegError: Gradio is not installed.
    """
    gr = gradio()
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
    refuse_foreign_files(page, gr)
    return page
