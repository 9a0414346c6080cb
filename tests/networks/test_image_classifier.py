"""The image classifier: a backbone of its own, averaged."""

from pathlib import Path

import torch
from conftest import tiny

from semiseg.networks.build import build_network_of
from semiseg.networks.image_classifier import ImageClassifier


def test_it_averages_the_last_map_of_its_own_copy_of_the_backbone() -> None:
    torch.manual_seed(0)
    network = build_network_of(tiny(Path("."), Path(".")), 5)
    classifier, images = ImageClassifier(network).eval(), torch.rand(2, 3, 32, 48)
    network.eval()
    last = network.backbone((images - 0.5) / 0.25)[-1].flatten(2).mean(2)
    expected = last @ classifier.linear.weight.T + classifier.linear.bias
    found = classifier(images)
    assert found.shape == (2, 5)
    torch.testing.assert_close(found, expected)
    with torch.no_grad():
        next(classifier.backbone.parameters()).zero_()
    assert next(network.backbone.parameters()).any(), "the student's is another"


def test_frozen_statistics_stay_frozen() -> None:
    network = build_network_of(tiny(Path("."), Path("."), network__batch_norm="frozen"), 5)
    classifier = ImageClassifier(network).train()
    norms = [m for m in classifier.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)
