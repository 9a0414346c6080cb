"""Videos frame by frame: an overlay video and the class shares of every frame. Needs the extra ``video`` (PyAV)."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semiseg.errors import SemisegError
from semiseg.prediction.class_shares import SharesTable, class_shares
from semiseg.runtime.extras import require
from semiseg.visualise import overlay as blend

if TYPE_CHECKING:
    from semiseg.data.base import DatasetInfo


def frame_count(path: Path, every: int = 1) -> int:
    """How many frames will be predicted, every ``every``-th, from the header; 1 where it does not say."""
    av = require("av", "video", f"the video {path.name}")
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            frames = stream.frames
            if not frames and stream.average_rate and container.duration:
                frames = round(container.duration / av.time_base * float(stream.average_rate))
    except (OSError, ValueError, IndexError):  # reported with its reason when it is this video's turn
        return 1
    return max(1, -(-frames // every))


def predict_video(
    segment: Callable[[np.ndarray], np.ndarray],
    info: DatasetInfo,
    path: Path,
    shares_path: Path,
    overlay_path: Path | None,
    every: int = 1,
    done: Callable[[], None] | None = None,
) -> tuple[int, dict[str, float]]:
    """Segment every ``every``-th frame of a video, one at a time and turned upright.

    A file gets its name only when it is complete, so that a video that breaks off leaves nothing behind.

    Args:
        segment: classes uint8 (H,W) of a frame uint8 (H,W,3).
        info: names and colours of the classes.
        path: the video.
        shares_path: CSV file to write: number of the frame from 0, its time in seconds, a column for each class.
        overlay_path: H.264 video to write, with the times of the frames and without sound; None for none.
        every: take every ``every``-th frame.
        done: called after each frame that was taken.

    Returns:
        The number of frames taken and their mean class shares.

    Raises:
        SemisegError: PyAV is missing, the file is no video, or it breaks off.
    """
    av = require("av", "video", f"the video {path.name}")
    files = [shares_path] if overlay_path is None else [shares_path, overlay_path]
    partial = [file.with_name(f".partial-{file.name}") for file in files]
    total = dict.fromkeys(info.classes, 0.0)
    frames = 0
    try:
        with (
            av.open(str(path), metadata_errors="replace") as source,
            SharesTable(partial[0], info.classes, ("frame", "seconds")) as table,
        ):
            stream = source.streams.video[0]
            stream.thread_type = "AUTO"
            target = None if overlay_path is None else _Writer(av, partial[1], stream, every)
            try:
                for number, frame in enumerate(source.decode(stream)):
                    if number % every:
                        continue
                    image = _upright(frame)
                    mask = segment(image)
                    shares = class_shares(mask, info.classes)
                    table.add((number, "" if frame.time is None else f"{frame.time:.3f}"), shares)
                    total = {name: total[name] + share for name, share in shares.items()}
                    frames += 1
                    if target is not None:
                        target.add(blend(image, mask, info.colours), frame.pts)
                    if done is not None:
                        done()
            finally:
                if target is not None:
                    target.close()
        if not frames:
            raise SemisegError(f"{path} has no frame that can be read; is it a video?")
        for temporary, file in zip(partial, files, strict=True):
            os.replace(temporary, file)
    except (av.FFmpegError, IndexError) as error:
        reason = getattr(error, "strerror", None) or "it has no video stream"
        raise SemisegError(f"{path} cannot be read as a video: {reason}") from error
    finally:
        for temporary in partial:
            temporary.unlink(missing_ok=True)
    return frames, {name: share / frames for name, share in total.items()}


def _upright(frame: Any) -> np.ndarray:
    # A phone stores frames as its sensor lies, and the rotation (counter-clockwise) that turns them upright.
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))


class _Writer:
    """An H.264 file whose frames keep the times of the source; the first frame sets its size."""

    def __init__(self, av: Any, path: Path, source: Any, every: int) -> None:
        self.av, self.every = av, every
        self.rate = Fraction(source.average_rate or 25)
        self.time_base = source.time_base or 1 / self.rate
        self.container = av.open(str(path), "w", format="mp4")
        self.stream: Any = None
        self.last = -1

    def add(self, picture: np.ndarray, pts: int | None) -> None:
        height, width = picture.shape[:2]
        if self.stream is None:
            self.stream = self.container.add_stream("libx264", rate=self.rate / self.every, options={"crf": "20"})
            self.stream.width, self.stream.height = width + width % 2, height + height % 2
            self.stream.pix_fmt = "yuv420p"
            self.stream.codec_context.time_base = self.time_base
        # The format stores colours for pairs of pixels only: an odd side is lengthened by repeating its last pixel.
        room = ((0, self.stream.height - height), (0, self.stream.width - width), (0, 0))
        if min(room[0][1], room[1][1]) < 0 or max(room[0][1], room[1][1]) > 1:
            raise SemisegError(f"the frames change to {width}x{height} midway; cut the video where they do")
        frame = self.av.VideoFrame.from_ndarray(np.pad(picture, room, mode="edge"), format="rgb24")
        step = round(self.every / self.rate / self.time_base)
        self.last = max(self.last + 1, pts if pts is not None else self.last + step)
        frame.pts, frame.time_base = self.last, self.time_base
        self.container.mux(self.stream.encode(frame))

    def close(self) -> None:
        if self.stream is not None:
            self.container.mux(self.stream.encode())
        self.container.close()
