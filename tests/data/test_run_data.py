from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.config.data import DataConfig
from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError, UsageError


def test_split_of_the_training_images(folder: Path) -> None:
    data = open_run_data(DataConfig(root=str(folder), labelled=2, split_seed=1))
    assert len(data.labelled) == 2 and len(data.unlabelled) == 9
    assert set(data.labelled) | set(data.unlabelled) == set(range(11))
    assert all(data.train.has_label(i) for i in data.labelled)
    other = open_run_data(DataConfig(root=str(folder), labelled=2, split_seed=2))
    assert data.labelled_names == open_run_data(DataConfig(root=str(folder), labelled=2, split_seed=1)).labelled_names
    assert data.labelled_names != other.labelled_names


def test_fully_labelled_sets_use_their_labelled_images_as_unlabelled() -> None:
    data = open_run_data(DataConfig(dataset="toy_streets", options={"train": 5, "val": 2}))
    assert sorted(data.labelled) == data.unlabelled == [0, 1, 2, 3, 4]


def test_list_file_instead_of_a_seed(folder: Path, tmp_path: Path) -> None:
    data = open_run_data(DataConfig(root=str(folder)))
    path = tmp_path / "list.txt"
    path.write_text("\n".join(data.labelled_names[:2]))
    assert (
        open_run_data(DataConfig(root=str(folder), labelled_list=str(path))).labelled_names == data.labelled_names[:2]
    )
    path.write_text(data.train.names[-1])
    with pytest.raises(SemisegError, match="have no mask"):
        open_run_data(DataConfig(root=str(folder), labelled_list=str(path)))


def test_roots(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv("SEMISEG_DATA", raising=False)
    with pytest.raises(UsageError, match=r"data\.root=FOLDER, or set SEMISEG_DATA"):
        open_run_data(DataConfig(dataset="camvid"))
    monkeypatch.setenv("SEMISEG_DATA", str(folder.parent))
    folder.rename(folder.parent / "folder")
    assert len(open_run_data(DataConfig(dataset="folder")).train) == 11
    with pytest.raises(UsageError, match="did you mean 'camvid'"):
        open_run_data(DataConfig(dataset="camvit"))


def test_hidden_masks_do_not_decide_the_number_of_classes(folder: Path) -> None:
    names = open_run_data(DataConfig(root=str(folder), labelled=2)).labelled_names
    hidden = next(f"photo{i:02d}" for i in range(5) if f"photo{i:02d}" not in [*names, "photo02"])  # photo02 validates
    with Image.open(folder / "masks" / f"{hidden}.png") as mask:
        values = np.array(mask)
    values[:2, :2] = 3
    Image.fromarray(values).save(folder / "masks" / f"{hidden}.png")
    with pytest.raises(
        SemisegError, match=r"3 masks in use show the classes 0 to 2, those that stay hidden go up to 3"
    ):
        open_run_data(DataConfig(root=str(folder), labelled=2))
    assert open_run_data(DataConfig(root=str(folder))).train.info.num_classes == 4
    (folder / "dataset.yaml").write_text("classes: [a, b, c, d]\n")
    assert open_run_data(DataConfig(root=str(folder), labelled=2)).train.info.num_classes == 4


def test_source_domain_is_opened_and_must_share_the_classes(folder: Path) -> None:
    toy = {"dataset": "toy_streets", "options": {"train": 5, "val": 2}}
    data = open_run_data(DataConfig(**toy, source={"dataset": "toy_streets", "options": {"look": "game", "train": 3}}))
    assert data.source is not None and len(data.source) == 3 and data.source.names[0].startswith("game")
    with pytest.raises(UsageError, match="share the target's classes"):
        open_run_data(DataConfig(**toy, source={"dataset": "folder", "root": str(folder)}))
    with pytest.raises(UsageError, match=r"no data set 'toy_street'; did you mean 'toy_streets'"):
        open_run_data(DataConfig(**toy, source={"dataset": "toy_street"}))
    with pytest.raises(UsageError, match=r"data\.source\.root is missing"):
        open_run_data(DataConfig(**toy, source={"dataset": "camvid"}))
