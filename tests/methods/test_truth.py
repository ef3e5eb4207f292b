"""The renderer's own counterfactual is the best there is by every ground-truth metric."""

from __future__ import annotations

from functools import cache

import pytest
from judged import batch_of, scores_of

from cfbench.batch import Batch
from cfbench.judges import Judges
from cfbench.metrics.base import Metric
from cfbench.metrics.truth import FactorSuccess, LocalisationIoU, NuisancePreservation, Selectivity, TruthDistance
from cfbench.registry import METHODS, load_dataset
from cfbench.task import Task
from cfbench.view import MethodView

LIMIT = 40
KINDS = (FactorSuccess, NuisancePreservation, Selectivity, TruthDistance, LocalisationIoU)
OTHERS = ("identity", "noise", "pgd", "nearest-unlike")


@cache
def made(name: str) -> Batch:
    """Counterfactuals of the first queries of ``shapes`` by a method."""
    task = Task(load_dataset("shapes"))
    method = METHODS.load(name).create({})
    method.setup(MethodView(task, method.needs))
    outcome = method(task.images(slice(0, LIMIT)), task.targets[:LIMIT], seeds=range(LIMIT))
    assert not any(outcome.errors)
    chosen = {"sources": task.sources[:LIMIT], "targets": task.targets[:LIMIT]}
    return batch_of(Judges.of(task), task.stored[:LIMIT], outcome.images, **chosen)


def score(name: str, kind: type[Metric]) -> float | None:
    return scores_of(kind, made(name))["all"].value


def best(kind: type[Metric]) -> float:
    """The best value that a metric can have."""
    return kind.bounds[0] if kind.direction == "lower" else kind.bounds[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_scores_the_best_that_is_possible(kind: type[Metric]) -> None:
    assert score("truth", kind) == best(kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not FactorSuccess])
@pytest.mark.parametrize("other", OTHERS)
def test_nothing_ties_with_the_truth(other: str, kind: type[Metric]) -> None:
    """A score that is undefined, such as that of a change that was none, is no tie."""
    assert score(other, kind) != best(kind)


def test_only_real_images_of_the_target_class_are_as_truly_of_it() -> None:
    """The classifier errs on no image of the pool, so that the nearest unlike one is what it is taken for."""
    assert {other for other in OTHERS if score(other, FactorSuccess) == 1} == {"nearest-unlike"}
