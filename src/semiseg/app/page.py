"""The page: an image to drop, and what is shown of it; several at once, and their masks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from semiseg.app.guard import refuse_foreign_files
from semiseg.app.image import describe, shares_html
from semiseg.app.several import predict_several
from semiseg.errors import SemisegError
from semiseg.inference.plan import out_of_memory
from semiseg.prediction.predictor import Predictor
from semiseg.runtime.extras import require
from semiseg.visualise import colourise
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
#meaning { overflow-wrap: anywhere; }
"""


def gradio() -> Any:
    """Gradio, told to send nothing anywhere.

    Raises:
        SemisegError: it is not installed.
    """
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")  # read at import
    return require("gradio", "app", "semiseg app")


def build(predictor: Predictor, title: str, meaning: Sequence[str] = (), example: np.ndarray | None = None) -> Any:
    """The page as Gradio's Blocks.

    Args:
        predictor: the network.
        title: of the page.
        meaning: sentences about the run, as its report has them.
        example: uint8 (H,W,3), an image that the page opens with.

    Raises:
        SemisegError: Gradio is not installed.
    """
    gr = gradio()
    blank = ("", "", None, None, None, None)

    def attempt(path: str) -> Any:
        """What an image shows, or None after a warning; an exception would leave the last image's pictures there."""
        try:
            return describe(predictor, path)
        except SemisegError as error:
            # The path of the upload on this machine means nothing to the person who sent it.
            gr.Warning(str(error).replace(path, "the file"), duration=None)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            gr.Warning("the image does not fit in memory; try a smaller one, or semiseg predict --tile", duration=None)
        return None

    def show(path: str | None, opacity: float) -> tuple[Any, ...]:
        found = None if path is None else attempt(path)
        if found is None:
            return blank
        table = shares_html(found.shares, dict(zip(predictor.info.classes, found.colours, strict=True)))
        kept = found.picture, found.classes, found.colours
        mask, confidence = Image.fromarray(colourise(found.classes, found.colours)), Image.fromarray(found.grey)
        return found.line, table, blend(*kept, opacity), mask, confidence, (kept, opacity)

    def mix(shown: tuple[tuple[Any, Any, Any], float] | None, opacity: float) -> Any:
        return None if shown is None else blend(*shown[0], opacity)

    def moved(shown: tuple[tuple[Any, Any, Any], float] | None, opacity: float) -> Any:
        # Gradio would write the same file again while the browser reads it.
        return gr.skip() if shown is not None and shown[1] == opacity else mix(shown, opacity)

    def several(paths: list[str] | None, progress: Any = gr.Progress()) -> tuple[Any, Any]:  # noqa: B008, Gradio's way
        if not paths:
            return None, gr.DownloadButton(visible=False)
        told = lambda done, of: progress((done, of), unit="images")  # noqa: E731
        pictures, file, left_out = predict_several(predictor, paths, Path(download.GRADIO_CACHE), told)
        for line in left_out:
            gr.Warning(line, duration=None)
        return pictures, gr.DownloadButton(value=file, visible=file is not None)

    def picture(label: str) -> Any:
        more = {"format": "png", "height": 320, "interactive": False, "buttons": ["download", "fullscreen"]}
        return gr.Image(label=label, alt_text=label, elem_id=label.lower(), **more)

    # Uploads are deleted from the disk after an hour, and all of them when the program ends.
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# {escape(title)}\nDrop an image; it stays on the machine that runs `semiseg app`.")
        if meaning:
            gr.HTML("".join(f"<p>{escape(words)}</p>" for words in meaning), elem_id="meaning")
        shown = gr.State(None, time_to_live=3600)
        with gr.Row():
            image = gr.Image(
                label="Image", type="filepath", sources=["upload", "clipboard"], height=320, elem_id="image",
                format="png",
            )  # fmt: skip
            # The file must not be decoded before FORMATS is checked; Gradio treats a subclass as a foreign component.
            image.preprocess = lambda payload: None if payload is None else payload.path
            overlay = picture("Overlay")
        with gr.Row():
            mask, confidence = picture("Mask"), picture("Confidence")
        opacity = gr.Slider(0, 1, 0.5, step=0.05, label="Opacity of the overlay", elem_id="opacity")
        line, shares = gr.Markdown(elem_id="line"), gr.HTML(elem_id="shares")
        with gr.Accordion("Several images, and their masks in one file", open=False, elem_id="several"):
            files = gr.File(label="Images", file_count="multiple", type="filepath", elem_id="files", height=160)
            gallery = gr.Gallery(label="Overlays", columns=3, interactive=False, format="png", elem_id="gallery")
            download = gr.DownloadButton("Masks (ZIP)", visible=False, elem_id="masks")
        outputs = [line, shares, overlay, mask, confidence, shown]
        mixed = {"inputs": [shown, opacity], "outputs": overlay, "show_progress": "hidden", "api_visibility": "private"}
        # Blended again at the end, since the slider may have moved in the meantime.
        image.change(show, [image, opacity], outputs, api_visibility="private").then(moved, **mixed)
        opacity.change(mix, **mixed)
        files.change(several, files, [gallery, download], api_visibility="private")
        if example is not None:
            opened = Image.fromarray(example)
            page.load(lambda: opened, None, image, api_visibility="private")
    refuse_foreign_files(page, gr)
    return page
