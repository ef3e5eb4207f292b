"""Conformance checks: what every adapter must do on any task. Each raises AssertionError with the reason."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cfbench.harness import evaluate
from cfbench.method import Method
from cfbench.seeds import derive_seed
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.view import MethodView

QUERIES = 8
"""Queries that a check explains."""

FLOAT_NOISE = 1 / 255
"""Mean absolute difference of one image, in pixel values, that the rounding of another batch size may grow to."""

Make = Callable[[], Method]
Check = Callable[[Make, Task], None]


def _seeds(task: Task, positions: list[int]) -> list[int]:
    return [derive_seed(0, task.key, task.queries["query_id"][position]) for position in positions]


def _explain(make: Make, task: Task, batches: list[list[int]]) -> Tensor:
    """8-bit counterfactuals of all positions in ``batches``, in rising order of position, with the seeds of a run."""
    method = make()
    method.setup(MethodView(task, method.needs), seed=derive_seed(0, task.key, "prepare"))
    parts = []
    for batch in batches:
        rows = torch.tensor(batch)
        outcome = method(task.images(rows), task.targets[rows], seeds=_seeds(task, batch))
        assert not any(outcome.errors), f"failed on a plain query: {outcome.errors}"
        parts.append(outcome.images)
    order = torch.tensor([position for batch in batches for position in batch]).argsort()
    return torch.cat(parts)[order]


def _assert_close(found: Tensor, expected: Tensor, what: str) -> None:
    difference = float((found.float() - expected.float()).abs().flatten(1).mean(1).max()) / 255
    assert difference <= FLOAT_NOISE, f"{what}: an image differs by {difference:.4f} of the pixel range in the mean"


def documented(make: Make, task: Task) -> None:
    """The class has a docstring, a family, a citation and a version."""
    method = type(make())
    assert inspect.getdoc(method), "write a docstring"
    for attribute in ("name", "family", "citation", "version"):
        assert getattr(method, attribute, ""), f"set {attribute}"


def parameters_round_trip(make: Make, task: Task) -> None:
    """Parameters are keyword-only, JSON-able, stored under their names, and make an equal instance."""
    method = make()
    for parameter in inspect.signature(type(method)).parameters.values():
        assert parameter.kind is parameter.KEYWORD_ONLY, f"make {parameter.name} keyword-only"
    stored = json.loads(json.dumps(method.parameters()))
    again = json.loads(json.dumps(type(method).create(stored).parameters()))
    assert again == stored, f"{stored} became {again}"


def right_form(make: Make, task: Task) -> None:
    """Images come back in shape and range, one a query (the base class checks dtype, device and mutation)."""
    images = _explain(make, task, [list(range(QUERIES))])
    expected = (QUERIES, *task.dataset.image_shape)
    assert images.shape == expected, f"{list(images.shape)} came back; expected {list(expected)}"
    assert images.dtype == torch.uint8, f"{images.dtype} came back; expected 8-bit images"


def deterministic(make: Make, task: Task) -> None:
    """The same seed gives the same bits."""
    batch = [list(range(QUERIES))]
    assert torch.equal(_explain(make, task, batch), _explain(make, task, batch)), "two equal runs differ"


def batch_size_invariant(make: Make, task: Task) -> None:
    """A query alone and in a batch gives the same image up to float noise."""
    together = _explain(make, task, [list(range(QUERIES))])
    alone = _explain(make, task, [[position] for position in range(QUERIES)])
    _assert_close(alone, together, "one by one against one batch")


def order_invariant(make: Make, task: Task) -> None:
    """The order of queries in a batch does not matter beyond float noise."""
    forwards = _explain(make, task, [list(range(QUERIES))])
    backwards = _explain(make, task, [list(reversed(range(QUERIES)))])
    _assert_close(backwards, forwards, "reversed against given order")


def resumes(make: Make, task: Task) -> None:
    """A run stopped half-way and continued stores the same images as an undisturbed one."""
    half, size = QUERIES // 2, QUERIES // 4
    with tempfile.TemporaryDirectory() as folder:
        evaluate(make(), task, root=Path(folder, "parts"), limit=half, batch_size=size)
        resumed, _ = evaluate(make(), task, root=Path(folder, "parts"), limit=QUERIES, batch_size=size)
        whole, _ = evaluate(make(), task, root=Path(folder, "whole"), limit=QUERIES, batch_size=size)
    assert resumed.provenance.images == whole.provenance.images, "the resumed run stored other images"


def failures_isolated(make: Make, task: Task) -> None:
    """When the method raises on one query, the others of its batch come out as ever and only that one is flagged."""
    poison = task.images(slice(1, 2))
    base: Any = type(make())

    class Faulty(base):  # type: ignore[misc]
        def explain(self, images: Tensor, targets: Tensor) -> Tensor:
            if (images == poison).flatten(1).all(1).any():
                raise RuntimeError("poisoned")
            explained: Tensor = super().explain(images, targets)
            return explained

    with tempfile.TemporaryDirectory() as folder:
        _, path = evaluate(Faulty(**make().parameters()), task, root=Path(folder), limit=4, batch_size=4)
        [shard] = RunFolder(path).shards()
    assert [bool(error) for error in shard.errors] == [False, True, False, False], f"errors: {shard.errors}"
    assert "poisoned" in shard.errors[1], f"the reason is lost: {shard.errors[1]}"
    assert torch.equal(shard.images[1], task.stored[1].cpu()), "a failed query must keep its image"
    kept = [0, 2, 3]
    _assert_close(shard.images[kept], _explain(make, task, [kept]).cpu(), "beside a failing query against without it")


CHECKS: tuple[Check, ...] = (
    documented,
    parameters_round_trip,
    right_form,
    deterministic,
    batch_size_invariant,
    order_invariant,
    resumes,
    failures_isolated,
)
"""Every check, in the order in which they help most."""
