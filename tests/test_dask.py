"""Workers of dask.distributed: the same images and scores, and what happens when a worker or the scheduler is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cfbench.errors import ExecutorLost
from cfbench.harness import evaluate
from cfbench.record import Record
from cfbench.registry import METHODS
from cfbench.store import RunFolder
from cfbench.task import Task

pytest.importorskip("distributed", reason="dask is not installed")

SLOW = f"{Path(__file__).parent / 'adapters' / 'slow.py'}:Slow"
WAIT = 60.0

Command = Callable[..., subprocess.CompletedProcess[str]]


class Cluster:
    """A scheduler and two workers as processes of their own, on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": "asyncio",
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
        }
        file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file)
        self._wait(file.is_file)
        self.workers = [self._start("worker", "--scheduler-file", file, "--nthreads", "1", "--no-dashboard")]
        self.file = file

    def _start(self, kind: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--host", "127.0.0.1", *map(str, arguments)]
        log = (self.folder / f"{kind}.log").open("ab")
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=log, stderr=log)

    def _wait(self, there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT
        while not there():
            assert time.monotonic() < deadline, (self.folder / "scheduler.log").read_text()
            time.sleep(0.05)

    @property
    def address(self) -> str:
        import json

        address: str = json.loads(self.file.read_text())["address"]
        return address

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                process.terminate()
        for process in (*self.workers, self.scheduler):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder)
    yield made
    made.close()


def client(toy_key: str, out: Path, address: str, *settings: str) -> list[str]:
    command = [sys.executable, "-m", "cfbench.cli", "evaluate", "--method", SLOW, "--task", toy_key]
    return [*command, *settings, "--executor", "dask", "--scheduler", address, "--out", str(out)]


def explained(out: Path) -> int:
    return sum(len(part) for path in out.rglob("key.json") for part in RunFolder(path.parent).positions())


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_started_here_make_what_this_process_makes(
    cfbench: Command, toy_key: str, task: Task, tmp_path: Path
) -> None:
    done = cfbench("evaluate", "--method", "noise", "--task", toy_key, "--executor", "dask", "--workers", "2")
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / "runs").rglob("run.json")
    found = Record.read(path.parent)
    record, _ = evaluate(METHODS.load("noise")(), task, root=tmp_path / "here")
    assert found.provenance.images == record.provenance.images
    assert {name: scores["all"].value for name, scores in found.scores.items() if "all" in scores} == {
        name: scores["all"].value for name, scores in record.scores.items() if "all" in scores
    }


def test_a_lost_worker_and_then_a_lost_scheduler_cost_no_stored_shard(
    cluster: Cluster, toy_key: str, task: Task, tmp_path: Path
) -> None:
    notes, out = tmp_path / "notes", tmp_path / "runs"
    settings = ["--set", "seconds=0.4", "--set", f'notes="{notes}"']
    arguments = client(toy_key, out, cluster.address, *settings)
    running = subprocess.Popen(arguments, env=cluster.environment, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: explained(out) >= 12)
    [nanny] = cluster.workers
    [worker] = [int(pid) for pid in Path(f"/proc/{nanny.pid}/task/{nanny.pid}/children").read_text().split()[-1:]]
    os.kill(worker, signal.SIGKILL)
    before = explained(out)
    wait_for(lambda: explained(out) >= before + 8)
    cluster.scheduler.kill()
    _, message = running.communicate(timeout=WAIT)
    assert running.returncode == 2
    assert "the dask scheduler is gone; finished shards are stored" in message
    kept = explained(out)
    computed = sum(map(int, notes.read_text().split()))
    assert 20 <= kept < 60
    assert computed - kept <= 12
    record, _ = evaluate(METHODS.load(SLOW).create({"seconds": 0.4, "notes": str(notes)}), task, root=out)
    assert record.status == "complete"
    assert sum(map(int, notes.read_text().split())) - computed == 60 - kept


def test_a_scheduler_that_is_not_there(toy_key: str) -> None:
    from cfbench.dask_pool import DaskPool

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cfbench.dask_pool.TIMEOUT", 1)
        with pytest.raises(ExecutorLost, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9: .*start one"):
            DaskPool("tcp://127.0.0.1:9", workers=None, resources={})
