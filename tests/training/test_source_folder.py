"""``semiseg train FOLDER`` from its images to config.yaml, and on from there."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import call
from conftest import write_picture

import semiseg
from semiseg import Config, derived
from semiseg.derived import folder as deriving
from semiseg.errors import SemisegError, UsageError
from semiseg.training import loop

SHORT = ["training.iterations=2", "training.device=cpu", "training.tensorboard=false", "network.pretrained=none",
         "network.decoder_channels=8", "method.contrastive.dim=16"]  # fmt: skip


def stored(run_dir: Path) -> dict[str, Any]:
    config = Config.load(run_dir / "config.yaml")
    return {row.setting: row.value for row in derived.stored(run_dir)} | {
        key: semiseg.config.value_of(config, key) for key in derived.KEYS
    }


def test_a_folder_is_all_that_is_needed(folder: Path, tmp_path: Path) -> None:
    code, _, err = call("train", folder, f"run_dir={tmp_path / 'run'}", *SHORT)
    assert code == 0, err
    assert stored(tmp_path / "run") == {
        "data.resize": None, "data.crop": 64, "data.cache": True, "data.workers": 0, "evaluation.mode": "whole",
        "training.batch_size": 4, "training.iterations": 2, "training.validate_every": 1,
        "training.checkpoint_every": 1, "validation images": 1,
    }  # fmt: skip
    table = err[err.index("images: 4 with masks, 7 without") : err.index("semiseg: 1 validation")]
    assert max(len(line) for line in table.splitlines() if "semiseg watch" not in line) <= 80  # a command is whole
    rows = {row.setting: row for row in derived.stored(tmp_path / "run")}
    assert rows["training.iterations"].reason == "given"
    assert set(rows["data.crop"].reason.split()) <= set(table.split())  # over several lines
    for row in rows.values():
        assert row.setting in table


def test_quiet_prints_no_table_and_words_go_first(folder: Path, tmp_path: Path) -> None:
    words = ["data.crop=32", "data.resize=[40,48]", "training.batch_size=2", "evaluation.mode=sliding"]
    code, _, err = call("train", folder, f"run_dir={tmp_path / 'run'}", *SHORT, *words, "--quiet")
    assert code == 0, err
    assert "data.crop" not in err
    config = Config.load(tmp_path / "run" / "config.yaml")
    assert (config.data.crop, config.data.resize, config.training.batch_size) == (32, (40, 48), 2)
    assert (config.evaluation.mode, config.training.validate_every) == ("sliding", 1)


def test_presets_files_and_configurations_stay_what_they_are(folder: Path, tmp_path: Path) -> None:
    usual = Config.load("folder")
    loaded = Config.load(folder)
    assert (loaded.data.crop, loaded.training.iterations) == (256, 3000) == (usual.data.crop, usual.training.iterations)
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({"extends": "folder", "data": {"root": str(folder)}}))
    words = [*SHORT, "data.workers=0", "training.batch_size=2"]
    by_preset = [f"data.root={folder}", f"run_dir={tmp_path / 'preset'}"]
    for number, (source, more) in enumerate([("folder", by_preset), (own, [f"run_dir={tmp_path / 'file'}"])]):
        result = semiseg.train(source, [*words, *more], progress=False)
        config = Config.load(result.run_dir / "config.yaml")
        assert (config.data.crop, config.data.cache, config.training.validate_every) == (256, False, 300), number
        assert derived.stored(result.run_dir) == []


def changed_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the machine would give other settings."""
    read = deriving.read_facts

    def on_a_gpu(*arguments: Any) -> derived.Facts:
        found = vars(read(*arguments))
        return derived.Facts(**found | {"device": "cuda", "gpu_memory": 2**36, "threads": 16})

    monkeypatch.setattr(deriving, "read_facts", on_a_gpu)


def test_a_resumed_run_keeps_its_settings_on_another_device(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"run_dir={tmp_path / 'run'}", *SHORT]
    stop_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):  # of the time when the preset named another method
        semiseg.train(folder, [*words, "method.name=memory_bank"], progress=False)
    monkeypatch.undo()
    before = (tmp_path / "run" / "config.yaml").read_text()
    rows = derived.stored(tmp_path / "run")
    changed_device(monkeypatch)
    code, _, err = call("train", folder, *words, "--resume")
    assert code == 0, err
    assert "data.crop" not in err and "memory_bank 2/2" in err
    assert (tmp_path / "run" / "config.yaml").read_text() == before and derived.stored(tmp_path / "run") == rows
    anew = [f"run_dir={tmp_path / 'anew'}", *SHORT, "data.workers=0"]
    semiseg.train(folder, anew, progress=False)
    assert stored(tmp_path / "anew")["training.batch_size"] == 8, "the change must have an effect to be tested"


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    train_round = loop.Run._due

    def due(run: loop.Run, *arguments: Any) -> bool:
        written = train_round(run, *arguments)
        if run.iteration == steps:
            raise KeyboardInterrupt
        return written

    monkeypatch.setattr(loop.Run, "_due", due)


