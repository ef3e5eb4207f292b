"""Kernel distances against other libraries and exact populations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kernel_poly, mmd2
from torchmetrics.image.kid import poly_mmd

from cfbench.distances import kernel as module
from cfbench.distances.frechet import Floats
from cfbench.distances.kernel import CMMD_SCALE, KernelSums, cubic_kernel, gaussian_kernel
from cfbench.errors import InvalidParameter


@pytest.fixture
def sets() -> tuple[Floats, Floats]:
    random = np.random.default_rng(0)
    return np.maximum(random.normal(size=(130, 24)), 0), np.maximum(random.normal(size=(130, 24)) + 0.3, 0)


@pytest.fixture(params=[16, 50, 1024])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", request.param)


def whole(x: Floats, y: Floats) -> KernelSums:
    return KernelSums.of(x, y, cubic_kernel, groups_x=np.arange(len(x)) % 7, groups_y=np.arange(len(y)) % 7)


@pytest.mark.usefixtures("block")
def test_unbiased_is_kid_of_torchmetrics_and_torch_fidelity(sets: tuple[Floats, Floats]) -> None:
    found = whole(*sets).squared_mmd()
    assert found == pytest.approx(float(poly_mmd(*map(torch.from_numpy, sets))), rel=1e-9)
    kernels = [
        kernel_poly(a, b, kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1)
        for a, b in ((sets[0], sets[0]), (sets[0], sets[1]), (sets[1], sets[1]))
    ]
    assert found == pytest.approx(mmd2(*kernels), rel=1e-9)
    assert whole(*sets).squared_mmd_biased() == pytest.approx(mmd2(*kernels, mmd_est="biased"), rel=1e-9)
    paired = KernelSums.of(*sets, cubic_kernel, groups_x=np.arange(130) % 7)
    assert paired.squared_mmd() == pytest.approx(mmd2(*kernels, mmd_est="u-statistic"), rel=1e-9)
    assert paired.squared_mmd_biased() == pytest.approx(mmd2(*kernels, mmd_est="biased"), rel=1e-9)


@pytest.mark.usefixtures("block")
def test_leaving_groups_out_is_recomputing_on_the_rest(sets: tuple[Floats, Floats]) -> None:
    kept = ~np.isin(np.arange(130) % 7, (2, 5))
    rest = [torch.from_numpy(part[kept]) for part in sets]
    assert whole(*sets).squared_mmd((2, 5)) == pytest.approx(float(poly_mmd(*rest)), rel=1e-9)


def test_a_fixed_set_of_another_size_is_never_left_out(sets: tuple[Floats, Floats]) -> None:
    x, y = sets[0], np.concatenate([sets[1], sets[1] + 0.01])
    groups = np.arange(130) % 7
    fixed = KernelSums.of(x, y, cubic_kernel, groups_x=groups, groups_y=np.full(260, -1))
    rest = KernelSums.of(x[groups != 3], y, cubic_kernel, groups_x=np.zeros(111, int), groups_y=np.zeros(260, int))
    assert fixed.squared_mmd((3,)) == pytest.approx(rest.squared_mmd(), rel=1e-9)


def test_gaussian_kernel_and_cmmd_from_the_definition(sets: tuple[Floats, Floats]) -> None:
    x, y = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in sets)

    def mean(a: Floats, b: Floats) -> float:
        squared = np.square(a[:, None] - b).sum(axis=2)
        return float(np.exp(-squared / 200).mean())

    expected = 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))
    groups = np.arange(130) % 5
    sums = KernelSums.of(x, y, gaussian_kernel, groups_x=groups, groups_y=groups)
    assert CMMD_SCALE * sums.squared_mmd_biased() == pytest.approx(expected, rel=1e-8)
    assert sums.squared_mmd() < sums.squared_mmd_biased()


def test_too_few_vectors(sets: tuple[Floats, Floats]) -> None:
    with pytest.raises(InvalidParameter, match="at least 2 vectors on either side, got 0 and 0"):
        whole(*sets).squared_mmd(range(7))
