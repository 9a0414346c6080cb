"""The contrastive module in Lightning: two loaders, one module; its checkpoints hold teacher, heads and bank too.

pip install 'semiseg[lightning]'; python examples/lightning_module.py --epochs 5
"""

from __future__ import annotations

import argparse

import lightning
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from semiseg.contrastive import ContrastiveConfig, ContrastiveModule
from semiseg.data.datasets.toy_streets import ToyStreets
from semiseg.losses import entropy, weighted_cross_entropy
from semiseg.networks import build_network, upsample
from semiseg.pseudo_labels import confidence_weights, pseudo_labels
from semiseg.teacher import make_teacher, momentum, update

LABELLED, UNLABELLED, CLASSES, SIZE = 8, 24, 8, (48, 64)


class MemoryBankModule(lightning.LightningModule):
    """A student with ``forward(images) -> (logits, features)``, its teacher, and the memory bank."""

    def __init__(self, student: nn.Module, feature_dim: int, labelled: int, lr: float = 1e-3) -> None:
        super().__init__()
        self.student, self.teacher, self.lr = student, make_teacher(student), lr
        settings = ContrastiveConfig(quality_threshold=0.5)
        self.contrast = ContrastiveModule(settings, feature_dim, CLASSES, labelled=labelled)
        self.draws = torch.Generator().manual_seed(0)

    def training_step(self, batch: dict[str, list[Tensor]], index: int) -> Tensor:
        (x_l, y_l), (x_u,) = batch["labelled"], batch["unlabelled"]
        size = y_l.shape[-2:]
        self.teacher.eval()  # Lightning puts every module into training mode
        with torch.no_grad():
            y_u, confidence = pseudo_labels(upsample(self.teacher(x_u).logits, size))  # eq. 5
            self.contrast.fill_bank(self.teacher(x_l), y_l, self.draws)
        x_a = (x_u + 0.05 * torch.randn_like(x_u)).clamp(0, 1)  # your strong augmentation
        out = self.student(torch.cat([x_l, x_a]))
        logits_l, logits_u = upsample(out.logits, size).split([len(x_l), len(x_a)])
        loss = weighted_cross_entropy(logits_l, y_l) + 0.01 * entropy(logits_u)  # eqs. 4 and 7
        if self.global_step >= self.trainer.estimated_stepping_batches // 5:  # the warm-up of section 4.2
            pseudo = weighted_cross_entropy(logits_u, y_u, pixel_weights=confidence_weights(confidence))  # eq. 6
            contrastive = self.contrast.loss(out.features, torch.cat([y_l, y_u]), len(x_l))  # eqs. 8-11
            loss = loss + pseudo + 0.1 * contrastive
            self.log("contrastive", contrastive, prog_bar=True)
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        tau = momentum(self.global_step, int(self.trainer.estimated_stepping_batches), start=0.9)
        for slow, fast in [(self.teacher, self.student), *self.contrast.teacher_pairs()]:
            update(slow, fast, tau)  # eq. 2

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], lr=self.lr)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    lightning.seed_everything(0)
    streets = ToyStreets(LABELLED + UNLABELLED, SIZE)
    drawn = [streets.image(i) for i in range(len(streets))]
    images = torch.stack([torch.from_numpy(image).permute(2, 0, 1).float() / 255 for image in drawn])
    labels = torch.stack([torch.from_numpy(streets.label(i)).long() for i in range(LABELLED)])
    loaders = {
        "labelled": DataLoader(TensorDataset(images[:LABELLED], labels), 4, shuffle=True, drop_last=True),
        "unlabelled": DataLoader(TensorDataset(images[LABELLED:]), 4, shuffle=True, drop_last=True),
    }
    student = build_network("deeplabv3plus", "resnet18", CLASSES, pretrained="none", output_stride=16)
    module = MemoryBankModule(student, student.feature_dim, LABELLED)
    trainer = lightning.Trainer(
        max_epochs=parser.parse_args().epochs, accelerator="auto", devices=1, logger=False, log_every_n_steps=1
    )
    trainer.fit(module, CombinedLoader(loaders, mode="max_size_cycle"))
    figures = {name: round(float(value), 3) for name, value in trainer.callback_metrics.items()}
    print(f"{trainer.global_step} steps {figures} bank {module.contrast.bank.counts.tolist()}")


if __name__ == "__main__":
    main()
