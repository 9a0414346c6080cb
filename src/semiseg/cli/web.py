"""``semiseg app``."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from semiseg.cli.shared import Checkpoint, Device, Run, Teacher, app, command, which_checkpoint
from semiseg.errors import UsageError


@command(app, "app")
def open_app(
    run: Run,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 7860,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 lets the whole network in.")] = "127.0.0.1",
    share: Annotated[str, typer.Option(help="never: no public link is made, and there is no other choice.")] = "never",
    checkpoint: Checkpoint = "best",
    teacher: Teacher = False,
    device: Device = "auto",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False,
) -> None:
    """Look at predictions in the browser. Example: semiseg app runs/toy"""
    from semiseg.app import serve
    from semiseg.prediction.predictor import Predictor

    if share != "never":
        raise UsageError(
            f"--share {share!r}: only never; to show the page to others, give --host 0.0.0.0 or an SSH tunnel"
        )
    predictor = Predictor(run, which_checkpoint(checkpoint), teacher, device, flip=flip)
    if host not in ("127.0.0.1", "localhost", "::1"):
        print(f"semiseg: everyone who reaches {host}:{port} can use this page; there is no password")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uploads are deleted then too
    serve(
        predictor,
        f"semiseg: {run.resolve().name}",
        host,
        port,
        lambda url: print(f"open {url} (Ctrl-C ends)", flush=True),
    )
