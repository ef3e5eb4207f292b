"""Inception features for the Frechet Inception distance, faster than pytorch-fid extracts them."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

FEATURES = 2048
"""Pooled features of an image."""

BATCH = 10
"""Images a batch: the early maps of more do not fit the caches, the late ones of fewer waste time."""


class FastInception(nn.Module):
    """pytorch-fid's ``InceptionV3([3])`` with batch norm folded into the convolutions and channels last in memory.

    The network given is not changed and may have any weights. Its preprocessing stays: images are resized
    bilinearly to 299 x 299 (corners not aligned, no antialiasing) and scaled to ``2 x - 1``. Features differ from the
    original's by the rounding of float32.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = deepcopy(network).eval().requires_grad_(False)
        for part in list(self.network.modules()):
            convolution, norm = getattr(part, "conv", None), getattr(part, "bn", None)
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                part.conv = fuse_conv_bn_eval(convolution, norm)
                part.bn = nn.Identity()
        self.network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Features ``[N, 2048]``, float32, of RGB ``images`` [N, 3, H, W] in [0, 1]; taken in batches."""
        if not len(images):
            return images.new_zeros(0, FEATURES)
        batches = (part.contiguous(memory_format=torch.channels_last) for part in images.split(BATCH))
        return torch.cat([self.network(part)[0].flatten(1) for part in batches])
