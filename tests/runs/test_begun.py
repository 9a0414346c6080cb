"""A run that goes on, or is evaluated, has the images, class names and masks that it began with."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import write_picture
from PIL import Image

from semiseg import Config, evaluate
from semiseg.config.data import DataConfig, SourceConfig
from semiseg.data.run_data import open_run_data, open_split
from semiseg.errors import SemisegError
from semiseg.runs.begun import SOURCE, VALIDATION, data_as_begun, names_digest, trained_on
from semiseg.training.loop import Run

OLD = Path(__file__).parents[1] / "old_runs" / "supervised"
FORMER = {"validation": "permutation"}


@pytest.fixture
def begun(folder: Path, tmp_path: Path) -> Config:
    """A run of an earlier version, stopped half-way: photo03 validates, where the hash would choose photo02."""
    run = tmp_path / "run"
    shutil.copytree(OLD, run)
    return Config.load(run / "config.yaml", [f"data.root={folder}", f"run_dir={run}"])


def facts(config: DataConfig) -> dict[str, list[object]]:
    return {VALIDATION: [1, names_digest(open_split(config, "val").names)]}


def test_the_split_is_the_one_it_began_with(folder: Path) -> None:
    now = DataConfig(root=str(folder))
    former = now.model_copy(update={"options": FORMER})
    assert open_split(now, "val").names == ["photo02"] and open_split(former, "val").names == ["photo03"]
    assert data_as_begun(now, None) == now == data_as_begun(now, facts(now))
    assert data_as_begun(now, {}) == former == data_as_begun(now, facts(former)), "{}: before there were facts"
    write_picture(folder, "photo05", 5, mask=True)  # six masks are divided otherwise by either rule
    assert data_as_begun(now, {VALIDATION: [1, names_digest(["photo03"])]}) == now


def test_the_split_of_a_divided_folder_is_its_own(folder: Path) -> None:
    (folder / "images" / "train").mkdir()
    divided = DataConfig(root=str(folder))
    assert data_as_begun(divided, {}) == divided
    toy = DataConfig(dataset="toy_streets")
    assert data_as_begun(toy, {}) == toy


def test_a_source_folder_keeps_what_it_began_with(folder: Path) -> None:
    for i in range(5, 12):
        write_picture(folder, f"photo{i:02d}", i, mask=True)
    source = SourceConfig(dataset="folder", root=str(folder))
    config = DataConfig(root=str(folder), options=FORMER, source=source)
    data = open_run_data(config)
    assert data.source is not None and len(data.source) == 12, "no fifth of it is lost"
    former = source.model_copy(update={"options": FORMER})
    began = {SOURCE: [10, names_digest(open_split(former, "train").names)]}
    assert data_as_begun(config, began).source == former
    assert data_as_begun(config, {SOURCE: [12, names_digest(data.source.names)]}).source == source


def test_evaluation_takes_the_images_the_run_began_with_and_tells_of_those_it_was_trained_on(
    begun: Config, folder: Path, recwarn: pytest.WarningsRecorder
) -> None:
    run = Path(begun.run_dir)
    assert not trained_on(run, ["photo03"]) and trained_on(run, ["photo02", "photo03"]) == ["photo02"]
    assert evaluate(run, device="cpu", data_root=folder).images == 1
    assert not [w for w in recwarn if "trained on" in str(w.message)]
    write_picture(folder, "photo05", 5, mask=True)
    (run / "labelled.txt").write_text("photo05\n")  # which either rule takes of six masks
    with pytest.warns(UserWarning, match="1 of 1 images of val were trained on, e.g. photo05"):
        evaluate(run, device="cpu", data_root=folder)


def test_masks_that_were_edited_stop_a_resume(begun: Config, folder: Path) -> None:
    Run(begun, resume=True)  # a run of before goes on, and what its masks say is kept from now on
    Run(begun, resume=True)
    name = (OLD / "labelled.txt").read_text().split()[0]
    path = folder / "masks" / f"{name}.png"
    values = np.array(Image.open(path))
    Image.fromarray(values).save(path, compress_level=0)  # another file that says the same
    Run(begun, resume=True)
    values[0, 0] = (values[0, 0] + 1) % 3
    Image.fromarray(values).save(path)
    with pytest.raises(SemisegError, match=f"--resume with other masks: 1 say something else .*, e.g. train/{name};"):
        Run(begun, resume=True)


def test_a_damaged_record_of_masks_is_named(begun: Config) -> None:
    (Path(begun.run_dir) / "labels.json").write_text("[]")
    with pytest.raises(SemisegError, match=r"labels\.json cannot be read; remove it to go on"):
        Run(begun, resume=True)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("[class_1, class_0, class_2]", "class 0 is class_1 here and was class_0 in training"),
        ("[class_0, class_1, class_2, more]", "the data has 4 classes, the network 3; class 3 is more here"),
    ],
)
def test_other_class_names_stop_a_resume(begun: Config, folder: Path, classes: str, message: str) -> None:
    (folder / "dataset.yaml").write_text(f"classes: {classes}\n")
    with pytest.raises(SemisegError, match=message):
        Run(begun, resume=True)
