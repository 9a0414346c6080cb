"""The page beside an exported file: what it is, its input and output, and how to run it."""

from __future__ import annotations

from pathlib import Path

from semiseg.data.base import Resize
from semiseg.data.rasters.configured import pixels_told
from semiseg.export.model import metadata
from semiseg.runs.checkpoint import LoadedModel
from semiseg.runtime.files import write_text

RUN = {
    "onnx": """import numpy, onnxruntime
from PIL import Image

image = Image.open("photo.jpg").convert("RGB"){resize}
batch = numpy.asarray(image, numpy.float32).transpose(2, 0, 1)[None] / 255
(logits,) = onnxruntime.InferenceSession("{file}").run(None, {{"images": batch}})
classes = logits[0].argmax(0)  # (H, W)""",
    "torch": """import numpy, torch
from PIL import Image

image = Image.open("photo.jpg").convert("RGB"){resize}
batch = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)[None] / 255
logits = torch.export.load("{file}").module()(batch)
classes = logits[0].argmax(0)  # (H, W)""",
    "safetensors": """import semiseg

semiseg.predict("{file}", "photo.jpg", output="predictions")""",
}

PIXELS = {  # channels and intensities that Pillow knows nothing of
    "onnx": """import numpy, onnxruntime

batch = numpy.zeros((1, {channels}, 256, 256), numpy.float32)  # an image in [0, 1], as said above
(logits,) = onnxruntime.InferenceSession("{file}").run(None, {{"images": batch}})
classes = logits[0].argmax(0)  # (H, W)""",
    "torch": """import torch

batch = torch.zeros(1, {channels}, 256, 256)  # an image in [0, 1], as said above
logits = torch.export.load("{file}").module()(batch)
classes = logits[0].argmax(0)  # (H, W)""",
}


def _resizing(resize: Resize) -> tuple[str, str]:
    """How Pillow brings an image to the size of training, and the same in words."""
    if isinstance(resize, int):
        line = f"""
scale = {resize} / min(image.size)
image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)"""
        return line, f"brought to {resize} pixels on their small side as in training"
    height, width = resize
    line = f".resize(({width}, {height}), Image.Resampling.BILINEAR)"
    return line, f"brought to {width}×{height} pixels (width×height) as in training"


def write_card(model: LoadedModel, path: Path, card: Path, format: str) -> None:
    """Write ``card`` (Markdown) for the exported file ``path``."""
    facts, resize = metadata(model), model.config.data.resize
    rows = [
        f"| {i} | {name} | `#{r:02x}{g:02x}{b:02x}` |"
        for i, (name, (r, g, b)) in enumerate(zip(model.info.classes, model.info.colours, strict=True))
    ]
    code, size = RUN[format].format(file=path.name, resize=""), "at their own size"
    if resize:
        line, size = _resizing(resize)
        code = RUN[format].format(file=path.name, resize=line)
    channels, mapping = model.network.channels, pixels_told(model.config.data)
    if mapping is not None and format in PIXELS:
        code = PIXELS[format].format(file=path.name, channels=channels)
    kind = "RGB images" if mapping is None else f"images ({mapping})"
    newline = "\n"  # f-strings of Python 3.11 take no backslash
    write_text(
        card,
        f"""---
library_name: semiseg
pipeline_tag: image-segmentation
---

# {path.name}

A segmentation network ({facts["network"]}) trained by semiseg {facts["semiseg"]}: {facts["trained"]}.

- Input: {kind} in [0, 1], float32, (B, {channels}, H, W), any B, H and W; {size}. Normalisation is inside.
- Output: logits (B, {len(rows)}, H, W), float32. The class is their argmax, its probability their softmax.

```python
{code}
```

| value | class | colour |
|---|---|---|
{newline.join(rows)}
""",
    )
