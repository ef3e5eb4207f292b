"""From stored counterfactuals to scores: one streamed pass, the same bits every time."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from cfbench.judges import BATCH, Batch, Judges
from cfbench.metrics.base import Metric, Scores
from cfbench.registry import METRICS
from cfbench.store import RunFolder, Shard
from cfbench.task import Task

UNREACHED = "not reached within the time limit"


@dataclass
class Scored:
    """Scores of a run, its query table, and the hash of its images."""

    scores: dict[str, Scores]
    table: pd.DataFrame
    images_hash: str
    done: int
    failed: int


def _rows(folder: RunFolder, task: Task, requested: int) -> Iterator[tuple[Tensor, str]]:
    """Image and error of each requested query in order; the query stands in for what was not reached."""
    following = 0
    for shard in folder.shards():
        for position, image, error in zip(shard.positions, shard.images, shard.errors, strict=True):
            if position >= requested:
                return
            for gap in range(following, position):
                yield task.stored[gap].cpu(), UNREACHED
            yield image, error
            following = position + 1
    for gap in range(following, requested):
        yield task.stored[gap].cpu(), UNREACHED


@torch.inference_mode()
def score(folder: RunFolder, task: Task, requested: int) -> Scored:
    """Score the first ``requested`` queries of a run from its stored 8-bit images alone.

    Every network sees every batch once. Queries that were not reached, and failed ones, count as unchanged images
    and as not flipped. Batches are the same whatever the shards were, so the scores are the same to the bit.
    """
    judges = Judges(task)
    chosen: list[Metric] = [METRICS.load(name)(judges) for name in METRICS.names()]
    reasons = {metric.name: metric.blocked() for metric in chosen}
    active = [metric for metric in chosen if reasons[metric.name] is None]
    digest = hashlib.sha256()
    columns: dict[str, list[Tensor]] = {}
    errors: list[str] = []
    for piece in batched(_rows(folder, task, requested), BATCH):
        images = torch.stack([image for image, _ in piece])
        digest.update(images.numpy().tobytes())
        failed = torch.tensor([bool(error) for _, error in piece], device=task.device)
        positions = torch.arange(len(errors), len(errors) + len(piece), device=task.device)
        errors += [error for _, error in piece]
        batch = Batch(judges, positions, images.to(task.device), failed)
        judged = {"prediction": batch.prediction(judges.classifier), "flipped": batch.flipped}
        for metric in active:
            judged.update(metric.update(batch))
        for name, values in judged.items():
            columns.setdefault(name, []).append(values.cpu())
    scores = {
        metric.name: metric.compute() if reason is None else metric.blank(reason)
        for metric, reason in ((metric, reasons[metric.name]) for metric in chosen)
    }
    table = task.queries.head(requested).reset_index(drop=True)
    table["error"] = errors
    table = table.assign(**{name: torch.cat(parts).numpy() for name, parts in columns.items()})
    return Scored(scores, table, digest.hexdigest(), done=errors_reached(errors), failed=sum(map(bool, errors)))


def errors_reached(errors: list[str]) -> int:
    """How many of the queries were reached at all."""
    return sum(error != UNREACHED for error in errors)


def logged_columns(folder: RunFolder, requested: int) -> pd.DataFrame:
    """Cost share and figures that the method logged, a row a stored query, indexed by position."""
    rows = [_shard_table(shard) for shard in folder.shards()]
    if not rows:
        return pd.DataFrame(index=range(requested))
    return pd.concat(rows).reindex(range(requested))


def _shard_table(shard: Shard) -> pd.DataFrame:
    n = len(shard.errors)
    shares = {name: getattr(shard, name) / n for name in ("seconds", "forwards", "backwards", "generated")}
    logged = {f"method_{name}": values.numpy() for name, values in shard.columns.items()}
    return pd.DataFrame({**shares, **logged}, index=pd.Index(shard.positions))


def batched(rows: Iterator[tuple[Tensor, str]], size: int) -> Iterator[list[tuple[Tensor, str]]]:
    """Lists of up to ``size`` consecutive rows."""
    while piece := list(itertools.islice(rows, size)):
        yield piece
