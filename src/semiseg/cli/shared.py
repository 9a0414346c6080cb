"""What all commands share: their groups, common options, and errors as one line with an exit code."""

from __future__ import annotations

import os
import platform
import signal
import sys
from collections.abc import Callable
from functools import wraps
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from semiseg import __version__
from semiseg.errors import SemisegError, UsageError, one_line
from semiseg.runtime.signals import Stopped

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Semantic segmentation from few labelled and many unlabelled images.",
)
data_app = typer.Typer(no_args_is_help=True, help="Look at a data set before training.")
app.add_typer(data_app, name="data")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"semiseg {__version__} (Python {platform.python_version()}, torch {metadata.version('torch')})")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Versions of semiseg, Python and PyTorch.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options that stand before a command."""


Source = Annotated[
    str, typer.Argument(metavar="PRESET_OR_FOLDER", help="A preset, a YAML file, or a folder of images/ and masks/.")
]
Run = Annotated[Path, typer.Argument(help="Run folder, or a checkpoint file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Checkpoint = Annotated[str, typer.Option(help="Which checkpoint of a run folder: last or best.")]
Teacher = Annotated[bool, typer.Option(help="Use the teacher instead of the student.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Changes, e.g. training.iterations=1000 data.root=FOLDER.")]

TO_CONTINUE = {
    "reproduce": "; the same command continues from the last checkpoint",
    "compare": "; the same command continues from the last checkpoint",
}


def command(group: typer.Typer, name: str, **settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command, with ``settings`` for typer; errors of the user become one line and an exit
    code."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            number = int(os.environ.get("RANK", "0"))  # of this process among those that torchrun started
            try:
                function(*args, **kwargs)
            except SemisegError as error:
                misuse = isinstance(error, UsageError)
                if str(error) and (number == 0 or not misuse):  # all processes make the same mistake
                    print(f"semiseg{f' (process {number})' if number else ''}: {error}", file=sys.stderr)
                raise typer.Exit(2 if misuse else 1) from None
            except RuntimeError as error:
                if not _lost_another(error):
                    raise
                print(f"semiseg{f' (process {number})' if number else ''}: another process of this job ended",
                      file=sys.stderr)  # fmt: skip
                raise typer.Exit(1) from None
            except BrokenPipeError:  # the reader, such as head, has closed the pipe
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is flushed at exit goes nowhere
                raise typer.Exit(1) from None
            except OSError as error:  # a full disk, a folder that cannot be written
                where = one_line(error.filename or "output")
                print(f"semiseg: {error.strerror or error}: {where}; correct this and try again", file=sys.stderr)
                raise typer.Exit(1) from None
            except KeyboardInterrupt as stop:
                told = isinstance(stop, Stopped) and not str(stop)  # by another process
                if number == 0 and not told:
                    print(f"semiseg: {str(stop) or 'interrupted'}{TO_CONTINUE.get(name, '')}", file=sys.stderr)
                raise typer.Exit(128 + getattr(stop, "signal", signal.SIGINT)) from None

        group.command(name, **settings)(guarded)
        return function

    return register


def _lost_another(error: RuntimeError) -> bool:
    """Whether processes were joined, and another one of them ended. Nothing is imported to find out."""
    distributed = sys.modules.get("semiseg.runtime.distributed")
    return distributed is not None and distributed.lost_another(error)


def which_checkpoint(checkpoint: str) -> Literal["last", "best"]:
    """``--checkpoint`` as the Python functions take it.

    Raises:
        UsageError: neither ``last`` nor ``best``.
    """
    if checkpoint == "last":
        return "last"
    if checkpoint == "best":
        return "best"
    raise UsageError(f"--checkpoint {checkpoint!r}: choose last or best")
