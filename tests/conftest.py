"""A tiny folder data set and a configuration that trains on it in seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision_operators
from fake_networks import Small
from PIL import Image

from semiseg import Config
from semiseg.methods import Batch, Needs
from semiseg.networks.build import BACKBONES
from semiseg.training import preflight

torchvision_operators.complete()
BACKBONES["small"] = Small

HANGS = 900  # seconds that a started process may take on a machine however busy: it has no part in what is tested

CLASS_COLOURS = np.array([[200, 40, 40], [40, 180, 60], [50, 60, 200]], np.uint8)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    # Small tensors gain nothing from threads, and bit-equality is asked for at a fixed number of them.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _disks_do_not_wait() -> Iterator[None]:
    """Bringing files to the disk cannot be seen by a process that goes on, and takes seconds where others write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda file: None)
        yield


COUNTING = ("memory_remark", "validation_remark")


@pytest.fixture(autouse=True, scope="session")
def _memory_is_not_counted() -> Iterator[None]:
    """What a run needs is counted before it begins, in more time than these runs take."""
    with pytest.MonkeyPatch.context() as patch:
        count_no_memory(patch)
        yield


def count_no_memory(patch: pytest.MonkeyPatch) -> None:
    """For processes that tests start as well."""
    for name in COUNTING:
        patch.setattr(preflight, name, lambda *words, **more: None)


COUNTED = {name: getattr(preflight, name) for name in COUNTING}


@pytest.fixture
def memory_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As outside of the tests."""
    for name, counts in COUNTED.items():
        monkeypatch.setattr(preflight, name, counts)


@pytest.fixture(autouse=True, scope="session")
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def write_picture(folder: Path, name: str, seed: int, mask: bool, size: tuple[int, int] = (64, 64)) -> None:
    """Three noisy stripes in the classes' colours, and their mask."""
    rng = np.random.default_rng(seed)
    columns = np.sort(rng.integers(8, size[1] - 8, 2))
    label = np.digitize(np.arange(size[1]), columns)[None].repeat(size[0], 0).astype(np.uint8)
    label = rng.permutation(3).astype(np.uint8)[label]
    image = CLASS_COLOURS[label].astype(int) + rng.integers(-30, 30, (*size, 3))
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{name}.png")
    if mask:
        Image.fromarray(label).save(folder / "masks" / f"{name}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """12 images of 64x64 pixels, three classes; 5 have masks, of which one becomes the validation set."""
    root = tmp_path / "photos"
    for i in range(12):
        write_picture(root, f"photo{i:02d}", i, mask=i < 5)
    return root


def as_needed(unlabelled: Batch, needs: Needs) -> Batch:
    """Unlabelled crops as a method asks for them: two of each image, at a distance, where it wants pairs."""
    if needs.crops == 1:
        return unlabelled
    images, labels = (torch.cat([part, part.flip(-1)]) for part in unlabelled[:2])
    corner = torch.tensor([[4, 0]] * len(unlabelled.images) + [[0, 8]] * len(unlabelled.images))
    return Batch(images, labels, corner=corner)


def tiny(root: Path, run_dir: Path, **changes: Any) -> Config:
    """A backbone of four convolutions from random weights, 4 steps of 2 crops of 32 pixels."""
    words = [
        "data.dataset=folder", f"data.root={root}", f"run_dir={run_dir}", "data.crop=32", "data.workers=0",
        "network.architecture=deeplabv3plus", "network.backbone=small", "network.pretrained=none",
        "network.output_stride=16", "network.decoder_channels=16", "method.warmup=0.25",
        "method.contrastive.quality_threshold=0.1", "method.contrastive.bank_size=8", "method.contrastive.dim=16",
        "training.iterations=4", "training.batch_size=2", "training.learning_rate=0.01", "training.log_every=1",
        "training.validate_every=4", "training.checkpoint_every=2", "training.device=cpu", "training.tensorboard=false",
    ]  # fmt: skip
    return Config.parse({}, [*words, *(f"{key.replace('__', '.')}={value}" for key, value in changes.items())])
