"""Published entries made up of query values, as if runs had given them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cfbench.board.card import FILE as SUBMISSION
from cfbench.files import write_json
from cfbench.keys import run_path
from cfbench.record import FILE, TABLE, Card, Cost, Provenance, Queries, Record, RunKey, Score

RULES = Path(__file__).parents[2] / "leaderboard" / "board.toml"

NETWORKS = {
    "oracle_agreed_flip": "oracle-1@aaaa oracle-2@bbbb oracle-3@cccc",
    "feat_dist": "extractor@dddd",
    "kd": "extractor@dddd pooled",
}

SUBMITTED = {
    "author": "A. Nonymous",
    "licence": "MIT",
    "date": "2026-01-31",
    "environment": "Python 3.11",
    "access": "white-box",
    "track": "data-free",
    "bundle": 64 * "0",
}
"""A card of an accepted submission, but for ``verified``."""


def board_folder(folder: Path) -> Path:
    """An empty folder of records with the board's rules beside it."""
    shutil.copy(RULES, folder)
    records = folder / "records"
    records.mkdir()
    return records


def write_entry(
    records: Path,
    method: str,
    agreed: ArrayLike,
    *,
    values: Mapping[str, ArrayLike] | None = None,
    scores: Mapping[str, float] | None = None,
    key: Mapping[str, Any] | None = None,
    versions: Mapping[str, int] | None = None,
    networks: Mapping[str, str] | None = None,
    expected: int | None = None,
    seconds: float | None = 1.0,
    track: str = "data-free",
    submission: Mapping[str, Any] | None = None,
    table: Mapping[str, Sequence[Any]] | None = None,
) -> Path:
    """Write an entry below ``records``; gives its folder.

    Args:
        agreed: share of oracles that agree on a flip, a query. values: other metrics, a query. scores: metrics of sets.
        key: fields of the key other than usual. versions, networks: of metrics, other than usual.
        expected: queries of the split, by default as many as ``agreed`` has. submission: fields of its card.
        table: columns of the query table other than usual.
    """
    columns = {"oracle_agreed_flip": agreed, **(values or {})}
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    n = len(arrays["oracle_agreed_flip"])
    facts = {
        "method": method,
        "method_version": "1",
        "adapter": 64 * "1",
        "parameters": {},
        "task": "squares@v1",
        "targets": "near",
        "split": "test",
        "split_hash": 64 * "2",
        "networks": {"classifier": 64 * "3"},
        "seed": 0,
    }
    run_key = RunKey.model_validate(facts | dict(key or {}))
    given = {name: float(column.mean()) for name, column in arrays.items()} | dict(scores or {})
    known = NETWORKS | dict(networks or {})
    made = {
        name: {"all": Score(value=value, n=n, version=(versions or {}).get(name, 1), network=known.get(name))}
        for name, value in given.items()
    }
    whole = expected or n
    record = Record(
        key=run_key,
        card=Card(family="made up", citation="none", access="white-box", track=track),
        status="complete" if n == whole else "partial",
        queries=Queries(expected=whole, requested=n, done=n, failed=0),
        scores=made,
        cost=None if seconds is None else cost(seconds, n),
        provenance=Provenance(
            cfbench="0",
            commit=None,
            dirty=None,
            python="3",
            torch="2",
            platform="none",
            threads=1,
            device_name="none",
            networks={},
            accuracies={},
            images=64 * "4",
        ),
    )
    folder = run_path(records, run_key)
    record.write(folder)
    usual = {
        "query_id": [f"test-{index:05d}" for index in range(n)],
        "source": np.zeros(n, dtype=np.int16),
        "target": np.ones(n, dtype=np.int16),
        "flipped": arrays["oracle_agreed_flip"] > 0,
        "error": [""] * n,
        **{name: column.astype(np.float32) for name, column in arrays.items()},
    }
    pd.DataFrame(usual | dict(table or {})).to_parquet(folder / TABLE, index=False)
    if submission is not None:
        write_json(folder / SUBMISSION, SUBMITTED | dict(submission))
    return folder


def cost(seconds: float, n: int) -> Cost:
    """What a run of ``n`` queries cost at ``seconds`` a query."""
    return Cost(
        setup_seconds=0,
        explain_seconds=seconds * n,
        seconds_per_query=seconds,
        setup_forwards=0,
        forwards=4 * n,
        backwards=2 * n,
        generated=0,
        peak_mb=100,
        device="cpu",
    )


def shares(n: int, rate: float, seed: int, oracles: int = 3) -> np.ndarray:
    """Shares of oracles that agree, of ``n`` queries."""
    return np.random.default_rng(seed).binomial(oracles, rate, n) / oracles


__all__ = ["FILE", "board_folder", "cost", "shares", "write_entry"]
