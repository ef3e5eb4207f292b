"""Boards for reports: a small one with every kind of row, records of protocols, settings of one method."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from published import shares, write_entry

BOARD = "squares@v1-near"
"""Name of the board that is written where no other task is named."""

Run = Callable[..., str]
"""Calls a command and gives what it prints."""

N = 100
SETTINGS = (5, 50, 500)
QUERIES = {"source": (np.arange(N) % 3).astype(np.int16), "target": ((np.arange(N) + 1) % 3).astype(np.int16)}


def write_board(records: Path, task: str = "squares@v1") -> None:
    """An attack, a far reference, three settings of a method, a method of three seeds, a weak one, a partial run."""
    values = {name: np.linspace(0.1, 0.3, N) for name in ("l1", "feat_dist")}
    ones = {"flip_rate": np.ones(N), "oracle_agreement": shares(N, 0.6, 7)}
    usual: dict[str, Any] = {"table": QUERIES, "scores": {"kd": 0.02, "forwards": 4.0, "backwards": 2.0}}
    key = {"task": task}
    write_entry(records, "pgd", shares(N, 0.2, 0), values=values | ones, key=key, **usual)
    far = {"feat_dist": np.full(N, 1.0)}
    write_entry(records, "nearest-unlike", shares(N, 0.9, 1), values=values | ones | far, key=key, **usual)
    for steps in SETTINGS:
        settings = key | {"parameters": {"steps": steps, "rate": 0.1}}
        write_entry(records, "mine", shares(N, 0.5 + steps / 2000, steps), values=values | ones, key=settings, **usual)
    for seed in range(3):
        again = {"l1": np.full(N, 0.1 * (seed + 1)), "feat_dist": np.full(N, 0.5)}
        write_entry(records, "seeded", shares(N, 0.8, seed), values=again | ones, key=key | {"seed": seed}, **usual)
    write_entry(records, "weak", shares(N, 0.1, 3), values=values | ones, key=key, **usual)
    half = {name: column[: N // 2] for name, column in QUERIES.items()}
    write_entry(records, "half", shares(N // 2, 0.6, 4), expected=N, key=key, table=half)


def add_scores(folder: Path, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Put further scores over all queries into the record of an entry."""
    path = folder / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    for name, score in scores.items():
        record["scores"][name] = {"all": {"n": N, "version": 1, **score}}
    path.write_text(json.dumps(record), encoding="utf-8")


def corrupted(slope: float) -> dict[str, Any]:
    """A score of the protocol ``corruption`` that goes down with the severity."""
    details = {f"{kind}-{severity}": slope * severity for kind in ("blur", "noise") for severity in range(1, 6)}
    mean = float(np.mean([*details.values()]))
    return {"value": mean, "ci95": [mean - 0.05, mean + 0.05], "details": details}
