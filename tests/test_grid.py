"""Grids of runs: several methods and seeds in one command, worker processes, what comes first, who may write."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commands import exit_code

from cfbench.errors import InvalidParameter, MethodFailed, RunInUse
from cfbench.evaluation import Options
from cfbench.grid import evaluations
from cfbench.harness import evaluate
from cfbench.keys import run_key, run_path
from cfbench.method import Method
from cfbench.pools import InProcess
from cfbench.record import Record
from cfbench.registry import METHODS
from cfbench.schedule import carry_out
from cfbench.store import RunFolder
from cfbench.task import Task
from cfbench.work import LiveWork, RunSpec, TaskSpec

Command = Callable[..., subprocess.CompletedProcess[str]]

ADAPTERS = Path(__file__).parent / "adapters"
SLOW = f"{ADAPTERS / 'slow.py'}:Slow"


def named(name: str, **parameters: Any) -> tuple[str, Method]:
    return name, METHODS.load(name).create(parameters)


def figures(record: Record) -> dict[str, Any]:
    """The scores of a record, without the folders that the reasons of blank ones name."""
    return {
        f"{name} {subset}": score.model_dump(exclude={"reason"})
        for name, subsets in record.scores.items()
        for subset, score in subsets.items()
    }


def records_below(folder: Path) -> dict[tuple[str, int], Record]:
    found = [Record.read(path.parent) for path in folder.rglob("run.json")]
    return {(record.key.method, record.key.seed): record for record in found}


def test_worker_processes_make_what_this_process_makes(
    cfbench: Command, toy_key: str, task: Task, tmp_path: Path
) -> None:
    arguments = ("--method", SLOW, "--method", "noise", "--seeds", "2", "--task", toy_key)
    done = cfbench("evaluate", *arguments, "--workers", "2", "--out", "runs")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 runs in runs are scored" in cfbench("status", "runs").stdout
    found = records_below(tmp_path / "runs")
    assert len(found) == 4
    for name in (SLOW, "noise"):
        for seed in range(2):
            method = METHODS.load(name)()
            record, _ = evaluate(method, task, root=tmp_path / "here", seed=seed, batch_size=7)
            other = found[method.name, seed]
            assert figures(other) == figures(record)
            assert other.provenance.images == record.provenance.images
            assert (other.cost.forwards, other.key) == (record.cost.forwards, record.key)


def test_a_run_that_cannot_be_made_leaves_the_others(cfbench: Command, toy_key: str, tmp_path: Path) -> None:
    raises = f"{ADAPTERS / 'bad.py'}:AlwaysRaises"
    done = cfbench("evaluate", "--method", raises, "--method", "identity", "--task", toy_key, "--out", "runs")
    assert done.returncode == 2
    assert "always-raises" in done.stderr
    assert "no idea" in done.stderr
    assert [*records_below(tmp_path / "runs")] == [("identity", 0)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "noise", "--method", "pgd", "--set", "a=1"), ["--set is for one method", "cfbench study"]),
        (("--method", "noise", "--scheduler", "tcp://127.0.0.1:1"), ["needs --executor dask"]),
        (("--method", "noise", "--hang-limit", "5"), ["--workers"]),
        (("--method", "noise", "--method", "nois"), ["unknown method 'nois'", "did you mean 'noise'"]),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_starts(
    arguments: tuple[str, ...], words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert exit_code("evaluate", *arguments, "--out", tmp_path / "runs") == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert not (tmp_path / "runs").exists()


class Noting(InProcess):
    """Works in this process, and notes whose calls it made."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        work, what = call.func.__self__, call.func.__name__  # type: ignore[attr-defined]
        self.calls.append(f"{work.method.seconds} {what}")
        return super().submit(call)


def test_a_shard_of_every_run_comes_first_then_the_costliest(toy_key: str, tmp_path: Path) -> None:
    methods = [named(SLOW, seconds=seconds) for seconds in (0.01, 0.08, 0.04)]
    options = Options(limit=8)
    pool = Noting()
    planned = evaluations(methods, [TaskSpec(toy_key)], [0], root=tmp_path, options=options, pool=pool)
    carry_out(planned, pool)
    trials = ["0.01 explain", "0.08 explain", "0.04 explain"]
    rest = [f"{seconds} {what}" for seconds in (0.08, 0.04, 0.01) for what in ("explain", "finish")]
    assert pool.calls == trials + rest
    assert all(each.record is not None for each in planned)


