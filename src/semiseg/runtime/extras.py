"""Libraries that only some backbones need: imported when such a backbone is built or such a file is read."""

from __future__ import annotations

import importlib
from typing import Any

from semiseg.errors import SemisegError


def first_line(error: BaseException) -> str:
    """What ``error`` says, cut to one line; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def require(module: str, extra: str, user: str) -> Any:
    """The imported ``module``, which ``pip install "semiseg[extra]"`` brings; ``user`` is what needs it.

    Raises:
        SemisegError: it is not installed, or it is there and cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        raise SemisegError(
            f'{user} needs {missing}, which is not installed; run pip install "semiseg[{extra}]"'
        ) from error
    except (ImportError, RuntimeError, AttributeError) as error:
        # A torchvision built for another torch raises RuntimeError at import; timm imports torchvision.
        if "torchvision" in str(error):
            remedy = "install the torchvision that belongs to your torch, see https://pytorch.org/get-started"
        else:
            remedy = f'reinstall it: pip install --force-reinstall "semiseg[{extra}]"'
        raise SemisegError(f"{user} needs {module}, whose import fails ({first_line(error)}); {remedy}") from error
