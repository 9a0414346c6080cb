"""``semiseg app`` and ``semiseg watch``."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.shared import Checkpoint, Device, Run, Teacher, app, command, which_checkpoint
from semiseg.errors import UsageError


@command(app, "app")
def open_app(
    run: Run,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 7860,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 admits the whole network.")] = "127.0.0.1",
    checkpoint: Checkpoint = "best",
    teacher: Teacher = False,
    device: Device = "auto",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False,
    share: Annotated[str | None, typer.Option(hidden=True)] = None,  # of earlier command lines
) -> None:
    """Look at predictions in the browser. Example: semiseg app runs/toy"""
    from semiseg.app import serve
    from semiseg.app.example import example_image
    from semiseg.prediction.predictor import Predictor
    from semiseg.report.meaning import of_run

    if share not in (None, "never"):
        raise UsageError(
            f"--share {share}: no public link is ever made; to let others in, use --host 0.0.0.0 or an SSH tunnel"
        )
    if share == "never":
        print("semiseg: --share never can be left out: no public link is ever made", file=sys.stderr)
    predictor = Predictor(run, which_checkpoint(checkpoint), teacher, device, flip=flip)
    if host not in ("127.0.0.1", "localhost", "::1"):
        print(f"semiseg: everyone who reaches {host}:{port} can use this page; there is no password")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that uploads are deleted in this case too
    serve(
        predictor,
        f"semiseg: {run.resolve().name}",
        host,
        port,
        lambda url: print(f"open {url} (Ctrl-C ends)", flush=True),
        meaning=of_run(run),
        example=example_image(predictor),
    )


@command(app, "watch")
def watch(
    run: Annotated[Path, typer.Argument(help="Run folder, of a training that goes on or has ended.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 7861,
    images: Annotated[int, typer.Option(min=0, help="Validation images to show, 0 for none.")] = 4,
) -> None:
    """Follow a training in the browser. Example: semiseg watch runs/toy"""
    from semiseg.app.watch import WatchServer

    with WatchServer(run, port, images) as server:
        print(f"open {server.url} (Ctrl-C ends; the training goes on)", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
