"""BatchNorm statistics renewed after the last step: from which images, of which networks."""

from pathlib import Path

import pytest
import torch
from conftest import tiny
from torch import Tensor, nn

from semiseg.data.loading import CropDataset
from semiseg.data.run_data import open_run_data
from semiseg.runs import checkpoint
from semiseg.training import loop, refresh
from semiseg.training.refresh import refresh_batch_norm

CPU, PLAIN = torch.device("cpu"), torch.contiguous_format


class OneNorm(nn.Module):
    """A network that is one BatchNorm, frozen or not, and remembers what it has seen."""

    def __init__(self, frozen: bool = False) -> None:
        super().__init__()
        self.norm, self.frozen, self.seen = nn.BatchNorm2d(3, momentum=0.05), frozen, list[Tensor]()
        self.norm.running_mean.fill_(7)  # type: ignore[union-attr]

    def train(self, mode: bool = True) -> "OneNorm":
        super().train(mode)
        self.norm.train(mode and not self.frozen)
        return self

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.double())
        normalised: Tensor = self.norm(images)
        return normalised


def test_statistics_are_plain_averages_over_the_batches_and_modes_stay(folder: Path, tmp_path: Path) -> None:
    config = tiny(folder, tmp_path / "run", training__batch_norm_refresh=3)
    student, teacher, frozen = OneNorm().train(), OneNorm().eval(), OneNorm(frozen=True).train()
    refresh_batch_norm([student, teacher, frozen], config, open_run_data(config.data), CPU, PLAIN)
    means = torch.stack([images.mean(dim=(0, 2, 3)) for images in student.seen]).mean(dim=0)
    variances = torch.stack([images.transpose(0, 1).flatten(1).var(dim=1) for images in student.seen]).mean(dim=0)
    for network in (student, teacher):
        assert len(network.seen) == 3 and network.norm.momentum == 0.05
        assert all(map(torch.equal, network.seen, student.seen))
        torch.testing.assert_close(network.norm.running_mean.double(), means, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(network.norm.running_var.double(), variances, rtol=1e-5, atol=1e-6)
    assert (frozen.norm.running_mean == 7).all()
    assert student.training and student.norm.training and not teacher.training and not teacher.norm.training


@pytest.mark.parametrize("which", ["labelled", "unlabelled", "both"])
def test_the_images_are_those_asked_for_without_augmentation(folder: Path, tmp_path: Path, which: str) -> None:
    config = tiny(folder, tmp_path / "run", training__batch_norm_refresh=8, training__batch_norm_refresh_images=which,
                  data__labelled=2, data__crop=64)  # fmt: skip
    data, network = open_run_data(config.data), OneNorm()
    refresh_batch_norm([network], config, data, CPU, PLAIN)
    whole = {i: torch.from_numpy(data.train.image(i)).permute(2, 0, 1).float() / 255 for i in range(len(data.train))}
    found = {
        next(i for i, image in whole.items() if torch.equal(image.double(), crop))
        for batch in network.seen for crop in batch
    }  # fmt: skip
    wanted = {"labelled": data.labelled, "unlabelled": data.unlabelled, "both": range(len(data.train))}[which]
    assert found == set(wanted)


@pytest.mark.parametrize(("buffers", "too"), [("copy", True), ("keep", True), ("keep", False)])
def test_a_run_ends_with_statistics_of_its_last_weights_in_student_and_where_asked_teacher(
    folder: Path, tmp_path: Path, buffers: str, too: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(folder, tmp_path / "run", method__name="mean_teacher", method__teacher__buffers=buffers,
                  training__batch_norm_refresh=3, training__batch_norm_refresh_images="both",
                  training__batch_norm_refresh_teacher=too, training__iterations=2)  # fmt: skip
    asked: list[list[int]] = []
    monkeypatch.setattr(refresh, "CropDataset", lambda *a, **k: asked.append(a[1]) or CropDataset(*a, **k))
    run = loop.Run(config)
    means: dict[str, list[Tensor]] = {"student": [], "teacher": []}
    norms = {}
    for name, seen in means.items():
        network = getattr(run.method, name)
        layer, norms[name] = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d))
        norms[name].register_forward_pre_hook(
            lambda m, inputs, seen=seen: seen.append(inputs[0].mean((0, 2, 3)).detach()) if m.training else None
        )
    run.train(progress=False)
    assert asked == [sorted({*run.data.labelled, *run.data.unlabelled})]
    state = checkpoint.load(tmp_path / "run" / "checkpoints" / "last.pt")["method"]
    assert bool(means["teacher"]) is too
    for name, steps in (("student", 2), ("teacher", 0))[: 1 + too]:
        renewed = torch.stack(means[name][steps:]).mean(0)
        assert len(means[name]) == steps + 3
        torch.testing.assert_close(norms[name].running_mean, renewed)
        torch.testing.assert_close(state[f"{name}.{layer}.running_mean"], renewed)