class Afar(InProcess):
    """Workers that do not see the client's files: what they make comes back."""

    apart = True
    shares_files = False

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        assert isinstance(call, partial)
        if call.func.__name__ != "explain":
            assert isinstance(call.func.__self__, LiveWork), "scored where the images are not"
            return super().submit(call)
        assert isinstance(call.func.__self__, RunSpec)
        return super().submit(partial(call.func, call.args[0], Path("/nowhere"), **call.keywords))


def test_workers_that_do_not_reach_the_folder_send_their_shards_back(task: Task, toy_key: str, tmp_path: Path) -> None:
    pool = Afar()
    options = Options(batch_size=8)
    [evaluation] = evaluations(
        [named("noise")], [TaskSpec(toy_key)], [0], root=tmp_path / "afar", options=options, pool=pool
    )
    carry_out([evaluation], pool)
    record, _ = evaluate(METHODS.load("noise")(), task, root=tmp_path / "here")
    assert evaluation.record is not None
    assert figures(evaluation.record) == figures(record)
    [protocol] = evaluations(
        [named("noise")],
        [TaskSpec(toy_key)],
        [0],
        root=tmp_path / "afar",
        options=options,
        pool=pool,
        protocols=["composition"],
    )
    carry_out([protocol], pool)
    assert "protocols need" in str(protocol.error)


def test_only_one_writes_a_run_folder(task: Task, tmp_path: Path) -> None:
    method = METHODS.load("identity")()
    folder = RunFolder(run_path(tmp_path, run_key(method, task, seed=0)))
    with folder.held(requested=7):
        assert folder.busy()
        with pytest.raises(RunInUse, match=rf"is being written by process {os.getpid()} on .* since .*; wait for it"):
            evaluate(method, task, root=tmp_path)
    assert not folder.busy()
    record, _ = evaluate(method, task, root=tmp_path)
    assert record.status == "complete"
    assert folder.holder() is not None


def test_status_tells_scored_from_stopped_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, task: Task, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert exit_code("status", tmp_path) == 2
    assert "holds no run" in capsys.readouterr().err
    evaluate(METHODS.load("identity")(), task, root=tmp_path)
    _, stopped = evaluate(METHODS.load("noise")(), task, root=tmp_path, limit=20)
    (stopped / "run.json").unlink()
    with RunFolder(stopped).held(requested=40):
        assert exit_code("status", tmp_path) == 0
        shown = capsys.readouterr().out
        assert "60/60" in shown
        assert "20/40" in shown
        assert f"at work: process {os.getpid()}" in shown
    exit_code("status", tmp_path)
    assert "stopped, was process" in capsys.readouterr().out


def test_a_run_is_given_up_after_too_many_failures(task: Task, tmp_path: Path) -> None:
    picky = METHODS.load(f"{ADAPTERS / 'bad.py'}:SometimesRaises")
    whole, _ = evaluate(picky(), task, root=tmp_path / "whole", batch_size=5)
    assert 2 < whole.queries.failed < len(task)
    record, folder = evaluate(picky(), task, root=tmp_path / "given-up", batch_size=5, max_failures=2)
    assert record.queries.done < len(task)
    assert record.queries.failed >= len(task) - record.queries.done
    assert record.queries.requested == len(task)
    resumed, _ = evaluate(picky(), task, root=tmp_path / "given-up", batch_size=5)
    assert (resumed.scores, resumed.queries) == (whole.scores, whole.queries)
    assert folder.is_dir()


def test_a_clock_that_jumps_does_no_harm(monkeypatch: pytest.MonkeyPatch, task: Task, tmp_path: Path) -> None:
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: (-1) ** next(jumps) * 1e9)
    record, _ = evaluate(METHODS.load("noise")(), task, root=tmp_path, time_limit=600, batch_size=9)
    assert record.status == "complete"
    assert 0 <= record.cost.explain_seconds < 600


def test_a_method_that_fails_everywhere_stores_nothing_whatever_the_shards(toy_key: str, tmp_path: Path) -> None:
    [failing] = evaluations(
        [named(f"{ADAPTERS / 'bad.py'}:AlwaysRaises")],
        [TaskSpec(toy_key)],
        [0],
        root=tmp_path,
        options=Options(batch_size=3),
        pool=InProcess(),
    )
    carry_out([failing], InProcess())
    assert isinstance(failing.error, MethodFailed)
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize("options", [{"time_limit": -1.0}, {"max_failures": -1}])
def test_limits_below_zero_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter, match="expected at least 0"):
        Options(**options)
