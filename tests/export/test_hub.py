"""Pushing and pulling with the hub's library replaced by a folder."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import tiny
from typer.testing import CliRunner

import semiseg
from semiseg.cli import app
from semiseg.errors import SemisegError
from semiseg.export import hub
from semiseg.runs.checkpoint import load_model


class FakeHub:
    """``create_repo``, ``upload_folder`` and ``snapshot_download`` of huggingface_hub on a local folder."""

    def __init__(self, place: Path) -> None:
        self.place, self.calls, self.error, self.private = place, [], None, True

    def HfApi(self) -> "FakeHub":
        return self

    def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> str:
        if self.error:
            raise self.error
        self.calls.append((repo_id, private, exist_ok))
        return f"https://hub.example/{repo_id}"

    def repo_info(self, repo_id: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def upload_folder(self, folder_path: str, repo_id: str, commit_message: str) -> None:
        shutil.copytree(folder_path, self.place / repo_id)

    def snapshot_download(self, repo_id: str, local_dir: str, allow_patterns: list[str]) -> None:
        Path(local_dir).mkdir(parents=True, exist_ok=True)
        if self.error:
            (Path(local_dir) / "half").touch()
            raise self.error
        for name in allow_patterns:
            if (self.place / repo_id / name).exists():
                shutil.copy(self.place / repo_id / name, local_dir)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    pytest.importorskip("safetensors")
    library = FakeHub(tmp_path / "hub")
    real = hub.require
    monkeypatch.setattr(hub, "require", lambda name, *a: library if name == "huggingface_hub" else real(name, *a))
    return library


def test_there_and_back(fake: FakeHub, folder: Path, tmp_path: Path) -> None:
    semiseg.train(tiny(folder, tmp_path / "run"), progress=False)
    done = CliRunner().invoke(app, ["push", str(tmp_path / "run"), "me/streets", "--private", "--checkpoint", "last"])
    assert done.exit_code == 0 and done.stdout.strip() == "https://hub.example/me/streets", done.stderr
    assert fake.calls == [("me/streets", True, True)]
    card = (fake.place / "me" / "streets" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: semiseg") and "class_2" in card
    done = CliRunner().invoke(app, ["pull", "me/streets", "--output", str(tmp_path / "pulled")])
    assert done.exit_code == 0, done.stderr
    mine, theirs = load_model(tmp_path / "pulled"), load_model(tmp_path / "run", "last")
    for key, value in theirs.network.state_dict().items():
        assert torch.equal(mine.network.state_dict()[key], value)
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path / "pulled")])
    assert done.exit_code == 0, done.stderr
    with pytest.raises(SemisegError, match="is not empty"):
        hub.pull("me/streets", tmp_path / "pulled")


def test_refusals_are_one_line_that_says_what_to_do(fake: FakeHub, folder: Path, tmp_path: Path) -> None:
    semiseg.train(tiny(folder, tmp_path / "run", method__name="supervised"), progress=False)

    def answered(status: int) -> Any:
        error: Any = ValueError(f"{status} Client Error")
        error.response = SimpleNamespace(status_code=status)
        return error

    wrapped = FileNotFoundError("cannot find the files")  # what a download makes of an answer
    wrapped.__cause__ = answered(403)
    for error, said in (
        (answered(401), "hf auth login"),
        (wrapped, "the hub refuses me/streets; run `hf auth login`"),
        (answered(404), "has no me/streets; check USER/NAME"),
        (ConnectionError("no route\nto host"), r"\(no route\)$|: no route$"),
    ):
        fake.error = error
        with pytest.raises(SemisegError, match=said):
            hub.push(tmp_path / "run", "me/streets")
        with pytest.raises(SemisegError, match=said):
            hub.pull("me/streets", tmp_path / "pulled")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["photos", "run"]
    fake.error = None
    (fake.place / "me" / "other").mkdir(parents=True)
    with pytest.raises(SemisegError, match=r"holds no model\.safetensors"):
        hub.pull("me/other", tmp_path / "pulled")


def test_private_is_not_pushed_into_a_public_repository(fake: FakeHub, folder: Path, tmp_path: Path) -> None:
    semiseg.train(tiny(folder, tmp_path / "run", method__name="supervised"), progress=False)
    fake.private = False  # it was there; creating it again changes nothing
    with pytest.raises(SemisegError, match="exists and is public, nothing was uploaded"):
        hub.push(tmp_path / "run", "me/streets", private=True)
    assert not fake.place.exists()
    hub.push(tmp_path / "run", "me/streets")
    assert (fake.place / "me" / "streets" / "model.safetensors").exists()
