"""Grids: methods x tasks x seeds, carried out by whatever pool there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from cfbench.evaluation import Evaluation, Options
from cfbench.files import canonical_json
from cfbench.method import Method
from cfbench.work import LiveWork, RunSpec, TaskSpec


def specified(
    name: str, method: Method, task: TaskSpec, *, seed: int, protocols: Sequence[str] = (), device: str = "cpu"
) -> tuple[LiveWork, RunSpec]:
    """The work of a run in this process, and what another process needs to know to do it.

    Args:
        name: registered name of the method, or ``path/to/file.py:Class``. method: the method with its parameters.
        task: with the device of whoever does the work. device: of this process.

    Raises:
        CfbenchError: the task, or a network that the run needs, is not there.
    """
    live = LiveWork(method, replace(task, device=device).load(), seed=seed, protocols=protocols)
    path, separator, attribute = name.rpartition(":")
    found = f"{Path(path).resolve()}:{attribute}" if separator else name
    parameters = canonical_json(method.parameters())
    return live, RunSpec(found, parameters, task, seed, live.protocols, live.key.digest)


def evaluations(
    methods: Sequence[tuple[str, Method]],
    tasks: Sequence[TaskSpec],
    seeds: Sequence[int],
    *,
    root: Path,
    options: Options,
    protocols: Sequence[str] = (),
    shared: bool = True,
    device: str = "cpu",
) -> list[Evaluation]:
    """An evaluation of every method on every task with every seed.

    Args:
        methods: names, and methods with their parameters. root: folder below which each run gets its own.
        options: how runs are carried out. protocols: names of protocols to run and score as well.
        shared: whether those who do the work are known to reach ``root``. device: of this process, which scores what
            workers cannot reach.

    Raises:
        CfbenchError: a name, option, task or network is wrong or missing; nothing has been started.
    """
    made = []
    for task, (name, method), seed in product(tasks, methods, seeds):
        live, spec = specified(name, method, task, seed=seed, protocols=protocols, device=device)
        made.append(Evaluation(live, root, options, work=spec, shared=shared))
    return made
