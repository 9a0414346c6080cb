"""The contrastive module in a plain PyTorch loop, around a network that is not ours.

python examples/plain_loop.py --iterations 60
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from semiseg.contrastive import ContrastiveConfig, ContrastiveModule
from semiseg.data.datasets.toy_streets import ToyStreets
from semiseg.losses import entropy, weighted_cross_entropy
from semiseg.networks import Output, upsample
from semiseg.pseudo_labels import confidence_weights, pseudo_labels
from semiseg.teacher import make_teacher, momentum, update

LABELLED, UNLABELLED, CLASSES, SIZE = 6, 20, 8, (48, 64)


class TinyNetwork(nn.Module):
    """Four convolutions: features at stride 8 and a linear classifier on them."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 48)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.classifier = nn.Conv2d(widths[-1], CLASSES, 1)

    def forward(self, images: Tensor) -> Output:
        features = self.body(images)
        return Output(self.classifier(features), features)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--iterations", type=int, default=60)
    total = parser.parse_args().iterations
    torch.manual_seed(0)
    draws = torch.Generator().manual_seed(0)

    streets = ToyStreets(LABELLED + UNLABELLED, SIZE)
    stacked = np.stack([streets.image(i) for i in range(len(streets))]).transpose(0, 3, 1, 2)
    images = torch.from_numpy(stacked.copy()).float() / 255
    masks = torch.from_numpy(np.stack([streets.label(i) for i in range(LABELLED)])).long()

    student = TinyNetwork()
    teacher = make_teacher(student).eval()
    contrast = ContrastiveModule(ContrastiveConfig(quality_threshold=0.5), 48, CLASSES, labelled=LABELLED)
    parameters = [*student.parameters(), *(p for p in contrast.parameters() if p.requires_grad)]
    optimiser = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)

    for i in range(total):
        some = torch.randperm(LABELLED, generator=draws)[:4]
        others = LABELLED + torch.randperm(UNLABELLED, generator=draws)[:4]
        x_l, y_l, x_u = images[some], masks[some], images[others]
        with torch.no_grad():
            seen_l, seen_u = teacher(x_l), teacher(x_u)
            y_u, confidence = pseudo_labels(upsample(seen_u.logits, SIZE))  # eq. 5
            contrast.fill_bank(seen_l, y_l, draws)

        x_a = (x_u + 0.05 * torch.randn_like(x_u)).clamp(0, 1)  # your strong augmentation
        out = student(torch.cat([x_l, x_a]))
        logits_l, logits_u = upsample(out.logits, SIZE).split([len(x_l), len(x_a)])
        loss = weighted_cross_entropy(logits_l, y_l) + 0.01 * entropy(logits_u)  # eqs. 4 and 7
        contrastive = torch.zeros(())
        if i >= total // 5:  # the warm-up of section 4.2
            contrastive = contrast.loss(out.features, torch.cat([y_l, y_u]), len(x_l))  # eqs. 8-11
            pseudo = weighted_cross_entropy(logits_u, y_u, pixel_weights=confidence_weights(confidence))  # eq. 6
            loss = loss + pseudo + 0.1 * contrastive
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        tau = momentum(i, total, start=0.9)
        for slow, fast in [(teacher, student), *contrast.teacher_pairs()]:
            update(slow, fast, tau)  # eq. 2
        if i % 10 == 0 or i == total - 1:
            print(f"{i:3d} loss {loss:.3f} contrastive {contrastive:.3f} bank {contrast.bank.counts.tolist()}")


if __name__ == "__main__":
    main()
