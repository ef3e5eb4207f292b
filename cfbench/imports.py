"""Scoring counterfactuals that were made elsewhere, by a task's judges or a user's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cfbench.batch import UNDECIDED, decided
from cfbench.dataset import Images
from cfbench.errors import InvalidParameter
from cfbench.files import content_hash, write_atomic
from cfbench.given_targets import class_numbers, given_targets, some
from cfbench.image_sets import ImageSet
from cfbench.images import dequantise
from cfbench.judges import BATCH, Judges, Member
from cfbench.pieces import Piece
from cfbench.provenance import provenance
from cfbench.record import TABLE, Card, Queries, Record, RunKey
from cfbench.scoring import Scored, score
from cfbench.task import Task
from cfbench.user_networks import ROLES, VOTING, check_judge, count_classes

ELSEWHERE = "made elsewhere"
NO_CLASS = "the classifier gives NaN for the query"
SAME_CLASS = "the target is the class that the query has already"


@dataclass(frozen=True)
class Imported:
    """Counterfactuals and their queries, paired, with a target each.

    Attributes:
        images, queries: as many of each, of one shape. targets: class asked for, ``[N]``.
        reference: held-out real images with labels, if any.
    """

    images: ImageSet
    queries: ImageSet
    targets: Tensor
    reference: ImageSet | None = None

    @classmethod
    def paired(
        cls, images: ImageSet, queries: ImageSet, *, targets: Path | None = None, reference: ImageSet | None = None
    ) -> Imported:
        """Pair by name in folders, by position in npz files; targets from a CSV file or an array in either npz file.

        Raises:
            InvalidParameter: unpaired or different images, no targets. MissingResource: no such CSV file.
        """
        if images.shape != queries.shape or (reference and reference.shape != queries.shape):
            shapes = {str(part.path): list(part.shape) for part in (images, queries, reference) if part}
            raise InvalidParameter(f"images differ in shape [C, H, W]: {shapes}; save all at one size and mode")
        left, right = set(images.names), set(queries.names)
        if left != right:
            raise InvalidParameter(
                f"{images.path} has {len(images)} images and {queries.path} {len(queries)}; without a query: "
                f"{some(sorted(left - right))}; without a counterfactual: {some(sorted(right - left))}"
            )
        return cls(images, queries, given_targets(images, queries, targets), reference)

    def __len__(self) -> int:
        return len(self.images)


def pieces_of_import(imported: Imported, judges: Judges) -> Iterator[Piece]:
    """Imported pairs, a batch at a time; a query whose target is its own class has failed."""
    given = None if judges.names("classifier") else _predictions(imported.images)
    flags = imported.images.columns.get("failed", np.zeros(len(imported), dtype=bool)).astype(bool)
    first = 0
    for stored, queries in zip(imported.images.batches(BATCH), imported.queries.batches(BATCH), strict=True):
        here = slice(first, first + len(stored))
        sources, targets = _sources(imported, judges, queries, here), imported.targets[here]
        errors = [
            _problem(*each) for each in zip(flags[here].tolist(), sources.tolist(), targets.tolist(), strict=True)
        ]
        failed = torch.tensor([bool(error) for error in errors])
        kept = torch.where(failed[:, None, None, None], queries, stored)
        yield Piece(
            first, queries, sources.clamp(min=0), targets, kept, errors, given=None if given is None else given[here]
        )
        first = here.stop


@torch.inference_mode()
def _sources(imported: Imported, judges: Judges, queries: Tensor, here: slice) -> Tensor:
    if judges.names("classifier"):
        network = judges.network(judges.classifier)
        return decided(network(dequantise(queries.to(judges.device)))).cpu()
    return _predictions(imported.queries)[here]


def _problem(flag: bool, source: int, target: int) -> str:
    """Why a query has failed, or nothing."""
    if source == UNDECIDED:
        return NO_CLASS
    return ELSEWHERE if flag else SAME_CLASS if source == target else ""


def _predictions(part: ImageSet) -> Tensor:
    return class_numbers(part.columns["predictions"], f"predictions in {part.path}")


def judges_of_import(
    imported: Imported, members: Sequence[Member], task: Task | None, device: str | torch.device = "cpu"
) -> Judges:
    """Who judges imported images: ``members``, for other roles the task's, else what the npz files predict.

    Raises:
        InvalidParameter: no classifier and no predictions; other shapes than the task's; targets that are no class;
            a classifier or oracle that does not work on these images or has other classes.
    """
    if task is not None and task.dataset.image_shape != imported.images.shape:
        raise InvalidParameter(
            f"images are {list(imported.images.shape)}, {task.key} has {list(task.dataset.image_shape)}; scale them to "
            "its size, or bring a classifier of your own"
        )
    if task is not None and imported.reference is not None:
        raise InvalidParameter(
            f"{task.key} has held-out real images of its own; leave out --reference, or give judges without --task"
        )
    sample = dequantise(next(imported.queries.batches(2)))
    for member in members:
        if member.role not in VOTING:
            check_judge(member, sample)
    explained = [member.name for member in members if member.role == "classifier"]
    if len(explained) > 1:
        raise InvalidParameter(f"there are {len(explained)} classifiers, {', '.join(explained)}; give one to explain")
    verdicts = None
    if task is None and not explained:
        verdicts = _verdicts(imported)
    classes = _classes(imported, members, task, sample)
    _check_targets(imported, classes)
    if task is not None:
        judges = Judges.of(task, members)
        judges.costs = False
        return judges
    return Judges(
        members,
        classes=classes,
        image_shape=imported.images.shape,
        device=device,
        reference=None if imported.reference is None else partial(_labelled, imported.reference),
        verdicts=verdicts,
        costs=False,
    )


def _verdicts(imported: Imported) -> str:
    """Identity of the predictions that stand in for a classifier."""
    if any("predictions" not in part.columns for part in (imported.images, imported.queries)):
        raise InvalidParameter(
            "nobody says what the classifier sees; give --task, --classifier, or an array predictions in both npz files"
        )
    for part in (imported.images, imported.queries):
        _predictions(part)
    return f"predictions in {imported.images.path.name}@{imported.images.sha256[:12]}"


def _classes(imported: Imported, members: Sequence[Member], task: Task | None, sample: Tensor) -> int:
    """Number of classes that all judges know; of given predictions, the greatest and one."""
    counts = {member.name: count_classes(member, sample) for member in members if member.role in VOTING}
    if task is not None:
        counts[task.key] = task.num_classes
    if len(set(counts.values())) > 1:
        raise InvalidParameter(f"numbers of classes differ: {counts}; all judges must know the same classes")
    if counts:
        return next(iter(counts.values()))
    columns = [part.columns["predictions"] for part in (imported.images, imported.queries)]
    return 1 + max(int(imported.targets.max()), *(int(column.max()) for column in columns))


def _check_targets(imported: Imported, classes: int) -> None:
    if "predictions" in imported.queries.columns:
        outside = [seen for seen in _predictions(imported.queries).tolist() if not 0 <= seen < classes]
        if outside:
            raise InvalidParameter(
                f"predictions in {imported.queries.path} hold {outside[0]}, no class; expected 0 to {classes - 1}"
            )
    wrong = (imported.targets < 0) | (imported.targets >= classes)
    if wrong.any():
        name = imported.images.names[int(wrong.nonzero()[0])]
        raise InvalidParameter(
            f"target {int(imported.targets[wrong][0])} of {name} is not a class; expected 0 to {classes - 1}"
        )


def _labelled(held_out: ImageSet) -> Images:
    labels = held_out.columns.get("labels")
    if labels is None:
        raise InvalidParameter(f"{held_out.path} has no labels; save the class of each real image as an array labels")
    return Images(torch.cat(list(held_out.batches(BATCH))), class_numbers(labels, f"labels in {held_out.path}"))


def score_import(imported: Imported, judges: Judges, *, name: str, out: Path, task: str) -> tuple[Record, Path]:
    """Score imported counterfactuals, and write ``run.json`` and the query table into a folder below ``out``.

    Args:
        name: of the method in the record. task: key of the task whose judges score, or ``imported``.

    Returns:
        The record and its folder.
    """
    try:
        scored = score(pieces_of_import(imported, judges), judges)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidParameter(
            f"a network fails while it judges: {type(error).__name__}: {reason}; it must take batches of any size"
        ) from error
    names = [name for role in ROLES for name in judges.names(role)]
    networks = {name: judges.identity(name).rpartition("@")[2] for name in names}
    key = RunKey(
        method=name,
        method_version=ELSEWHERE,
        adapter=imported.images.sha256,
        parameters={},
        task=task,
        targets="given",
        split=imported.queries.path.name,
        split_hash=content_hash(
            [imported.queries.sha256, imported.reference and imported.reference.sha256, imported.targets.tolist()]
        ),
        networks=networks,
        seed=0,
    )
    record = Record(
        key=key,
        card=Card(family=ELSEWHERE, citation="", access="unknown", track="unknown"),
        status="complete" if scored.failed < len(imported) else "failed",
        queries=Queries(expected=len(imported), requested=len(imported), done=len(imported), failed=scored.failed),
        scores=scored.scores,
        cost=None,
        provenance=provenance(
            judges.device, networks=networks, accuracies=judges.accuracies, images=scored.images_hash
        ),
    )
    folder = out / "imported" / f"{name}-{key.digest[:8]}"
    table = _table(imported, scored)
    write_atomic(folder / TABLE, lambda path: table.to_parquet(path, index=False))
    record.write(folder)
    return record, folder


def _table(imported: Imported, scored: Scored) -> pd.DataFrame:
    table = pd.DataFrame({"query_id": imported.images.names, "target": imported.targets.numpy()})
    if "labels" in imported.queries.columns:
        table["label"] = imported.queries.columns["labels"]
    return table.join(scored.table)
