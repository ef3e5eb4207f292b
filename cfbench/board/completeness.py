"""Is a bundle a whole run of a task that is here: its splits and networks, every query once, images of its form?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

import torch
from torch import Tensor

from cfbench.board.archive import Refused
from cfbench.board.bundle import SHARD, Bundle
from cfbench.board.shards import read_shard
from cfbench.dataset import Dataset
from cfbench.errors import InvalidParameter, UnknownName
from cfbench.files import sha256_bytes
from cfbench.pieces import pieces_of
from cfbench.protocols import PROTOCOLS
from cfbench.record import FILE, Record
from cfbench.registry import load_dataset
from cfbench.store import FOLDER, RunFolder, Shard
from cfbench.task import Task

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
"""Names of methods and data sets, which become names of folders."""

KEY = re.compile(rf"{NAME.pattern}@v[0-9]{{1,4}}")

MOST_THREADS = 256
"""Threads that scoring again may take because a record says so."""


def task_of(record: Record, dataset: Dataset | None = None) -> Task:
    """The task of a submitted record, as it is here.

    Args:
        dataset: the task's data set, by default the one of that name.

    Raises:
        Refused: the record is not of a complete run on test queries, or was made with other splits or networks.
        UnknownName, MissingResource: the data set, or its images, are not here.
    """
    key, queries = record.key, record.queries
    if not NAME.fullmatch(key.method) or not KEY.fullmatch(key.task):
        raise Refused(
            f"{FILE}: method {key.method[:80]!r} on task {key.task[:80]!r}; expected names of small letters, digits "
            "and hyphens, and a task such as fashion-mnist@v1"
        )
    if (record.status, key.split, key.variant) != ("complete", "test", "") or queries.done < queries.expected:
        raise Refused(
            f"{FILE} is of {queries.done} of {queries.expected} queries of split {key.split[:80]!r}, status "
            f"{record.status}; expected a complete run on test queries: cfbench evaluate without --limit"
        )
    if not 1 <= record.provenance.threads <= MOST_THREADS or record.cost is None:
        raise Refused(f"{FILE}: no cost, or {record.provenance.threads} threads; expected 1 to {MOST_THREADS} threads")
    if unknown := {*record.protocols} - {*PROTOCOLS}:
        raise Refused(f"{FILE}: unknown protocol {min(unknown)[:80]!r}; expected some of {', '.join(PROTOCOLS)}")
    dataset = dataset or load_dataset(key.task)
    if dataset.key != key.task:
        raise Refused(f"{FILE} is of task {key.task}; expected {dataset.key}")
    networks = {name: dataset.entry(name).sha256 for name in dataset.built()}
    there = record.provenance.networks | key.networks
    odd = [name for name in sorted(there) if there[name] != networks.get(name)]
    if key.split_hash != dataset.split_hash or odd:
        what = f"network {odd[0][:80]!r}" if odd else "the splits"
        raise Refused(f"{FILE}: {what} of {key.task} are not those that are here; run the method with this release")
    try:
        task = Task(dataset, targets=key.targets, classifier=key.classifier)
    except (InvalidParameter, UnknownName) as error:
        raise Refused(f"{FILE}: {error}") from error
    if queries.expected != len(task) or queries.requested != len(task):
        raise Refused(f"{FILE} is of {queries.requested} queries; {task.key} has {len(task)}")
    return task


def read_images(bundle: Bundle, task: Task) -> Tensor:
    """The counterfactuals of a bundle in the order of the queries, uint8 ``[N, C, H, W]``.

    Shards of further runs of protocols are checked alike.

    Raises:
        Refused: a query is missing or comes twice, a shard is not of the task's form, or the record is of other images.
    """
    found = {}
    for folder, names in groupby(bundle.shards, key=lambda name: name.rpartition("/")[0]):
        shards = list(_shards(bundle, task, names))
        found[folder] = torch.cat([shard.images for shard in shards])
        if len(found[folder]) != len(task):
            raise Refused(
                f"{folder} lacks the queries from {len(found[folder])} on; expected all {len(task)} of {task.key}"
            )
    if FOLDER not in found:
        raise Refused(f"the bundle has no shards in {FOLDER}; expected the images of all {len(task)} queries")
    digest = hashlib.sha256()
    for piece in pieces_of(RunFolder(bundle.folder), task, len(task)):
        piece.add_to(digest)
    if digest.hexdigest() != bundle.record.provenance.images:
        raise Refused(
            f"{FILE} is the record of other images: provenance.images is {bundle.record.provenance.images}, the "
            f"submitted ones have {digest.hexdigest()}"
        )
    return found[FOLDER]


def _shards(bundle: Bundle, task: Task, names: Iterable[str]) -> Iterator[Shard]:
    """The shards of one run, each of which must go on where the one before it ended."""
    following = 0
    for name in names:
        match = SHARD.fullmatch(name)
        assert match is not None
        first, last = int(match[2]), int(match[3])
        if first != following or not first <= last < len(task):
            what = "missing" if first > following else "there twice, or none of the task"
            raise Refused(
                f"{name}: queries from {min(first, following)} on are {what}; expected each of the {len(task)} of "
                f"{task.key} once"
            )
        data = (bundle.folder / name).read_bytes()
        if sha256_bytes(data)[:16] != match[4]:
            raise Refused(f"{name} has the sha256 {sha256_bytes(data)}; expected it to begin as in its name")
        yield read_shard(data, name, positions=range(first, last + 1), image_shape=task.dataset.image_shape)
        following = last + 1
