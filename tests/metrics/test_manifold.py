"""Precision, recall, density and coverage as metrics: values, floors, and whether their intervals cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from judged import piece_of, scores_of
from neighbour_coverage import EASY, METRICS, SETTINGS, Setting, covered, scored
from scipy.special import expit, logit
from scipy.stats import binomtest, t

from cfbench.batch import Batch
from cfbench.collector import GROUPS, groups_of, matched
from cfbench.distances.intervals import plain_jackknife
from cfbench.distances.neighbours import neighbourhoods
from cfbench.judges import Judges
from cfbench.metrics import manifold
from cfbench.metrics.kernels import KernelDistance
from cfbench.scoring import batch_of
from cfbench.stats import bootstrap_mean, wilson
from cfbench.task import Task


@pytest.fixture
def batch(task: Task) -> Batch:
    """120 counterfactuals: the toy task's queries twice, moved one row down or two."""
    made = torch.cat([task.stored.roll(rows, dims=2) for rows in (1, 2)])
    queries, sources, targets = (torch.cat([part, part]) for part in (task.stored, task.sources, task.targets))
    return batch_of(piece_of(queries, made, sources=sources, targets=targets), Judges.of(task))


def sides(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Features of the counterfactuals, and of the held-out real images in the classes of the targets."""
    space = batch.judges.spaces[0]
    shares = np.bincount(batch.targets.numpy(), minlength=3) / len(batch.targets)
    chosen = matched(batch.judges.reference.labels.numpy(), shares)
    return batch.features(space, "counterfactuals").numpy(), batch.judges.reference_features(space).numpy()[chosen]


def test_values_on_the_toy_task_are_those_of_the_features(batch: Batch) -> None:
    made, real = sides(batch)
    expected = neighbourhoods(made, real)
    for kind in METRICS:
        score = scores_of(kind, batch)["all"]
        assert score.value == getattr(expected, kind.name)
        assert (score.n, len(score.replicates or ()), score.corrected) == (120, GROUPS, None)
        assert (score.ci95 is None) == (score.reason is not None)
        if score.ci95:
            assert score.ci95[0] <= score.value <= score.ci95[1]
        assert score.network.startswith("extractor@")


def test_intervals_are_wilsons_the_bootstraps_and_the_jackknifes_in_logarithmic_odds() -> None:
    random = np.random.default_rng(1)
    made, real = EASY.made(random), EASY.draw(random, EASY.real)
    groups = groups_of(np.arange(EASY.n))

    def coverage_without(left_out: tuple[int, ...]) -> float:
        return neighbourhoods(made[~np.isin(groups, left_out)], real).coverage

    precision, recall, density, coverage = scored(made, real)
    assert precision.ci95 == wilson(round(EASY.n * precision.value), EASY.n)
    assert density.ci95 == pytest.approx(bootstrap_mean(neighbourhoods(made, real).densities))
    error = plain_jackknife(coverage_without).error / (coverage.value * (1 - coverage.value))
    assert coverage.ci95 == pytest.approx(expit(logit(coverage.value) + t.interval(0.95, GROUPS - 1, scale=error)))
    assert (recall.ci95, recall.reason) == (None, "no interval: none is known to cover as often as it says")


def test_kernel_distance_on_the_toy_task_is_that_of_torchmetrics_kernel(batch: Batch) -> None:
    """The unbiased estimator for sets of unequal size (Gretton et al. 2012, equation 3)."""
    from torchmetrics.image.kid import poly_kernel

    made, real = (torch.from_numpy(side) for side in sides(batch))
    within = [poly_kernel(side, side) for side in (made, real)]
    unbiased = [(each.sum() - each.diagonal().sum()) / (len(each) * (len(each) - 1)) for each in within]
    expected = float(unbiased[0] + unbiased[1] - 2 * poly_kernel(made, real).mean())
    score = scores_of(KernelDistance, batch)["all"]
    assert score.value == pytest.approx(expected, rel=1e-9)
    assert (score.ci95, score.reason) == (None, "no interval: needs at least 200 images")


def test_n_is_what_was_compared(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifold, "COMPARED", 110)
    assert {scores_of(kind, batch)["all"].n for kind in METRICS} == {110}


def test_too_few_leave_them_blank(task: Task) -> None:
    batch = batch_of(piece_of(task.stored, task.stored, sources=task.sources, targets=task.targets), Judges.of(task))
    for kind in (*METRICS, KernelDistance):
        score = scores_of(kind, batch)["all"]
        assert (score.value, score.n) == (None, 60)
        assert score.reason == "needs at least 100 images for 4 features, has 60"


def test_plain_jackknife_of_a_mean_is_students_interval() -> None:
    means = np.random.default_rng(0).normal(size=GROUPS)
    found = plain_jackknife(lambda left_out: float(np.delete(means, left_out).mean()))
    expected = t.interval(0.95, GROUPS - 1, loc=means.mean(), scale=means.std(ddof=1) / math.sqrt(GROUPS))
    assert found.interval == pytest.approx(expected)
    assert found.estimate is None


def test_sets_apart_have_no_precision_and_only_that_has_limits() -> None:
    random = np.random.default_rng(0)
    precision, recall, density, coverage = scored(random.normal(size=(100, 4)) + 50, random.normal(size=(150, 4)))
    assert precision.ci95 == pytest.approx(wilson(0, 100))
    assert recall.ci95 is coverage.ci95 is None
    assert coverage.reason == "no interval: needs 5 real images within reach and 5 without"
    assert (precision.value, recall.value, density.value, coverage.value) == (0, 0, 0, 0)


def assert_covers(setting: Setting, runs: int, draws: int) -> None:
    """No interval is shown to hold its expectation in fewer than 93 % of runs, at the 1 % level."""
    for name, found in covered(setting, runs=runs, draws=draws).items():
        if found.given:
            hits = round(found.share * found.given)
            assert binomtest(hits, found.given, 0.93, alternative="less").pvalue > 0.01, (name, found)


def test_intervals_cover_the_expectation_at_this_number() -> None:
    assert_covers(EASY, runs=50, draws=300)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_intervals_cover_at_length(setting: Setting) -> None:
    assert_covers(setting, runs=400, draws=3000)
