"""Making a bundle of a finished run: checked as the leaderboard will check it, or not written at all."""

from __future__ import annotations

from pathlib import Path

from cfbench.board.bundle import write_bundle
from cfbench.board.card import Card
from cfbench.board.verify import Verdict, verify
from cfbench.dataset import Dataset
from cfbench.errors import InvalidParameter, RunMismatch
from cfbench.files import write_atomic
from cfbench.keys import source_hash
from cfbench.method import Method
from cfbench.record import Record
from cfbench.store import RunFolder


def submit(run: Path, card: Card, out: Path, *, method: type[Method], dataset: Dataset | None = None) -> Verdict:
    """Write the bundle of the run folder ``run`` to ``out``, and verify it.

    Args:
        method: the adapter that made the run. dataset: the task's data set, by default the one that the record names.

    Raises:
        InvalidParameter: the run is not complete. RunMismatch: the adapter, or the record, is of another run.
        CfbenchError: it would not be accepted, or cannot be read or written; nothing is left behind.
    """
    record = Record.read(run)
    if RunFolder(run).key() != record.key:
        raise RunMismatch(f"{run} holds the record of another run than its images; run cfbench evaluate again")
    if record.status != "complete":
        done = f"{record.queries.done} of {record.queries.expected}"
        raise InvalidParameter(
            f"{run} is {record.status}, with {done} queries; only complete runs are submitted: finish it with cfbench "
            "evaluate, without --limit"
        )
    if source_hash(method) != record.key.adapter:
        raise RunMismatch(
            f"method {method.name}, or what it takes from cfbench, is not the source that made {run}; run cfbench "
            "evaluate again, or name the adapter by --method file.py:Class"
        )
    verdicts: list[Verdict] = []

    def write(path: Path) -> None:
        write_bundle(path, run, card, method)
        verdicts.append(verify(path, dataset=dataset))

    write_atomic(out, write)
    return verdicts[0]
