"""Pre-annotations of the suggested images: the run's own prediction, for the annotation tool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semiseg.errors import SemisegError
from semiseg.prediction.files import predict_files
from semiseg.prediction.predictor import Predictor
from semiseg.prediction.tools import Wanted, check_tool, write_predicted
from semiseg.suggest.measure import Opened


def check_pre_annotations(wanted: Wanted, opened: Opened, folder: Path) -> None:
    """Refuse what could not be written once the ranking is done.

    Raises:
        UsageError: as :func:`semiseg.prediction.tools.check_tool`.
        SemisegError: the images are no files.
    """
    files: dict[str, Path] = getattr(opened.images, "files", {})
    if not files:
        raise SemisegError(f"the images of {opened.images.info.name} are no files, so none can be given to "
                           f"{wanted.tool}; leave out --for")  # fmt: skip
    images = [files[opened.images.names[i]] for i in opened.unlabelled]
    check_tool(wanted, opened.images.info, images, folder, overwrite=False)


def pre_annotate(wanted: Wanted, run: Path, images: Sequence[Path], folder: Path, device: str) -> list[str]:
    """Segment images as ``semiseg predict`` does, into ``folder``, and write them for the tool.

    Returns:
        What to do with the files, a line each.
    """
    predictor = Predictor(run, "best", device=device)
    predict_files(predictor.network, predictor.info, images, folder, overlay=False, plan=predictor.plan)
    return write_predicted(wanted, predictor.info, images, folder, str(run))
