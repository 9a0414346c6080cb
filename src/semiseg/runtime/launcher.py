"""PyTorch's launcher of several processes, whose reports of fifty lines are one."""

from __future__ import annotations

import logging
import os
import signal

from semiseg.errors import SemisegError, UsageError
from semiseg.runtime.signals import Stopped

SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
"""What is passed on to the processes; SIGUSR1, which torchrun itself would die of, since clusters can send it."""


def launch(options: list[str], words: list[str]) -> None:
    """Run ``semiseg`` with ``words`` in the processes that ``options`` of torchrun describe, until all have ended.

    Raises:
        UsageError: the processes all made the same mistake, and have told it.
        SemisegError: one of them failed or was killed.
        Stopped: a signal ended them.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    logging.disable(logging.ERROR)  # what it says in many lines is said below in one
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torchrun's own choice, which it says in eight lines
    arguments = get_args_parser().parse_args([*options, "-m", "semiseg", *words])
    arguments.signals_to_handle = SIGNALS
    try:
        run(arguments)  # type: ignore[no-untyped-call]
    except SignalException as error:
        raise Stopped(int(error.sigval)) from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode == 2:
            raise UsageError("") from None
        if failure.exitcode > 128:
            raise Stopped(failure.exitcode - 128) from None
        how = f"was killed ({signal.Signals(-failure.exitcode).name})" if failure.exitcode < 0 else "failed"
        raise SemisegError(f"process {rank} {how}, so that all ended") from None
