"""What the file system refuses is one line and an exit code, not a traceback."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import commands
import pytest

from semiseg.cli import main
from semiseg.training import failures


def call(*words: object) -> tuple[int, str]:
    code, _, err = commands.call(*words)
    return code, err


@pytest.mark.parametrize("run_dir", ["a_file", "a_file/run"])
def test_a_run_folder_that_cannot_be(folder: Path, tmp_path: Path, run_dir: str) -> None:
    (tmp_path / "a_file").write_text("mine")
    words = [f"data.root={folder}", "data.crop=32", "network.pretrained=none", "network.backbone=resnet18"]
    code, err = call("train", "folder", *words, f"run_dir={tmp_path / run_dir}")
    assert code == 1 and "a_file" in err and len(err.strip().splitlines()) == 1
    assert (tmp_path / "a_file").read_text() == "mine"


def test_a_split_makes_the_folder_it_is_written_to(folder: Path, tmp_path: Path) -> None:
    code, _ = call("data", "split", folder, "--labelled", 2, "--output", tmp_path / "lists" / "two.txt")
    assert code == 0
    assert len((tmp_path / "lists" / "two.txt").read_text().split()) == 2


def test_every_wrong_word_in_one_line() -> None:
    code, err = call("train", "toy_streets", "training.seeed=1", "data.crop=[1", "training.iterations=0")
    assert code == 2 and len(err.strip().splitlines()) == 1
    assert "training.seed" in err and "data.crop" in err and "training.iterations" in err


def test_an_interrupted_run_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*words: object, **options: object) -> None:
        raise failures.stopped(signal.SIGTERM, 3, 9, Path("my runs/photos-2/checkpoints/last.pt"), 3)

    def too_early(*words: object, **options: object) -> None:
        raise failures.stopped(signal.SIGTERM)

    def interrupted(*words: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("semiseg.training.loop.train", stopped)
    code, err = call("train", "my photos", "data.crop=[32, 48]", "--quiet")
    assert code == 143 and err == (
        "semiseg: SIGTERM after step 3 of 9; all of it is saved in my runs/photos-2/checkpoints/last.pt. To go on: "
        "semiseg train 'my runs/photos-2' --resume --quiet\n"
    )
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    again = "To go on: semiseg torchrun --nproc-per-node 2 train 'my runs/photos-2' --resume\n"
    assert again in call("train", "photos")[1]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert call("train", "photos")[1].endswith("the same command on all machines, with --auto-resume\n")
    monkeypatch.undo()
    monkeypatch.setattr("semiseg.training.loop.train", too_early)
    code, err = call("train", "my photos", "data.crop=[32, 48]")
    assert code == 143 and err == (
        "semiseg: SIGTERM before training began; nothing was changed. To go on: semiseg train 'my photos' "
        "'data.crop=[32, 48]'\n"
    )
    assert call("train", "photos", "--resume", "--quiet")[1].endswith("semiseg train photos --resume --quiet\n")
    monkeypatch.setattr("semiseg.presets.list_presets", interrupted)
    code, err = call("presets")
    assert code == 130 and err == "semiseg: interrupted\n"  # only a training can go on


def test_a_reader_that_stops_early_is_no_error() -> None:
    command = [sys.executable, "-m", "semiseg", "presets", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 1


def test_a_terminal_that_lacks_a_letter_ends_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr("semiseg.cli.app", lambda: print("caf\xe9 \u2013 \udce9", flush=True))
    main()
    assert written.getvalue() == b"caf\\xe9 \\u2013 \\udce9\n"
