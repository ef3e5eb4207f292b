"""From stored counterfactuals to scores: one streamed pass, the same bits every time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import pandas as pd
import torch

from cfbench.batch import Batch
from cfbench.columns import Column
from cfbench.errors import InvalidParameter
from cfbench.judges import Judges
from cfbench.metrics.base import Metric, Scores
from cfbench.pieces import COSTS, UNREACHED, Piece
from cfbench.registry import METRICS
from cfbench.store import RunFolder, Shard


@dataclass
class Scored:
    """Scores of a run, a row a query of what they are made of, and the hash of its images."""

    scores: dict[str, Scores]
    table: pd.DataFrame
    images_hash: str
    done: int
    failed: int


def metrics_for(judges: Judges) -> list[Metric]:
    """An instance of every registered metric, or one a feature space."""
    return [metric for name in METRICS.names() for metric in METRICS.load(name).instances(judges)]


@torch.inference_mode()
def score(
    pieces: Iterable[Piece],
    judges: Judges,
    *,
    reruns: Mapping[str, Iterable[Piece]] | None = None,
    protocols: Sequence[str] = (),
    metrics: Sequence[Metric] | None = None,
) -> Scored:
    """Score stored 8-bit images alone; every network sees every batch once.

    Queries that were not reached, and failed ones, count as unchanged images and as not flipped.

    Args:
        pieces: the run, in order. judges: who judges.
        reruns: the same queries in the runs of protocols, altered; as long as ``pieces``.
        protocols: names of the protocols whose metrics are asked for.
        metrics: fresh instances; by default one of every metric.

    Raises:
        InvalidParameter: there is nothing to score.
    """
    pieces = _filled(pieces)
    first = next(pieces, None)
    if first is None:
        raise InvalidParameter("there are no images to score; give at least one query and its counterfactual")
    judges.protocols = tuple(protocols)
    judges.several = first.further is not None
    chosen = metrics_for(judges) if metrics is None else metrics
    reasons = {metric.key: metric.blocked() for metric in chosen}
    active = [metric for metric in chosen if reasons[metric.key] is None]
    digest = hashlib.sha256()
    columns: dict[str, Column] = {}
    errors: list[str] = []
    others = {name: _filled(run) for name, run in (reruns or {}).items()}
    for piece in chain([first], pieces):
        piece.add_to(digest)
        errors += piece.errors
        batch = batch_of(piece, judges, {name: next(run) for name, run in others.items()})
        judged = {"prediction": batch.verdicts, "flipped": batch.flipped}
        for metric in active:
            judged.update(metric.update(batch))
        for name, values in judged.items():
            columns.setdefault(name, Column()).append(values)
    scores = {
        metric.key: metric.compute() if reason is None else dict.fromkeys(metric.subsets, metric.blank(reason))
        for metric, reason in ((metric, reasons[metric.key]) for metric in chosen)
    }
    table = pd.DataFrame({name: column.values for name, column in columns.items()})
    table.insert(0, "error", errors)
    reached = sum(error != UNREACHED for error in errors)
    return Scored(scores, table, digest.hexdigest(), done=reached, failed=sum(map(bool, errors)))


def _filled(pieces: Iterable[Piece]) -> Iterator[Piece]:
    return (piece for piece in pieces if piece.errors)


def batch_of(piece: Piece, judges: Judges, reruns: Mapping[str, Piece] | None = None) -> Batch:
    """The batch of a piece on the judges' device."""
    device = judges.device
    others = [] if piece.further is None else piece.further.unbind(1)
    return Batch(
        judges,
        positions=torch.arange(piece.first, piece.first + len(piece.errors), device=device),
        stored_queries=piece.stored_queries.to(device),
        sources=piece.sources.to(device),
        targets=piece.targets.to(device),
        stored=piece.stored.to(device),
        failed=torch.tensor([bool(error) for error in piece.errors], device=device),
        costs=piece.costs,
        given=None if piece.given is None else piece.given.to(device),
        reruns={name: batch_of(rerun, judges) for name, rerun in (reruns or {}).items()},
        further=[batch_of(replace(piece, stored=other, further=None), judges) for other in others],
    )


def logged_columns(folder: RunFolder, requested: int) -> pd.DataFrame:
    """Cost share and figures that the method logged, a row a stored query, indexed by position."""
    rows = [_shard_table(shard) for shard in folder.shards()]
    if not rows:
        return pd.DataFrame(index=range(requested))
    return pd.concat(rows).reindex(range(requested))


def _shard_table(shard: Shard) -> pd.DataFrame:
    n = len(shard.errors)
    shares = {name: getattr(shard, name) / n for name in COSTS}
    logged = {f"method_{name}": values.numpy() for name, values in shard.columns.items()}
    return pd.DataFrame({**shares, **logged}, index=pd.Index(shard.positions))