def test_a_resume_after_masks_were_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split, count in (("train", 6), ("val", 2)):
        for i in range(count):
            write_picture(tmp_path / "flat", f"{split}{i}", i, mask=split == "val" or i < 3)
    root = tmp_path / "photos"
    for kind in ("images", "masks"):
        for split in ("train", "val"):
            (root / kind / split).mkdir(parents=True)
            for path in (tmp_path / "flat" / kind).glob(f"{split}*.png"):
                path.rename(root / kind / split / path.name)
    (tmp_path / "list.txt").write_text("train0\ntrain1\n")
    words = [f"run_dir={tmp_path / 'run'}", *SHORT, f"data.labelled_list={tmp_path / 'list.txt'}"]
    stop_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        semiseg.train(root, words, progress=False)
    monkeypatch.undo()
    (root / "masks" / "train" / "train3.png").write_bytes((root / "masks" / "train" / "train2.png").read_bytes())
    assert semiseg.train(root, words, resume=True, progress=False).best_iteration >= 1


def test_new_masks_that_change_the_split_are_what_a_refused_resume_names(folder: Path, tmp_path: Path) -> None:
    words = [f"run_dir={tmp_path / 'run'}", *SHORT]
    semiseg.train(folder, words, progress=False)
    for i in range(5, 11):
        write_picture(folder, f"photo{i:02d}", i, mask=True)
    with pytest.raises(UsageError, match=r"--resume with other labelled images \(4 when it began, 9 now\)"):
        semiseg.train(folder, words, resume=True, progress=False)


def test_a_run_of_an_earlier_version_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the preset's own settings in its config.yaml and no table."""
    words = [f"run_dir={tmp_path / 'run'}", *SHORT, "training.batch_size=2", "data.workers=0"]
    stop_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        semiseg.train(Config.load(folder, [*words, "training.checkpoint_every=1"]), progress=False)
    monkeypatch.undo()
    semiseg.train(folder, words, resume=True, progress=False)
    assert Config.load(tmp_path / "run" / "config.yaml").data.crop == 256


def test_auto_resume_also_starts_a_run_and_other_words_are_refused_as_ever(folder: Path, tmp_path: Path) -> None:
    words = [f"run_dir={tmp_path / 'run'}", *SHORT]
    semiseg.train(folder, words, resume="auto", progress=False)
    assert stored(tmp_path / "run")["data.crop"] == 64
    with pytest.raises(UsageError, match=r"data\.crop \(was 64, now 32\)"):
        semiseg.train(folder, [*words, "data.crop=32"], resume=True, progress=False)
    with pytest.raises(UsageError, match=r"method\.name \(was fixmatch, now supervised\)"):
        semiseg.train(folder, [*words, "method.name=supervised"], resume=True, progress=False)
    with pytest.raises(UsageError, match="already holds a run"):
        semiseg.train(folder, words, progress=False)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: [path.unlink() for path in (root / "masks").iterdir()], "no mask in"),
        (lambda root: [path.write_bytes(b"") for path in (root / "images").iterdir()], "cannot be read as an image"),
        (lambda root: next(iter(sorted((root / "masks").iterdir()))).write_bytes(b"x"), "cannot be read as a mask"),
    ],
)
def test_bad_folders_are_the_same_one_line_and_leave_no_run(
    folder: Path, tmp_path: Path, break_it: Any, message: str
) -> None:
    break_it(folder)
    with pytest.raises(SemisegError, match=message) as by_preset:
        semiseg.train(Config.load(folder, [f"run_dir={tmp_path / 'a'}", *SHORT]), progress=False)
    code, _, err = call("train", folder, f"run_dir={tmp_path / 'b'}", *SHORT)
    assert (code, err) == (1, f"semiseg: {by_preset.value}\n") and not (tmp_path / "b").exists()


def test_commands_that_look_ahead_see_the_same_settings(folder: Path) -> None:
    code, out, err = call("data", "check", folder, "--json")
    assert code == 0 and "smaller than the crop" not in out, err
    code, out, err = call("data", "check", folder, "data.crop=80", "--json")
    assert code == 0 and "smaller than the crop" in out, err
    code, out, err = call("cost", folder)
    assert code == 0 and "64×64 image" in out and "4 labelled crops" in out, err
    code, out, err = call("cost", folder, "training.device=cuda")
    assert code == 0 and "8 labelled crops" in out, err
    for path in (folder / "masks").iterdir():
        path.unlink()
    code, _, err = call("cost", folder)
    assert code == 2 and "no mask in" in err and "semiseg cost folder --classes N" in err
