"""Randomness that belongs to a query: the same numbers whatever batch, shard or order it comes in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cfbench.files import content_hash


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed from names and numbers, such as (base seed, task key, query id)."""
    return int(content_hash(list(parts))[:16], 16) >> 1


class QueryRandom:
    """One random stream a query of a batch.

    Args:
        seeds: one seed a query.
        device: where the drawn tensors are put; the numbers are the same on every device.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __len__(self) -> int:
        return len(self._generators)

    def at_least_two(self) -> QueryRandom:
        """These streams; a single one with its copy, so that grouped kernels serve one image as they do many."""
        if len(self) > 1:
            return self
        both = QueryRandom([0], self.device)
        both._generators = [self._generators[0], self._generators[0].clone_state()]
        return both

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers ``[B, *shape]``."""
        return torch.stack([torch.randn(shape, generator=stream) for stream in self._generators]).to(self.device)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers ``[B, *shape]`` in [low, high)."""
        drawn = torch.stack([torch.rand(shape, generator=stream) for stream in self._generators])
        return drawn.mul_(high - low).add_(low).to(self.device)
