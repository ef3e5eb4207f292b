"""The jackknife of set distances on statistics with known answers and populations with known distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
from populations import CUMULANTS, Pair, frechet_jackknife, kernel_jackknife
from scipy.stats import binomtest, t, ttest_ind

from cfbench.distances.frechet import Moments, frechet_distance
from cfbench.distances.intervals import GROUPS, Jackknife, jackknife

Sampler = Callable[..., Jackknife]


def grouped(values: np.ndarray, statistic: Callable[[np.ndarray], float]) -> Callable[[tuple[int, ...]], float]:
    groups = np.arange(len(values)) % GROUPS
    return lambda left_out: statistic(values[~np.isin(groups, left_out)])


def test_of_a_mean_is_students_interval_of_the_group_means() -> None:
    """A mean has no second differences: the correction is nought and the degrees of freedom are K - 1."""
    values = np.random.default_rng(0).normal(size=400)
    found = jackknife(grouped(values, lambda kept: float(kept.mean())))
    means = values.reshape(-1, GROUPS).mean(axis=0)
    error = means.std(ddof=1) / np.sqrt(GROUPS)
    assert found.estimate == pytest.approx(values.mean())
    assert found.error == pytest.approx(error)
    assert found.interval == pytest.approx(t.interval(0.95, GROUPS - 1, loc=values.mean(), scale=error))


@pytest.mark.parametrize("mean", [0.0, 0.4])
def test_of_a_squared_mean(mean: float) -> None:
    """Of n normals, 1/n too large; corrected for bias, its variance is 4 mean^2 / n + 2 / n^2 K / (K - 1).

    The plain jackknife counts the second term twice. At mean 0 there is no other, and the error stays on the safe side.
    """
    random, n, repeats = np.random.default_rng(1), 40, 500
    samples = random.normal(mean, size=(repeats, n))
    found = [jackknife(grouped(sample, lambda kept: float(kept.mean()) ** 2)) for sample in samples]
    quadratic = 2 / n**2 * GROUPS / (GROUPS - 1)
    exact = 4 * mean**2 / n + quadratic
    plain = np.array([19 / 20 * np.square(each.replicates - each.replicates.mean()).sum() for each in found])
    corrected = np.square([each.error for each in found])

    assert_mean([each.value for each in found], mean**2 + 1 / n)
    assert_mean([each.estimate for each in found], mean**2)
    assert_mean(plain, exact + quadratic)
    if mean:
        assert_mean(corrected, exact)
    else:
        assert exact < corrected.mean() < plain.mean()


def assert_mean(values: Sequence[float], expected: float) -> None:
    """The mean is within three of its standard errors of what is expected."""
    assert np.mean(values) == pytest.approx(expected, abs=3 * np.std(values) / np.sqrt(len(values)))


def test_of_a_constant() -> None:
    assert jackknife(lambda left_out: 3.0).interval == pytest.approx((3.0, 3.0))


def covered(sampler: Sampler, pair: Pair, truth: float, n: int, repeats: int, *, paired: bool) -> int:
    intervals = [sampler(pair, n, seed, paired=paired).interval for seed in range(repeats)]
    return sum(low <= truth <= high for low, high in intervals)


def assert_between(hits: int, repeats: int) -> None:
    """The coverage is compatible with 93 to 97 %: no rejection at 1 % of either bound."""
    assert binomtest(hits, repeats, 0.93, alternative="less").pvalue > 0.01
    assert binomtest(hits, repeats, 0.97, alternative="greater").pvalue > 0.01


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("law", ["gaussian", "rectified"])
def test_coverage_of_the_frechet_distance(law: str, paired: bool) -> None:
    pair = Pair(law, 16, strength=0.35, shift=0.1)
    assert_between(covered(frechet_jackknife, pair, pair.frechet, 320, 100, paired=paired), 100)


@pytest.mark.parametrize("paired", [False, True])
def test_coverage_of_the_kernel_distance(paired: bool) -> None:
    pair = Pair("rectified", 16, strength=0.35, shift=0.1)
    assert_between(covered(kernel_jackknife, pair, pair.kernel, 500, 100, paired=paired), 100)


@pytest.mark.slow
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("law", list(CUMULANTS))
@pytest.mark.parametrize(
    ("sampler", "dimensions", "n"),
    [(frechet_jackknife, 16, 320), (frechet_jackknife, 64, 1000), (kernel_jackknife, 16, 500)],
)
def test_coverage_at_length(sampler: Sampler, dimensions: int, n: int, law: str, paired: bool) -> None:
    pair = Pair(law, dimensions, strength=0.35, shift=0.1)
    truth = pair.frechet if sampler is frechet_jackknife else pair.kernel
    assert_between(covered(sampler, pair, truth, n, 1000, paired=paired), 1000)


def test_two_samples_give_welchs_interval_of_a_difference_of_means() -> None:
    """A linear figure of both samples: the jackknife of either is that of its group means."""
    random = np.random.default_rng(5)
    made, real = random.normal(0, 1, GROUPS), random.normal(0.5, 3, GROUPS)

    def figure(left_out: tuple[int, ...] | list[int]) -> float:
        return float(np.delete(made, [group for group in left_out if group < GROUPS]).mean()) - float(
            np.delete(real, [group - GROUPS for group in left_out if group >= GROUPS]).mean()
        )

    found = jackknife(figure).and_of(jackknife(lambda left_out: figure([GROUPS + group for group in left_out])))
    expected = ttest_ind(made, real, equal_var=False).confidence_interval()
    assert found.estimate == pytest.approx(made.mean() - real.mean())
    assert found.interval == pytest.approx((expected.low, expected.high))


def two_sided(parts: list[list[Moments]], left_out: Sequence[int]) -> float:
    """Frechet distance of two samples by groups; those of the second are numbered from ``GROUPS`` on."""
    kept = [
        [part for group, part in enumerate(each, first) if group not in left_out]
        for first, each in zip((0, GROUPS), parts, strict=True)
    ]
    return frechet_distance(*(Moments.sum(each, len(each[0].mean)).gaussian for each in kept))


@pytest.mark.slow
@pytest.mark.parametrize(("dimensions", "made", "real"), [(16, 320, 1000), (16, 1000, 1000), (64, 1000, 5000)])
def test_the_interval_covers_where_the_real_images_are_a_sample_too(dimensions: int, made: int, real: int) -> None:
    random = np.random.default_rng(0)
    truth, runs, hits = 0.64, 200, 0
    for _ in range(runs):
        sides = [random.normal(size=(made, dimensions)) + np.sqrt(truth / dimensions)]
        sides.append(random.normal(size=(real, dimensions)))
        parts = [[Moments.of(side[place::GROUPS]) for place in range(GROUPS)] for side in sides]
        distance = partial(two_sided, parts)
        other = jackknife(lambda left_out, distance=distance: distance([GROUPS + group for group in left_out]))
        low, high = jackknife(distance).and_of(other).interval
        hits += low <= truth <= high
    assert binomtest(hits, runs, 0.95).pvalue > 0.001, hits / runs
