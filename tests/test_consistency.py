"""Statistics of batch normalisation: nothing to mend where they match, and the closed form where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cfbench.consistency import BatchStatistics
from cfbench.errors import InvalidParameter

TARGETS = torch.zeros(2, dtype=torch.int64)


def network(mean: list[float], variance: list[float]) -> nn.Module:
    """Two batch norms, the first on the pixels and the second on what the first made of them, doubled."""
    layers = nn.Sequential(nn.BatchNorm2d(2, eps=0, affine=False), nn.Conv2d(2, 1, 1, bias=False))
    layers.append(nn.BatchNorm2d(1, eps=0, affine=False))
    layers[0].running_mean, layers[0].running_var = torch.tensor(mean), torch.tensor(variance)
    nn.init.constant_(layers[1].weight, 2.0)
    return layers.eval()


def images() -> Tensor:
    return torch.rand(2, 2, 5, 7, generator=torch.Generator().manual_seed(0))


def test_the_term_is_the_closed_form_of_each_image() -> None:
    layers = network([0.4, 0.5], [0.2, 0.3])
    term = BatchStatistics(layers)
    layers(images())
    found = term([], TARGETS).detach()
    first = images().double().numpy()
    scaled = (first - np.array([0.4, 0.5])[:, None, None]) / np.sqrt([0.2, 0.3])[:, None, None]
    second = 2 * scaled.sum(1, keepdims=True)
    for image in range(2):
        parts = []
        for inputs, mean, variance in ((first, [0.4, 0.5], [0.2, 0.3]), (second, [0.0], [1.0])):
            flat = inputs[image].reshape(len(mean), -1)
            off = (flat.mean(1) - mean) ** 2 / variance + (flat.var(1) / variance - 1) ** 2
            parts.append(off.mean())
        assert float(found[image]) == pytest.approx(np.mean(parts), rel=1e-5)


def test_an_image_with_the_running_statistics_costs_nothing() -> None:
    image = images()[:1]
    variance, mean = torch.var_mean(image, dim=(0, 2, 3), correction=0)
    layers = network(mean.tolist(), variance.tolist())[:1]
    term = BatchStatistics(layers)
    layers(image)
    assert float(term([], TARGETS[:1])[0]) == pytest.approx(0, abs=1e-10)


def test_without_batch_norms_there_is_nothing_to_match() -> None:
    with pytest.raises(InvalidParameter, match="Sequential has no batch normalisation"):
        BatchStatistics(nn.Sequential(nn.Conv2d(1, 1, 1)))
