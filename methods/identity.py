"""Sentinel: change nothing."""

from __future__ import annotations

from torch import Tensor

from cfbench.method import Method


class Identity(Method):
    """Return the query unchanged: perfect proximity and sparsity, no flip."""

    name = "identity"
    family = "sentinel"
    citation = "none; a reference row of cfbench"
    batch_size = 250

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        return images.clone()
