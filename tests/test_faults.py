"""Workers that die or hang, clients that are killed: what is stored stays, what was in flight is done again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cfbench.evaluation import Evaluation, Options
from cfbench.grid import evaluations
from cfbench.harness import evaluate
from cfbench.pools import Processes
from cfbench.record import Record
from cfbench.registry import METHODS
from cfbench.schedule import carry_out
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.work import TaskSpec

ADAPTERS = Path(__file__).parent / "adapters"

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds worker processes in /proc")


def lonely(task: Task) -> int:
    """Position of the first query whose first pixel has a value that no other of the first twelve has."""
    levels = task.stored[:12, 0, 0, 0].tolist()
    return next(place for place, level in enumerate(levels) if levels.count(level) == 1)


def carried_out(name: str, task: Task, toy_key: str, root: Path, **options: Any) -> Evaluation:
    """Twelve queries of a faulty adapter, by one worker."""
    method = METHODS.load(f"{ADAPTERS / 'faulty.py'}:{name}")
    bad = method.create({"level": int(task.stored[lonely(task), 0, 0, 0])})
    with Processes(1) as pool:
        [evaluation] = evaluations(
            [(f"{ADAPTERS / 'faulty.py'}:{name}", bad)],
            [TaskSpec(toy_key)],
            [0],
            root=root,
            options=Options(limit=12),
            pool=pool,
        )
        carry_out([evaluation], pool, **options)
    assert evaluation.error is None
    return evaluation


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [("KillsItself", {}, "terminated abruptly"), ("Hangs", {"hang_limit": 20.0}, "took longer than the limit")],
)
def test_the_query_that_a_worker_does_not_survive_is_found_and_fails_alone(
    name: str, options: dict[str, float], reason: str, task: Task, toy_key: str, tmp_path: Path
) -> None:
    evaluation = carried_out(name, task, toy_key, tmp_path, **options)
    assert evaluation.record is not None
    assert (evaluation.record.queries.requested, evaluation.record.queries.failed) == (12, 1)
    errors = [error for shard in evaluation.folder.shards() for error in shard.errors]
    assert [place for place, error in enumerate(errors) if error] == [lonely(task)]
    assert reason in errors[lonely(task)]


def test_a_truncated_shard_is_found_and_made_again_alone(task: Task, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    method = METHODS.load(f"{ADAPTERS / 'slow.py'}:Slow").create({"seconds": 0.0, "notes": str(notes)})
    whole, folder = evaluate(method, task, root=tmp_path)
    shard = sorted((folder / "counterfactuals").glob("*.npz"))[3]
    shard.write_bytes(shard.read_bytes()[:-40])
    notes.unlink()
    again, _ = evaluate(method, task, root=tmp_path)
    assert notes.read_text().split() == ["4"]
    assert (again.scores, again.provenance.images) == (whole.scores, whole.provenance.images)


def workers_of(client: int) -> list[int]:
    """Worker processes of a client, from the system's table of processes."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (
                int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == client
                and b"spawn_main" in (entry / "cmdline").read_bytes()
            ):
                found.append(int(entry.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


def grid(toy_key: str, out: Path, notes: Path) -> list[str]:
    settings = ["--set", "seconds=0.1", "--set", f'notes="{notes}"', "--seeds", "2", "--workers", "2"]
    command = [sys.executable, "-m", "cfbench.cli", "evaluate", "--method", f"{ADAPTERS / 'slow.py'}:Slow"]
    return [*command, *settings, "--task", toy_key, "--out", str(out)]


def stored(folder: Path) -> int:
    return sum(len(positions) for path in folder.rglob("key.json") for positions in RunFolder(path.parent).positions())


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_random_kills_leave_the_records_of_an_undisturbed_grid(kills: int, toy_key: str, tmp_path: Path) -> None:
    """Of clients and workers: nothing is lost, nothing computed twice but shards in flight."""
    chance = random.Random(kills)
    notes, out = tmp_path / "notes", tmp_path / "killed"
    notes.touch()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    client, in_flight = None, 0
    for kill in range(kills):
        if client is None or client.poll() is not None:
            client = subprocess.Popen(grid(toy_key, out, notes), env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(workers_of(client.pid)) < 2 and client.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 120 / kills))
        if client.poll() is not None:
            break
        victim = client.pid if kill % 2 == 0 else chance.choice(workers_of(client.pid) or [client.pid])
        os.kill(victim, signal.SIGKILL)
        in_flight += 2 if victim == client.pid else 1
        if victim == client.pid:
            client.wait()
    if client is not None and client.poll() is None:
        client.kill()
        client.wait()
        in_flight += 2
    before = stored(out)
    explained = sum(map(int, notes.read_text().split()))
    assert explained - before <= 4 * in_flight, "more was computed than is stored and was in flight"
    subprocess.run(grid(toy_key, out, notes), env=environment, check=True, capture_output=True)
    assert sum(map(int, notes.read_text().split())) - explained == 120 - before, "a stored shard was computed again"
    notes.unlink()
    subprocess.run(grid(toy_key, tmp_path / "whole", notes), env=environment, check=True, capture_output=True)
    found = {path.parent.name: Record.read(path.parent) for path in out.rglob("run.json")}
    whole = {path.parent.name: Record.read(path.parent) for path in (tmp_path / "whole").rglob("run.json")}
    assert len(found) == len(whole) == 2
    for name, record in whole.items():
        assert (found[name].scores, found[name].queries) == (record.scores, record.queries)
        assert found[name].provenance.images == record.provenance.images


def test_workers_end_with_their_client(toy_key: str, tmp_path: Path) -> None:
    client = subprocess.Popen(grid(toy_key, tmp_path / "runs", tmp_path / "notes"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(found := workers_of(client.pid)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.kill()
    client.wait()
    while any(Path(f"/proc/{worker}").is_dir() for worker in found):
        assert time.monotonic() < deadline, "a worker outlives its client"
        time.sleep(0.1)
