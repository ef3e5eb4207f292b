"""A published record, shortened, and a card, as JSON values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cfbench.record import FILE

ROOT = Path(__file__).parents[2]

RECORD: dict[str, Any] = json.loads(next((ROOT / "leaderboard" / "records").glob(f"*/pgd-*/{FILE}")).read_bytes())
RECORD["scores"] = {name: RECORD["scores"][name] for name in ("flip_rate", "split_fd", "gini")}
RECORD["reported"] = {"flip_rate": {"value": 1.0, "source": "table 1"}}

CARD: dict[str, Any] = {
    "author": "A. Author",
    "licence": "MIT",
    "paper": "https://example.org/paper",
    "date": "2026-01-02",
    "environment": "a laptop",
    "access": "white-box",
    "track": "data-free",
}
