"""Batch norm taken into the convolutions before it, for networks that are run very often."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold(network: nn.Module) -> nn.Module:
    """Fold batch norms of a network in evaluation mode into the convolutions that they follow; changes it in place.

    Only neighbours within an ``nn.Sequential`` are folded, whose order is known. Outputs change by rounding. Weights
    are laid out channels-last.
    """
    for part in network.modules():
        if isinstance(part, nn.Sequential):
            for (_, first), (name, second) in pairwise(list(part.named_children())):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    fused = fuse_conv_bn_eval(first, second)
                    first.weight, first.bias = fused.weight, fused.bias
                    part._modules[name] = nn.Identity()
    return network.to(memory_format=torch.channels_last)
