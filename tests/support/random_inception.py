"""pytorch-fid's Inception without its weight file: random weights, batch norm with statistics of its own."""

from __future__ import annotations

from unittest import mock

import torch
from pytorch_fid import inception
from torch import nn


def random_inception(seed: int = 0) -> nn.Module:
    """``InceptionV3([3])`` in evaluation mode; convolutions keep the
    signal's scale (He), batch norms have means, variances, scales and shifts drawn at random."""
    torch.manual_seed(seed)
    with (
        mock.patch.object(inception, "load_state_dict_from_url"),
        mock.patch.object(nn.Module, "load_state_dict"),
    ):
        network = inception.InceptionV3([3]).eval()
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        elif isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(0, 0.2)
    return network
