import builtins
import csv
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_networks import INFO, Colours

from semiseg.errors import SemisegError
from semiseg.prediction.files import PredictedVideo, predict_files
from semiseg.prediction.video import frame_count

try:
    import av
except ModuleNotFoundError:
    av = None  # type: ignore[assignment]

needs_av = pytest.mark.skipif(av is None, reason="PyAV is not installed: pip install 'semiseg[video]'")


def film(path: Path, count: int = 10, size: tuple[int, int] = (48, 64)) -> Path:
    """Frames of 10 a second: red above, and below it as many rows of blue as the frame's number times four."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv444p"
        for number in range(count):
            picture = np.zeros((*size, 3), np.uint8)
            picture[..., 0] = 255
            if number:
                picture[-4 * number :] = (0, 0, 255)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def frames(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@needs_av
@pytest.mark.parametrize("every", [1, 3])
def test_overlays_and_shares_of_the_frames(tmp_path: Path, every: int) -> None:
    path = film(tmp_path / "clip.mp4")
    assert frame_count(path, every) == len(range(0, 10, every))
    steps: list[tuple[int, int]] = []
    (found,), failed = predict_files(
        Colours(), INFO, path, tmp_path / "out", every=every, progress=lambda *step: steps.append(step)
    )
    assert failed == [] and isinstance(found, PredictedVideo)
    numbers = list(range(0, 10, every))
    assert found.frames == len(numbers) and found.path == path
    table = rows(found.shares_path)
    assert [int(row["frame"]) for row in table] == numbers
    assert [float(row["seconds"]) for row in table] == pytest.approx([n / 10 for n in numbers])
    assert [float(row["blue"]) for row in table] == pytest.approx([4 * n / 48 for n in numbers], abs=0.03)
    assert found.shares["blue"] == pytest.approx(np.mean([4 * n / 48 for n in numbers]), abs=0.03)
    assert found.overlay_path == tmp_path / "out" / "overlays" / "clip.mp4"
    shown = frames(found.overlay_path)
    assert [time for time, _ in shown] == pytest.approx([n / 10 for n in numbers], abs=0.01)
    assert all(picture.shape == (48, 64, 3) for _, picture in shown)
    last = shown[-1][1].astype(int)
    assert last[-1, 30, 2] > 200 and last[0, 30, 0] > 200 and last[0, 30, 2] < 60
    assert steps[-1][0] == steps[-1][1] == len(numbers) and [done for done, _ in steps] == sorted(d for d, _ in steps)
    assert not (tmp_path / "out" / "shares.csv").exists() and not list((tmp_path / "out").rglob(".partial*"))


@needs_av
def test_odd_sizes_and_without_overlay(tmp_path: Path) -> None:
    path = film(tmp_path / "odd.mkv", 2, (33, 47))
    (found,), _ = predict_files(Colours(), INFO, path, tmp_path / "out")
    assert frames(found.overlay_path)[0][1].shape == (34, 48, 3)
    (found,), _ = predict_files(Colours(), INFO, path, tmp_path / "bare", overlay=False)
    assert found.overlay_path is None and [p.name for p in (tmp_path / "bare").iterdir()] == ["shares"]


@needs_av
def test_a_film_taken_upright_by_a_telephone_is_upright(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", 4)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # of the MP4 track header, in 16.16 fixed point
    assert struct.unpack(">9i", data[matrix : matrix + 36])[0] == 0x10000
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000)
    path.write_bytes(data)
    (found,), _ = predict_files(Colours(), INFO, path, tmp_path / "out")
    last = frames(found.overlay_path)[-1][1].astype(int)
    # Shown turned clockwise: the blue below has come to the left.
    assert last.shape == (64, 48, 3) and last[32, 1, 2] > 200 and last[32, -1, 0] > 200


@needs_av
def test_existing_output_is_kept_and_no_video_is_skipped(tmp_path: Path) -> None:
    path = film(tmp_path / "in" / "clip.mp4", 2)
    (tmp_path / "in" / "bad.mp4").write_text("no video")
    predicted, failed = predict_files(Colours(), INFO, str(tmp_path / "in" / "*"), tmp_path / "out")
    assert [p.path for p in predicted] == [path]
    assert failed[0].path.name == "bad.mp4" and "cannot be read as a video" in failed[0].reason
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file()) == ["clip.csv", "clip.mp4"]
    with pytest.raises(SemisegError, match="output files exist"):
        predict_files(Colours(), INFO, path, tmp_path / "out")
    film(tmp_path / "overlays" / "clip.mp4", 1)
    with pytest.raises(SemisegError, match="itself one of the images"):
        predict_files(Colours(), INFO, tmp_path / "overlays" / "clip.mp4", tmp_path, overwrite=True)


def test_without_pyav_the_mend_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "av":
            raise ModuleNotFoundError("No module named 'av'", name="av")
        return real(name, *rest, **more)

    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(builtins, "__import__", refuse)
    (tmp_path / "clip.mp4").write_bytes(b"")
    predicted, failed = predict_files(
        Colours(), INFO, tmp_path / "clip.mp4", tmp_path / "out", progress=lambda *step: None
    )
    assert predicted == [] and 'pip install "semiseg[video]"' in failed[0].reason


@needs_av
def test_tags_that_are_not_utf8_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "old.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Sommer"
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    data = path.read_bytes()
    assert data.count(b"Sommer") == 1
    path.write_bytes(data.replace(b"Sommer", b"\xc9t\xe9 07"))
    with pytest.raises(UnicodeDecodeError):
        av.open(str(path))
    assert frame_count(path) == 3
    (found,), failed = predict_files(Colours(), INFO, path, tmp_path / "out")
    assert failed == [] and found.frames == 3
