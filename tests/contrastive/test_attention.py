"""A penalty on the share of vectors that the attention leaves out keeps it from choosing a few."""

import torch

from semiseg.contrastive import ContrastiveConfig, ContrastiveModule
from semiseg.networks import Output


def test_the_penalty_is_added_to_the_loss_and_raises_the_share_that_counts() -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(4, 6, 8, 8), torch.randint(0, 3, (4, 64, 64))
    shares, losses = {}, {}
    for weight in (0.0, 5.0):
        torch.manual_seed(1)
        contrast = ContrastiveModule(
            ContrastiveConfig(bank_size=32, dim=8, quality_filter=False, effective_weight=weight), 6, 3, labelled=1
        )
        contrast.fill_bank(Output(torch.randn(4, 3, 8, 8), features), labels, torch.Generator())
        with torch.no_grad():  # an attention that has begun to choose
            for attention in (contrast.attention_p, contrast.attention_z):
                attention.weight2.mul_(40)
        optimiser = torch.optim.Adam(contrast.parameters(), lr=0.01)
        for i in range(30):
            loss = contrast.loss(features, labels, 4)
            losses.setdefault(weight, loss.item() if i == 0 else 0.0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        shares[weight] = contrast.effective_share().mean().item()
    assert losses[5.0] > losses[0.0] + 0.5, "the penalty is on what the attention leaves out"
    assert shares[5.0] > shares[0.0] + 0.1
