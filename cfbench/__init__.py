"""cfbench: benchmark and leaderboard for visual counterfactual explanations of image classifiers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cfbench.classifier import Classifier
    from cfbench.comparison import Group, compare, group_runs
    from cfbench.dataset import Dataset, Images, NetworkSpec, RawData
    from cfbench.errors import CfbenchError
    from cfbench.harness import evaluate
    from cfbench.method import Method
    from cfbench.metrics.base import Metric, QueryMetric
    from cfbench.needs import Needs
    from cfbench.record import Record
    from cfbench.recording import rescore
    from cfbench.registry import load_dataset
    from cfbench.task import Task
    from cfbench.view import MethodView

_HOMES = {
    "CfbenchError": "errors",
    "Classifier": "classifier",
    "Dataset": "dataset",
    "Group": "comparison",
    "Images": "dataset",
    "Method": "method",
    "MethodView": "view",
    "Metric": "metrics.base",
    "Needs": "needs",
    "NetworkSpec": "dataset",
    "QueryMetric": "metrics.base",
    "RawData": "dataset",
    "Record": "record",
    "Task": "task",
    "compare": "comparison",
    "evaluate": "harness",
    "group_runs": "comparison",
    "load_dataset": "registry",
    "rescore": "recording",
}

__all__ = [
    "CfbenchError",
    "Classifier",
    "Dataset",
    "Group",
    "Images",
    "Method",
    "MethodView",
    "Metric",
    "Needs",
    "NetworkSpec",
    "QueryMetric",
    "RawData",
    "Record",
    "Task",
    "compare",
    "evaluate",
    "group_runs",
    "load_dataset",
    "rescore",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cfbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"cfbench.{_HOMES[name]}"), name)
