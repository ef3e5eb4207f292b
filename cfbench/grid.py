"""Grids: methods x tasks x seeds, carried out by whatever pool there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from cfbench.evaluation import Evaluation, Options
from cfbench.files import canonical_json
from cfbench.method import Method
from cfbench.pools import Pool
from cfbench.work import LiveWork, RunSpec, TaskSpec


def evaluations(
    methods: Sequence[tuple[str, Method]],
    tasks: Sequence[TaskSpec],
    seeds: Sequence[int],
    *,
    root: Path,
    options: Options,
    pool: Pool,
    protocols: Sequence[str] = (),
    device: str = "cpu",
) -> list[Evaluation]:
    """An evaluation of every method on every task with every seed, for ``pool`` to carry out.

    Args:
        methods: registered names, or ``path/to/file.py:Class``, and methods with their parameters.
        tasks: with the device of whoever does the work. root: folder below which each run gets its own.
        options: how runs are carried out. protocols: names of protocols to run and score as well.
        device: of this process, which scores what workers cannot reach.

    Raises:
        CfbenchError: a name, option, task or network is wrong or missing; nothing has been started.
    """
    made = []
    for spec in tasks:
        task = replace(spec, device=device).load()
        for (name, method), seed in product(methods, seeds):
            live = LiveWork(method, task, seed=seed, protocols=protocols)
            work = _described(name, live, spec) if pool.apart else None
            made.append(Evaluation(live, root, options, work=work, shared=pool.shares_files))
    return made


def _described(name: str, live: LiveWork, task: TaskSpec) -> RunSpec:
    """What another process needs to know to do the work of a run."""
    path, separator, attribute = name.rpartition(":")
    found = f"{Path(path).resolve()}:{attribute}" if separator else name
    parameters = canonical_json(live.method.parameters())
    return RunSpec(found, parameters, task, live.seed, live.protocols, live.key.digest)
