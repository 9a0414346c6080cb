"""The contrastive module around a network of segmentation_models.pytorch (0.5 or newer).

pip install segmentation-models-pytorch; python examples/smp_network.py --iterations 20
"""

from __future__ import annotations

import argparse

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from semiseg.contrastive import ContrastiveConfig, ContrastiveModule
from semiseg.data.datasets.toy_streets import ToyStreets
from semiseg.losses import weighted_cross_entropy
from semiseg.networks import Output, upsample
from semiseg.pseudo_labels import confidence_weights, pseudo_labels
from semiseg.teacher import make_teacher, momentum, update

LABELLED, UNLABELLED, CLASSES, SIZE = 6, 18, 8, (64, 96)  # sizes are multiples of 32, as those networks want


class WithFeatures(nn.Module):
    """Any of their networks; the features V are what its segmentation head gets."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.feature_dim: int = network.segmentation_head[0].in_channels

    def forward(self, images: Tensor) -> Output:
        features = self.network.decoder(self.network.encoder(images))
        return Output(self.network.segmentation_head(features), features)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--weights", default=None, help="imagenet, say; then normalise the images as the weights ask")
    arguments = parser.parse_args()
    total = arguments.iterations
    torch.manual_seed(0)
    draws = torch.Generator().manual_seed(0)
    streets = ToyStreets(LABELLED + UNLABELLED, SIZE)
    drawn = [streets.image(i) for i in range(len(streets))]
    images = torch.stack([torch.from_numpy(image).permute(2, 0, 1).float() / 255 for image in drawn])
    masks = torch.stack([torch.from_numpy(streets.label(i)).long() for i in range(LABELLED)])

    student = WithFeatures(smp.Unet(arguments.encoder, encoder_weights=arguments.weights, classes=CLASSES))
    teacher = make_teacher(student).eval()
    contrast = ContrastiveModule(
        ContrastiveConfig(quality_threshold=0.5), student.feature_dim, CLASSES, labelled=LABELLED
    )
    parameters = [*student.parameters(), *(p for p in contrast.parameters() if p.requires_grad)]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)
    for i in range(total):
        some = torch.randperm(LABELLED, generator=draws)[:4]
        others = LABELLED + torch.randperm(UNLABELLED, generator=draws)[:4]
        x_l, y_l, x_u = images[some], masks[some], images[others]
        with torch.no_grad():
            y_u, confidence = pseudo_labels(upsample(teacher(x_u).logits, SIZE))  # eq. 5
            contrast.fill_bank(teacher(x_l), y_l, draws)
        out = student(torch.cat([x_l, (x_u + 0.05 * torch.randn_like(x_u)).clamp(0, 1)]))
        logits_l, logits_u = upsample(out.logits, SIZE).split([len(x_l), len(x_u)])
        loss = weighted_cross_entropy(logits_l, y_l)
        if i >= total // 5:  # the warm-up of section 4.2
            pseudo = weighted_cross_entropy(logits_u, y_u, pixel_weights=confidence_weights(confidence))  # eq. 6
            loss = loss + pseudo + 0.1 * contrast.loss(out.features, torch.cat([y_l, y_u]), len(x_l))  # eqs. 8-11
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for slow, fast in [(teacher, student), *contrast.teacher_pairs()]:
            update(slow, fast, momentum(i, total, start=0.9))  # eq. 2
        print(f"{i:3d} loss {loss:.3f} bank {contrast.bank.counts.tolist()}")


if __name__ == "__main__":
    main()
