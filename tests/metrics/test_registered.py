"""What holds for every registered metric: declarations, bounds on real runs, reasons of blanks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cfbench.harness import evaluate
from cfbench.judges import ABSENT, Judges
from cfbench.metrics.base import FAMILIES, Metric, QueryMetric
from cfbench.record import Record
from cfbench.registry import METHODS, METRICS
from cfbench.task import Task
from cfbench.testing import Toy

ROLES = {"classifier", "oracle", "extractor", "distilled", "attribute-oracle"}
"""Roles of networks that metrics may need, beside what ``ABSENT`` lists."""


@pytest.fixture(scope="module")
def records(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Runs of noise and of an attack on the toy task."""
    task, root = Task(Toy(toy_folder)), tmp_path_factory.mktemp("runs")
    made = {"noise": {"epsilon": 0.2}, "pgd": {"epsilon": 0.3}}
    return [evaluate(METHODS.load(name)(**given), task, root=root)[0] for name, given in made.items()]


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_declares_what_it_is(name: str) -> None:
    kind: type[Metric] = METRICS.load(name)
    assert kind.name == name
    assert kind.family in FAMILIES
    assert kind.unit
    assert kind.citation
    assert kind.direction in ("higher", "lower")
    assert kind.bounds[0] < kind.bounds[1]
    assert kind.minimum >= 1
    assert kind.version >= 1
    assert set(kind.needs) <= {*ABSENT, *ROLES}
    assert set(kind.subsets) <= {"all", "flipped"}
    assert kind.subsets
    assert "Rewards" in kind.explanation()
    assert "ooled" in kind.explanation()


@pytest.mark.parametrize("name", METRICS.names())
def test_scores_lie_in_bounds_or_say_why_there_is_none(name: str, records: list[Record], toy_folder: Path) -> None:
    kind: type[Metric] = METRICS.load(name)
    keys = [metric.key for metric in kind.instances(Judges.of(Task(Toy(toy_folder))))]
    assert keys
    for record in records:
        for key in keys:
            scores = record.scores[key]
            assert tuple(scores) == kind.subsets
            for score in scores.values():
                assert score.version == kind.version
                if score.value is None:
                    assert score.reason
                    assert (score.ci95, score.floor, score.replicates) == (None, None, None)
                    continue
                assert (score.reason is None) == (score.ci95 is not None)
                low, high = kind.bounds
                limits = score.ci95 or (score.value, score.value)
                assert low <= limits[0] <= limits[1] <= high
                assert low <= score.value <= high
                assert math.isfinite(score.value)
                assert 1 <= score.n <= record.queries.requested
                if issubclass(kind, QueryMetric):
                    assert limits[0] <= score.value <= limits[1]


def test_the_record_holds_nothing_but_registered_metrics(records: list[Record]) -> None:
    for record in records:
        assert {key.partition("[")[0] for key in record.scores} == set(METRICS.names())
