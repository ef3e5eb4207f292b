"""Small classifiers: a strided first convolution halves every map."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from cfbench.networks import DenseNet, FeatureNetwork, MobileNet, PlainCNN, ResNet

BUILDS = {
    "PlainCNN": partial(PlainCNN, widths=(4, 8), depth=2),
    "ResNet": partial(ResNet, widths=(4, 8)),
    "DenseNet": partial(DenseNet, stem=4, growths=(4, 4), layers=2),
    "MobileNet": partial(MobileNet, widths=(4, 8), expansion=2, features=8),
}


@pytest.mark.parametrize("name", BUILDS)
def test_stride_2_halves_every_map_and_changes_no_weight(name: str) -> None:
    def built(stride: int) -> FeatureNetwork:
        torch.manual_seed(0)
        network: FeatureNetwork = BUILDS[name](channels=3, classes=2, mean=(0.5,) * 3, std=(0.5,) * 3, stride=stride)
        return network.eval()

    plain, strided = built(1), built(2)
    torch.testing.assert_close(plain.state_dict(), strided.state_dict())
    with torch.inference_mode():
        images = torch.rand(2, 3, 32, 32)
        sides = [[maps.shape[-1] for maps in network.blocks(images)] for network in (plain, strided)]
        assert strided(images).shape == (2, 2)
    assert sides[1] == [side // 2 for side in sides[0]]
