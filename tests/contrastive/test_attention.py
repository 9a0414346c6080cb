"""What keeps the attention from choosing a few vectors: a rate of its own, and a penalty on the share it leaves out."""

from pathlib import Path

import pytest
import torch
from conftest import tiny

from semiseg.config.read import Config
from semiseg.contrastive import ContrastiveConfig, ContrastiveModule
from semiseg.methods.memory_bank import MemoryBankMethod
from semiseg.networks import Output
from semiseg.networks.build import build_network_of


@pytest.mark.parametrize(("attention", "wanted"), [(None, 3.0), (0.1, 0.1), (0.0, 0.0)])
def test_attention_has_the_rate_of_the_heads_or_its_own(attention: float | None, wanted: float) -> None:
    rates = {"training__lr_multipliers__heads": 3.0}
    if attention is not None:
        rates["training__lr_multipliers__attention"] = attention
    config = tiny(Path("."), Path("."), **rates)
    method = MemoryBankMethod(config, build_network_of(config, 3), 4)
    found = {group.name: group for group in method.groups()}
    assert (found["heads"].multiplier, found["attention"].multiplier) == (3.0, wanted)
    own = {
        id(p) for network in (method.contrast.attention_p, method.contrast.attention_z) for p in network.parameters()
    }
    assert {id(p) for p in found["attention"].parameters} == own
    assert not own & {id(p) for p in found["heads"].parameters}


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


def test_a_penalty_is_no_negative_number() -> None:
    with pytest.raises(Exception, match="effective_weight"):
        Config.load("toy_streets", ["method.memory_bank.contrastive.effective_weight=-1"])
