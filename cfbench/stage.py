"""The queries of a run, or of a protocol's further run: which are left, and what is known of the others."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cfbench.errors import MethodFailed
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.work import Explained

TRIALS = 20
"""Queries after which a new run that has seen only failures is given up."""

ATTEMPTS = 3
"""How often a shard is begun whose worker dies; then it is halved, until the query is found that kills workers."""


@dataclass(frozen=True)
class Advance:
    """How far a run, or that of a protocol's ``variant``, is: queries done, flipped, failed of those requested."""

    done: int
    flipped: int
    failed: int
    requested: int
    variant: str = ""

    def with_shard(self, count: int, flipped: int, failed: int) -> Advance:
        """After a further shard of ``count`` queries."""
        return replace(self, done=self.done + count, flipped=self.flipped + flipped, failed=self.failed + failed)


class Stage:
    """The queries of a run, or of a protocol's further run: which are left, and what is known of the others.

    Until a query of a new run succeeds, shards are held back: a method that fails on everything leaves nothing behind.
    In the runs of a protocol failures are findings, and stored.
    """

    def __init__(
        self,
        method: str,
        folder: RunFolder,
        task: Task,
        advance: Advance,
        again: list[range],
        ranges: Iterator[range],
        *,
        fresh: bool,
    ) -> None:
        self.method = method
        self.folder = folder
        self.task = task
        self.advance = advance
        self.fresh = fresh
        self._again = deque(again)
        self._ranges = ranges
        self._following = next(ranges, None)
        self._held: list[Explained] = []
        self._begun: Counter[range] = Counter()

    def take(self, stopped: bool) -> range | None:
        """Positions of the next shard; none if there is none left, or no further one is to begin."""
        if stopped or (self.fresh and self.advance.done >= TRIALS):
            return None
        if self._again:
            return self._again.popleft()
        positions, self._following = self._following, next(self._ranges, None)
        return positions

    def receive(self, result: Explained, *, last: bool) -> None:
        """Store what is handed back, or hold it; ``last`` says that no shard is out."""
        self._begun.pop(result.positions, None)
        self.advance = self.advance.with_shard(len(result.positions), result.flipped, result.failed)
        if result.data is not None:
            self._held.append(result)
        left = self._following is not None or bool(self._again)
        if self.fresh and self.advance.failed == self.advance.done:
            if last and (self.advance.done >= TRIALS or not left):
                raise MethodFailed(
                    f"method {self.method} failed on each of its first {self.advance.done} queries: "
                    f"{self._held[0].error}; nothing was stored: fix the adapter and run again"
                )
            return
        self.fresh = False
        self.flush()

    def flush(self) -> None:
        """Store what was held back."""
        for held in self._held:
            assert held.data is not None
            self.folder.write_bytes(held.positions, held.data)
        self._held.clear()

    def retry(self, positions: range, *, again: bool) -> bool:
        """Put a lost shard back, whole or in halves; true if it is one query that cannot be done."""
        self._begun[positions] += 1
        if again and self._begun[positions] < ATTEMPTS:
            self._again.appendleft(positions)
            return False
        if len(positions) == 1:
            return True
        middle = len(positions) // 2
        for half in (positions[middle:], positions[:middle]):
            self._again.appendleft(half)
            self._begun[half] = ATTEMPTS - 1
        return False
