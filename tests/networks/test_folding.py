"""Folded networks give what the networks give."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from cfbench.networks import ConvMixer, DenseNet, FeatureNetwork, MobileNet, PlainCNN, ResNet, fold

KINDS: list[tuple[type[FeatureNetwork], dict[str, Any], int]] = [
    (PlainCNN, {"widths": (4, 8), "depth": 2}, 0),
    (ResNet, {"widths": (4, 8)}, 3),
    (ConvMixer, {"width": 8, "depth": 2, "patch": 2, "kernel": 3}, 5),
    (DenseNet, {"stem": 4, "growths": (4,), "layers": 2}, 3),
    (MobileNet, {"widths": (4, 8), "expansion": 2, "features": 8}, 0),
]


@pytest.mark.parametrize(("kind", "sizes", "left"), KINDS)
def test_outputs_stay_and_batch_norms_after_convolutions_go(
    kind: type[FeatureNetwork], sizes: dict[str, Any], left: int
) -> None:
    torch.manual_seed(1)
    network = kind(channels=3, classes=5, mean=(0.5,) * 3, std=(0.2,) * 3, **sizes)
    images = torch.rand(32, 3, 16, 16)
    network.train()(images)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.uniform_(part.bias, -1, 1)
    network.eval().requires_grad_(False)
    folded = fold(deepcopy(network))
    torch.testing.assert_close(folded(images), network(images), rtol=1e-4, atol=1e-4)
    assert sum(isinstance(part, nn.BatchNorm2d) for part in folded.modules()) == left
