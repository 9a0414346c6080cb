"""Networks to and from the Hugging Face hub, as safetensors with a model card (extra ``hub``)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Literal

from semiseg.errors import SemisegError
from semiseg.export import write_weights
from semiseg.export.card import write_card
from semiseg.runs.checkpoint import PULLED, load_model
from semiseg.runtime.extras import first_line, require


def push(
    run_or_checkpoint: str | Path,
    repository: str,
    which: Literal["best", "last"] = "best",
    teacher: bool = False,
    private: bool = False,
) -> str:
    """Upload ``model.safetensors``, ``config.yaml`` and a model card to ``USER/NAME``; returns the page's address.

    Raises:
        SemisegError: no checkpoint, no library, no token, the hub refuses, or the repository is public although
            ``private`` was asked for.
    """
    hub = require("huggingface_hub", "hub", "semiseg push")
    model = load_model(run_or_checkpoint, which, teacher)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_weights(model, folder / PULLED)
        write_card(model, folder / PULLED, folder / "README.md", "safetensors")
        model.config.save(folder / "config.yaml")
        try:
            api = hub.HfApi()
            address = api.create_repo(repository, private=private, exist_ok=True)
            if private and not api.repo_info(repository).private:  # an existing one keeps its visibility
                raise SemisegError(
                    f"{repository} exists and is public, nothing was uploaded; make it private on its page, "
                    "choose another name, or give no --private"
                )
            api.upload_folder(folder_path=str(folder), repo_id=repository, commit_message="semiseg push")
        except SemisegError:
            raise
        except Exception as error:
            raise _refused(error, repository) from error
    return str(address)


def pull(repository: str, output: str | Path) -> Path:
    """Download what ``push`` uploaded into a new folder, which every command takes in place of a run; returns it.

    Raises:
        SemisegError: no library, a folder that is not empty, no access, or a repository that ``push`` has not made.
    """
    hub = require("huggingface_hub", "hub", "semiseg pull")
    folder = Path(output)
    if folder.exists() and any(folder.iterdir()):
        raise SemisegError(f"{folder} is not empty; choose another --output")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        arriving = Path(temporary) / folder.name  # an interrupted download leaves nothing in the way of the next one
        try:
            hub.snapshot_download(
                repository, local_dir=str(arriving), allow_patterns=[PULLED, "config.yaml", "README.md"]
            )
        except Exception as error:
            raise _refused(error, repository) from error
        if not (arriving / PULLED).exists():
            raise SemisegError(f"{repository} holds no {PULLED}: it was not made by semiseg push")
        if folder.exists():
            folder.rmdir()
        os.replace(arriving, folder)
    return folder


def _refused(error: Exception, repository: str) -> SemisegError:
    """The hub's error as one line; without a token, how to give one."""
    # After a failed download the response of the hub is in the error that caused the error.
    answers = [getattr(e, "response", None) for e in (error, error.__cause__)]
    status: Any = next((a.status_code for a in answers if a is not None), None)
    if type(error).__name__ == "LocalTokenNotFoundError" or status in (401, 403):
        return SemisegError(
            f"the hub refuses {repository}; run `hf auth login` with a token that may read or write it, or set HF_TOKEN"
        )
    if status == 404:
        return SemisegError(
            f"the hub has no {repository}; check USER/NAME (a private one needs `hf auth login` or HF_TOKEN)"
        )
    return SemisegError(f"the hub could not be used for {repository}: {first_line(error)}")
