"""Everything that the page, the terminal and the reports show of the boards, as plain dictionaries for JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cfbench.board.boards import Board, boards_of
from cfbench.board.closeness import DEFINITION, LABEL
from cfbench.board.entries import Entry, read_entries
from cfbench.board.gallery import dataset_of, gallery_of
from cfbench.board.publishing import gallery_png
from cfbench.board.ranking import STATUSES, Row
from cfbench.board.rules import SECONDS, Rules
from cfbench.dataset import Dataset
from cfbench.files import content_hash
from cfbench.provenance import version
from cfbench.record import Score
from cfbench.registry import metric_of

RANKING = (
    "Only complete runs on the same queries, judged by the same networks and versions of metrics, are ranked together. "
    "A row must first beat the attack {gate}. Rows are told apart by paired tests of {headline} on all queries: exact "
    "sign flips for one seed each, crossed effects of seeds and queries otherwise, which holds for new seeds too; "
    "p < .05 after Holm's correction over all pairs of the board. The best rank of a row is one more than there are "
    "rows that are better beyond chance; its worst rank counts all rows but those that it is better than beyond "
    "chance. Rows that share their best rank are a group."
)

PARETO = (
    "On the Pareto front: no other ranked row is at least as good in all of {criteria} and better in one. By the "
    "values themselves, whatever their intervals; a row without one of these values is not on it."
)


def leaderboard(records: Path) -> dict[str, Any]:
    """The data of the board whose published entries lie below ``records``, with its rules beside that folder.

    Raises:
        MissingResource: no entries or no rules. CorruptFile, InvalidParameter: an entry or the rules are damaged.
    """
    rules = Rules.beside(records)
    return board_data(boards_of(read_entries(records), rules), rules)


def board_data(boards: Sequence[Board], rules: Rules) -> dict[str, Any]:
    """Boards as plain dictionaries: what is shown, tasks (an item a board), and rows."""
    return {
        "title": rules.title,
        "cfbench": version(),
        "built": datetime.now(UTC).date().isoformat(),
        "rules": described(rules),
        "metrics": {name: _metric(name, label) for name, label in rules.metrics.items()},
        "tasks": [_task(board) for board in boards],
        "rows": [_row(board, row) for board in boards for row in board.rows],
    }


def described(rules: Rules) -> dict[str, Any]:
    """What the rules say, with their definitions in words."""
    labels = {SECONDS: "seconds a query", **rules.metrics}
    names = {"gate": rules.gate, "far": rules.far, "headline": labels[rules.headline]}
    names |= {"distance": labels[rules.distance], "criteria": ", ".join(labels[name] for name in rules.pareto)}
    return {
        "headline": rules.headline,
        "gate": rules.gate,
        "far": rules.far,
        "references": list(rules.references),
        "pareto": list(rules.pareto),
        "statuses": {status: meaning.format(**names) for status, meaning in STATUSES.items()},
        "ranking": RANKING.format(**names),
        "pareto_text": PARETO.format(**names),
        "aggregate": {
            "label": LABEL,
            "definition": DEFINITION.format(**names),
            "direction": "higher",
            "unit": "share",
        },
    }


def _metric(name: str, label: str) -> dict[str, Any]:
    metric = metric_of(name)
    definition, fooled, how = " ".join(metric.explanation().replace("``", "").split()).partition("Fooled by ")
    return {
        "label": label,
        "definition": definition.strip(),
        "how_fooled": fooled + how,
        "direction": metric.direction,
        "unit": metric.unit,
        "family": metric.family,
    }


def _task(board: Board) -> dict[str, Any]:
    key = board.record.key
    dataset = dataset_of(board)
    judges: dict[str, str] = {}
    for score in (score for row in board.rows for score in row.scores.values()):
        judges |= dict(token.split("@", 1) for token in (score.network or "").split() if "@" in token)
    return {
        "id": board.name,
        "task": key.task,
        "rule": key.targets,
        "title": dataset.title if dataset else key.task,
        "licence": dataset.licence if dataset else "",
        "citation": dataset.citation if dataset else "",
        "n": board.n,
        "split": key.split,
        "split_hash": key.split_hash,
        "classifier": key.classifier,
        "judges": {name: digest[:8] for name, digest in sorted(judges.items())},
        "classes": list(dataset.classes) if dataset else [],
        "image_shape": list(dataset.image_shape) if dataset else None,
        "gallery": _queries(board, dataset) if dataset else None,
    }


def _queries(board: Board, dataset: Dataset) -> dict[str, Any] | None:
    """The gallery's queries; None where they may not be shown, are not here, or are others than the entries'."""
    found = gallery_of(board, dataset)
    if found is None:
        return None
    return {
        "queries": _data_url(gallery_png(found.queries)),
        "sources": found.sources,
        "targets": found.targets,
        "ids": found.ids,
    }


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _rounded(value: float | None) -> float | None:
    """Six significant digits."""
    return None if value is None else float(f"{value:.6g}")


def _row(board: Board, row: Row) -> dict[str, Any]:
    record, key = row.record, row.record.key
    submissions = [entry.submission for entry in row.entries if entry.submission]
    gallery = row.entries[0].gallery
    identity = content_hash(key.model_dump(mode="json", exclude={"seed"} if row.status != "partial" else None))
    return {
        "id": f"{board.name}/{key.method}-{identity[:8]}",
        "task": board.name,
        "method": key.method,
        "label": row.label,
        "parameters": key.parameters,
        "family": record.card.family,
        "track": record.card.track,
        "access": record.card.access,
        "citation": record.card.citation,
        "status": row.status,
        "reason": row.reason,
        "verified": all(submission.verified for submission in submissions),
        "seeds": len(row.entries),
        "n": record.queries.done,
        "failed": sum(entry.record.queries.failed for entry in row.entries),
        "rank": list(row.rank) if row.rank else None,
        "group": row.group,
        "pareto": row.pareto,
        "aggregate": _aggregate(row),
        "scores": {metric: _score(score) for metric, score in row.scores.items()},
        "cost": _cost(row.entries),
        "reported": {name: each.model_dump() for name, each in record.reported.items()},
        "provenance": _provenance(row.entries),
        "submission": submissions[0].model_dump(mode="json") if submissions else None,
        "gallery": _data_url(gallery) if gallery else None,
    }


def _aggregate(row: Row) -> dict[str, Any] | None:
    if row.aggregate is None:
        return None
    low, high = row.aggregate.interval or (None, None)
    return {"value": _rounded(row.aggregate.value), "low": _rounded(low), "high": _rounded(high), "n": row.aggregate.n}


def _score(score: Score) -> dict[str, Any]:
    low, high = score.ci95 or (None, None)
    return {
        "value": _rounded(score.value),
        "low": _rounded(low),
        "high": _rounded(high),
        "n": score.n,
        "version": score.version,
        "network": score.network,
        "floor": _rounded(score.floor),
        "corrected": _rounded(score.corrected),
        "reason": score.reason,
    }


def _cost(entries: Sequence[Entry]) -> dict[str, Any]:
    """Means over seeds, a query each but for memory; blank where a seed does not know."""
    names = ("seconds", "forwards", "backwards", "generated", "setup_seconds", "peak_mb", "device")
    found: list[Mapping[str, Any]] = []
    for record in (entry.record for entry in entries):
        if record.cost is None:
            return dict.fromkeys(names)
        cost, done = record.cost.model_dump(), max(record.queries.done, 1)
        counts = {name: cost[name] / done for name in ("forwards", "backwards", "generated")}
        found.append(cost | counts | {"seconds": cost["seconds_per_query"]})
    known = {name: [each[name] for each in found if each[name] is not None] for name in names}
    means = {
        name: _rounded(float(np.mean(values))) if values else None for name, values in known.items() if name != "device"
    }
    return means | {"device": ", ".join(sorted(set(known["device"])))}


def _provenance(entries: Sequence[Entry]) -> dict[str, Any]:
    """Where the first seed comes from."""
    record = entries[0].record
    names = ("cfbench", "commit", "dirty", "python", "torch", "threads", "device_name")
    return {name: getattr(record.provenance, name) for name in names} | {"adapter": record.key.adapter}
