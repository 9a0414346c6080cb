"""``config.yaml`` of a run, edited: one rule for every command."""

import shutil
from pathlib import Path

import pytest
from commands import call
from conftest import tiny

import semiseg
from semiseg import Config
from semiseg.runs.checkpoint import load_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of images and a finished run on it."""
    from conftest import write_picture

    base = tmp_path_factory.mktemp("edited")
    for i in range(8):
        write_picture(base / "photos", f"photo{i:02d}", i, mask=i < 4)
    semiseg.train(tiny(base / "photos", base / "run", method__name="fixmatch"), progress=False)
    return base / "photos", base / "run"


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained[1], tmp_path / "my run"))


def edit(run: Path, *words: str) -> None:
    Config.load(run / "config.yaml", list(words)).save(run / "config.yaml")


def commands(run: Path, photos: Path) -> list[list[object]]:
    out = run.parent
    return [
        ["evaluate", run], ["predict", run, photos / "images", "--output", out / "masks"], ["suggest", run],
        ["report", run, "--images", 1], ["export", run, "--output", out / "a.safetensors", "--format", "safetensors"],
        ["train", run, "--resume", "--quiet"],
        ["train", run / "config.yaml", "--resume", "--quiet"],
    ]  # fmt: skip


def test_what_changes_no_result_counts_everywhere(trained: tuple[Path, Path], run: Path) -> None:
    photos = shutil.copytree(trained[0], run.parent / "moved")
    edit(run, f"data.root={photos}", "evaluation.mode=sliding", "evaluation.window=[32, 32]")
    model = load_model(run)
    assert model.config.evaluation.mode == "sliding" and model.config.data.root == str(photos)
    moved = trained[0].rename(trained[0].with_name("away"))  # only the new place is there
    try:
        for words in commands(run, photos):
            code, out, err = call(*words)
            assert code == 0, (words, out, err)
    finally:
        moved.rename(trained[0])
    assert "No pictures" not in (run / "report.html").read_text(encoding="utf-8")
    assert Config.load(run / "config.yaml").data.root == str(photos)


def test_anything_else_is_refused_everywhere_with_the_key_and_both_values(
    trained: tuple[Path, Path], run: Path
) -> None:
    edit(run, "data.crop=48", "training.iterations=9")
    before = (run / "config.yaml").read_bytes()
    told = (
        f"semiseg: {run / 'config.yaml'} was edited in what a run cannot change: data.crop (trained with 32, now 48), "
        f"training.iterations (trained with 4, now 9); put it back, or train anew: semiseg train '{run}/config.yaml'\n"
    )
    for words in commands(run, trained[0]):
        assert call(*words) == (2, "", told), words
    assert (run / "config.yaml").read_bytes() == before
    assert sorted(path.name for path in run.parent.iterdir()) == ["my run"], "nothing was written"


def test_other_methods_settings_are_no_change(run: Path) -> None:
    edit(run, "method.cutmix.weights.pseudo=3")
    assert load_model(run).iteration == 4


def test_a_checkpoint_elsewhere_and_a_run_without_the_file_stand_by_themselves(run: Path, tmp_path: Path) -> None:
    edit(run, "data.crop=48")
    shutil.copy(run / "checkpoints" / "best.pt", tmp_path / "best.pt")
    assert load_model(tmp_path / "best.pt").config.data.crop == 32
    (run / "config.yaml").unlink()
    assert load_model(run).config.data.crop == 32


def test_a_file_that_cannot_be_read_is_one_line(run: Path) -> None:
    (run / "config.yaml").write_text("data: [")
    code, _, err = call("evaluate", run)
    assert code == 2 and "config.yaml is not valid YAML" in err and len(err.splitlines()) == 1
