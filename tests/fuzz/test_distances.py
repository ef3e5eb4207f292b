"""Distances and statistics on vectors of any size and value: a finite figure, or a line that says why there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fuzzing import cases, refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray

from cfbench.collector import matched
from cfbench.distances.frechet import Moments, frechet_distance, mixture
from cfbench.distances.intervals import jackknife, plain_jackknife
from cfbench.distances.kernel import KernelSums, cubic_kernel, gaussian_kernel
from cfbench.distances.neighbours import Comparison, neighbourhoods
from cfbench.errors import InvalidParameter
from cfbench.stats import bootstrap_mean, crossed_difference, least_rate, mean_interval, wilson

Floats = NDArray[np.float64]

SCALES = (0.0, 1e-310, 1e-160, 1e-20, 1.0, 1e20, 1e100, 1e200, 1e308)


@st.composite
def vectors(draw: DrawFn, width: int | None = None) -> Floats:
    """Up to 40 vectors: random ones of some scale about some centre, some alike, some with a value that is extreme."""
    count = draw(st.integers(0, 40))
    width = draw(st.integers(0, 12)) if width is None else width
    random = np.random.default_rng(draw(st.integers(0, 2**20)))
    with np.errstate(over="ignore"):
        made = random.normal(size=(count, width)) * draw(st.sampled_from(SCALES))
    made += draw(st.sampled_from([0.0, 0.0, 1.0, 1e8, -1e150]))
    if count and draw(st.booleans()):
        made[:] = made[random.integers(0, draw(st.integers(1, count)), count)]
    if made.size and draw(st.integers(0, 3)) == 0:
        made.flat[draw(st.integers(0, made.size - 1))] = draw(st.floats())
    return made


@st.composite
def pairs(draw: DrawFn) -> tuple[Floats, Floats]:
    """Two sets of vectors; most often of one width, sometimes the same set."""
    first = draw(vectors())
    kind = draw(st.integers(0, 9))
    return first, first if kind == 0 else draw(vectors(None if kind == 1 else first.shape[1]))


@cases(120)
@given(pair=pairs())
def test_frechet_distances(pair: tuple[Floats, Floats]) -> None:
    with refused(), np.errstate(all="ignore"):
        a, b = (Moments.of(part).gaussian for part in pair)
        found = frechet_distance(a, b)
        assert math.isfinite(found)
        assert found >= 0


@cases(60)
@given(pair=pairs(), weight=st.sampled_from([0.0, 0.25, 1.0]), groups=st.integers(1, 5))
def test_frechet_distances_to_a_mixture(pair: tuple[Floats, Floats], weight: float, groups: int) -> None:
    with refused(), np.errstate(all="ignore"):
        first, second = pair
        parts = [Moments.of(first[group::groups]) for group in range(groups)]
        mixed = mixture([Moments.sum(parts, first.shape[1]), Moments.of(second)], np.array([weight, 1 - weight]))
        assert math.isfinite(frechet_distance(mixed, Moments.of(second).gaussian))


@cases(120)
@given(pair=pairs(), paired=st.booleans(), kernel=st.sampled_from([cubic_kernel, gaussian_kernel]))
def test_kernel_distances(pair: tuple[Floats, Floats], paired: bool, kernel: object) -> None:
    with refused(), np.errstate(all="ignore"):
        groups = [np.arange(len(part)) % 3 for part in pair]
        sums = KernelSums.of(*pair, kernel, groups_x=groups[0], groups_y=None if paired else groups[1])  # type: ignore[arg-type]
        for left_out in ((), (0,)):
            assert math.isfinite(sums.squared_mmd(left_out))
            assert math.isfinite(sums.squared_mmd_biased(left_out))


@cases(120)
@given(pair=pairs(), k=st.integers(1, 6))
def test_neighbourhoods(pair: tuple[Floats, Floats], k: int) -> None:
    with refused(), np.errstate(all="ignore"):
        found = neighbourhoods(*pair, k)
        for value in (found.precision, found.recall, found.coverage):
            assert 0 <= value <= 1
        assert math.isfinite(found.density)
        left_out = np.arange(len(pair[0])) % 7 == 0
        fewer = Comparison(*pair, k).without(left_out)
        assert 0 <= fewer.precision <= 1


VALUES = hnp.arrays(np.float64, st.integers(0, 80), elements=st.floats(allow_nan=False, allow_infinity=False))


@cases(60)
@given(values=VALUES | st.integers(50, 90).map(lambda n: np.geomspace(1e-300, 1e300, n)))
def test_intervals_of_means(values: Floats) -> None:
    with np.errstate(all="ignore"):
        for interval in (bootstrap_mean(values), mean_interval(values[None])):
            if interval is not None:
                assert min(values) <= interval[0] <= interval[1] <= max(values)


@cases(60)
@given(seeds=st.tuples(st.integers(1, 4), st.integers(1, 4)), data=st.data())
def test_crossed_differences(seeds: tuple[int, int], data: st.DataObject) -> None:
    queries = data.draw(st.integers(2, 12))
    elements = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0])
    a, b = (data.draw(hnp.arrays(np.float64, (count, queries), elements=elements)) for count in seeds)
    found = crossed_difference(a, b)
    assert math.isfinite(found.value)
    assert 0 <= found.p <= 1
    assert all(map(math.isfinite, found.interval or ()))


@cases(60)
@given(n=st.integers(1, 5000), counts=st.lists(st.integers(0, 5000), min_size=1, max_size=5))
def test_intervals_of_rates(n: int, counts: list[int]) -> None:
    kept = [min(count, n) for count in counts]
    for low, high in (least_rate(kept, n), wilson(kept[0], n)):
        assert 0 <= low <= high <= 1


@cases(60)
@given(values=hnp.arrays(np.float64, 40, elements=st.floats(-1e60, 1e60)))
def test_jackknives(values: Floats) -> None:
    groups = np.arange(40) % 20

    def mean(left_out: tuple[int, ...] = ()) -> float:
        return float(values[~np.isin(groups, left_out)].mean())

    for found in (jackknife(mean), plain_jackknife(mean), jackknife(mean).and_of(jackknife(mean))):
        assert math.isfinite(found.value)
        assert math.isfinite(found.error)
        assert found.interval[0] <= found.interval[1]


@cases(60)
@given(
    labels=hnp.arrays(np.int64, st.integers(0, 40), elements=st.integers(0, 4)),
    counts=st.lists(st.integers(0, 9), min_size=5, max_size=5),
)
def test_matched_images(labels: NDArray[np.int64], counts: list[int]) -> None:
    chosen = matched(labels, np.array(counts) / max(sum(counts), 1))
    assert len(set(chosen.tolist())) == len(chosen) <= len(labels)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_distance_has_a_figure_of_values_that_are_not_finite(value: float) -> None:
    made = np.random.default_rng(0).normal(size=(30, 3))
    bad = made.copy()
    bad[4, 1] = value
    groups = np.zeros(30, dtype=np.int64)
    with np.errstate(invalid="ignore"):
        for distance in (
            lambda: frechet_distance(Moments.of(bad).gaussian, Moments.of(made).gaussian),
            lambda: KernelSums.of(made, bad, cubic_kernel, groups_x=groups, groups_y=groups).squared_mmd(),
            lambda: neighbourhoods(bad, made),
            lambda: Comparison(made, bad),
        ):
            with pytest.raises(InvalidParameter, match="not finite"):
                distance()
