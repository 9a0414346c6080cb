"""Whether the masks cover the looks: the comparison itself, images of two looks, and when there is none."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny, write_picture
from PIL import Image
from typer.testing import CliRunner

from semiseg import looks
from semiseg.cli import app
from semiseg.data.run_data import open_run_data
from semiseg.errors import SemisegError
from semiseg.networks.backbones.resnet import ADDRESSES, ResNet
from semiseg.networks.weights import efficientnet_lite0

STRIPES, GREY = 30, 12


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "SIDE", 48)


def cloud(centre: float, count: int, seed: int) -> torch.Tensor:
    """Features (count, 8) around a centre."""
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)) + centre


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """30 pictures of coloured stripes, 6 with a mask, of which one is for validation, and 12 dim grey ones."""
    root = tmp_path / "pictures"
    for i in range(STRIPES):
        write_picture(root, f"stripes{i:02d}", i, mask=i < 6)
    for i in range(GREY):
        noise = np.random.default_rng(i).integers(0, 40, (48, 64, 1), np.uint8).repeat(3, 2)
        Image.fromarray(noise).save(root / "images" / f"grey{i:02d}.png")
    return root


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(ResNet("resnet18").state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def compare(root: Path, **changes: object) -> looks.Looks:
    config = tiny(root, root / "unused", **{"network__backbone": "resnet18", "data__labelled": "all"} | changes)
    return looks.compare_looks(config, open_run_data(config.data))


def test_images_of_one_look_are_covered_by_a_few_of_them() -> None:
    for count in (3, 12, 40):
        found = looks.compare(cloud(0, count, 1), cloud(0, 200, 2))
        assert found.far.float().mean() <= looks.FEW, count


def test_images_of_other_looks_are_told_and_the_larger_group_comes_first() -> None:
    others = torch.cat([cloud(0, 100, 2), cloud(9, 20, 3), cloud(-9, 40, 4)])
    for count in (3, 12, 40):
        found = looks.compare(cloud(0, count, 1), others)
        assert found.far[100:].all() and found.far[:100].float().mean() <= looks.FEW
        assert found.first[0] >= 120 and 100 <= found.first[1] < 120
    found = looks.compare(torch.cat([cloud(0, 3, 1), cloud(9, 3, 5), cloud(-9, 3, 6)]), others)
    assert found.far.float().mean() <= looks.FEW


def test_the_reach_is_that_of_all_images_not_of_the_labelled() -> None:
    line = torch.arange(10.0)[:, None]
    found = looks.compare(line[:5], line[5:])  # each of five labelled stands for two: the second neighbour
    assert found.reach == 1.0
    assert found.far.tolist() == [False, True, True, True, True]  # 5 is one reach from 4, 6 two
    assert found.first == [2, 4]  # 7 has 6 and 8 near it, which leaves 9


def test_a_look_is_mean_and_spread_of_the_map_of_stride_8() -> None:
    maps = [torch.rand(1, 2, 16, 16), torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]]), torch.rand(1, 4, 1, 1)]
    assert looks.look(maps, (4, 8, 16)).tolist() == [2.0, 5.0, 1.0, 0.0]
    assert looks.look(maps[:1], (4,)).shape == (4,)
    assert looks.look(maps[2:], (16,))[4:].tolist() == [0.0] * 4  # one position has no spread


def test_pictures_of_a_look_without_a_mask_are_told(pictures: Path, weights: Path) -> None:
    found = compare(pictures, network__pretrained=weights)
    assert not found.covered and found.share == pytest.approx(GREY / 36, abs=0.06)
    assert found.compared == found.unlabelled == 36 and found.label_first[0].startswith("grey")
    for i in range(3):
        Image.fromarray(np.zeros((48, 64), np.uint8)).save(pictures / "masks" / f"grey{i:02d}.png")
    with_masks = compare(pictures, network__pretrained=weights)
    assert with_masks.share < found.share / 2
    assert not any(name.startswith("grey") for name in with_masks.label_first)


def test_the_sentence_says_how_many_were_compared() -> None:
    assert str(looks.Looks(0.02, 200, 355, ())) == (
        "the masks cover the looks: 2 % of the unlabelled images (200 of 355 compared) look unlike every labelled one"
    )
    assert str(looks.Looks(0.4, 50, 50, ("a", "b"))) == (
        "about 40 % of the unlabelled images look unlike every labelled one; label one of these first: a, b"
    )


def test_of_many_images_a_fixed_sample_is_read(pictures: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "SAMPLE", 25)
    done: list[tuple[int, int]] = []
    changes = {"network__backbone": "resnet18", "network__pretrained": weights}
    config = tiny(pictures, pictures / "unused", data__labelled="all", **changes)
    data = open_run_data(config.data)
    found = looks.compare_looks(config, data, lambda *at: done.append(at))
    assert found.compared == 25 and found.unlabelled == 36 and "(25 of 36 compared)" in str(found)
    assert done == [(i, 30) for i in range(1, 31)]
    assert looks.compare_looks(config, data) == found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "network.pretrained=none"),
        ({"network__pretrained": "imagenet"}, "the imagenet weights of resnet18 are not known to be on this machine"),
        ({"network__pretrained": "imagenet", "network__backbone": "efficientnet_lite0"}, "nothing is downloaded"),
        ({"network__pretrained": "nowhere.pth"}, "nowhere.pth is not a file"),
    ],
)
def test_without_weights_at_hand_nothing_is_fetched(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], said: str
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("downloads"))
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no_such_package")
    with pytest.raises(SemisegError, match=said):
        compare(pictures, **changes)


def test_a_file_in_the_cache_is_taken_for_the_published_weights(
    pictures: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    name = f"resnet18-{hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}.pth"
    (tmp_path / "hub" / "checkpoints" / name).write_bytes(weights.read_bytes())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setitem(ADDRESSES, "resnet18", f"http://127.0.0.1:9/{name}")
    assert compare(pictures, network__pretrained="imagenet") == compare(pictures, network__pretrained=weights)


def test_too_few_images_are_not_compared(folder: Path, weights: Path) -> None:
    with pytest.raises(SemisegError, match="4 labelled and 7 unlabelled images; that takes 3 to 200 and at least 20"):
        compare(folder, network__pretrained=weights)


def check(*words: object) -> str:
    done = CliRunner().invoke(app, ["data", "check", *(str(word) for word in words)])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_the_command_says_it_in_a_sentence(pictures: Path, weights: Path) -> None:
    words = [pictures, "data.crop=32", "network.backbone=resnet18", f"network.pretrained={weights}"]
    last = check(*words).splitlines()[-1]
    assert last.startswith("about ") and "look unlike every labelled one; label one of these first: grey" in last
    told = json.loads(check(*words, "--json"))["looks"]
    assert told["told"] == last and told["covered"] is False and told["unlabelled"] == 36
    assert check(*words, "--no-looks").splitlines()[-1].endswith("0 errors, 0 remarks")
    assert json.loads(check(*words, "--no-looks", "--json"))["looks"] is None
    words[-1] = "network.pretrained=none"
    assert check(*words).splitlines()[-1].startswith("looks not compared: network.pretrained=none")


def test_data_with_errors_are_not_compared(pictures: Path, weights: Path) -> None:
    (pictures / "images" / "grey00.png").write_bytes(b"junk")
    words = [str(pictures), "network.backbone=resnet18", f"network.pretrained={weights}"]
    done = CliRunner().invoke(app, ["data", "check", *words])
    assert done.exit_code == 1 and "1 error, " in done.stdout.splitlines()[-1]
