"""semiseg: semi-supervised semantic segmentation with a class-wise memory bank (Alonso et al., ICCV 2021).

>>> import semiseg
>>> result = semiseg.train("toy_streets", ["run_dir=runs/toy"])      # doctest: +SKIP
>>> semiseg.evaluate(result.run_dir).miou                            # doctest: +SKIP
>>> semiseg.predict(result.run_dir, "photos/", output="masks/")      # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from semiseg.api import evaluate, predict
    from semiseg.config.read import Config
    from semiseg.prediction.predictor import Predictor
    from semiseg.training.loop import RunResult, train

__all__ = ["Config", "Predictor", "RunResult", "__version__", "evaluate", "predict", "train"]

_HOMES = {
    "Config": "config",
    "Predictor": "prediction.predictor",
    "RunResult": "training.loop",
    "evaluate": "api",
    "predict": "api",
    "train": "training.loop",
}


def __getattr__(name: str) -> Any:
    # Late, so that `semiseg --help` and shell completion do not wait seconds for PyTorch.
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'semiseg' has no attribute {name!r}")
    return getattr(importlib.import_module(f"semiseg.{_HOMES[name]}"), name)
