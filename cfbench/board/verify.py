"""Verifying a submission: nothing in it is believed, run or unpickled; what follows from its images is computed again.

What that cannot show: that the adapter made the images, and what they cost. Its source is shown for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cfbench.board.access import check_access
from cfbench.board.archive import Refused
from cfbench.board.bundle import Bundle, open_bundle
from cfbench.board.card import Card, Submission
from cfbench.board.completeness import read_images, task_of
from cfbench.board.copies import Copies, find_copies
from cfbench.board.publishing import publish
from cfbench.board.recomputed import check_record, check_table
from cfbench.board.rules import Rules
from cfbench.dataset import Dataset
from cfbench.judges import Judges
from cfbench.keys import run_path
from cfbench.needs import Needs
from cfbench.record import TABLE, Record
from cfbench.recording import networks_of, rescore
from cfbench.scoring import metrics_for
from cfbench.store import RunFolder
from cfbench.task import Task

SUBMITTED = "submitted.parquet"

TOLERATED = 0.01
"""Share of copies that may be chance: twins among a data set's own images."""


@dataclass(frozen=True)
class Verdict:
    """An accepted submission.

    Attributes:
        record: scores and provenance as computed here. card: what the submitter says. adapter: its source, unchanged.
        confirmed: what was checked, in words. flags: what a reviewer should know. entry: where it was published, if so.
    """

    record: Record
    card: Card
    adapter: str
    confirmed: tuple[str, ...]
    flags: tuple[str, ...]
    entry: Path | None = None


def verify(path: Path, *, dataset: Dataset | None = None, records: Path | None = None) -> Verdict:
    """Verify the bundle at ``path``.

    Args:
        dataset: the task's data set, by default the one that the record names.
        records: folder of published records, to which the accepted run is added.

    Raises:
        Refused: it is not what it has to be, or says something else than its images give; names the member.
        UnknownName, MissingResource: there is no such file, or the task or its images are not here.
    """
    with open_bundle(path) as bundle:
        task = task_of(bundle.record, dataset)
        images = read_images(bundle, task)
        access = check_access(bundle, task)
        copies = find_copies(images, task.stored.cpu(), task.dataset)
        flags = [*access.flags, *_check_copies(copies, access.needs)]
        record, scored, more = _recomputed(bundle, task)
        flags += more
        entry = None if records is None else _published(bundle, task, records, flags)
        return Verdict(
            record=record,
            card=bundle.card,
            adapter=access.text,
            confirmed=(
                f"{len(bundle.manifest.members)} members, each of the size and sha256 of the manifest",
                f"{len(images):,} of {len(task):,} queries of {task.key}, 8-bit images {list(images.shape[1:])}",
                f"{access.needs.access}, {access.needs.track}: source, record and card agree",
                scored,
                f"{copies.changed:,} images changed, {copies.pool + copies.others:,} of them copies of real images",
            ),
            flags=tuple(flags),
            entry=entry,
        )


def _published(bundle: Bundle, task: Task, records: Path, flags: Sequence[str]) -> Path:
    place = run_path(records, bundle.record.key)
    if place.exists():
        raise Refused(f"{place} is published already; take it away first if this submission is to stand in its place")
    said = bundle.card.model_dump()
    submission = Submission(**said, verified=True, bundle=bundle.sha256, flags=[flag[:2000] for flag in flags])
    return publish(bundle.folder, records, Rules.beside(records).columns, submission, dataset=task.dataset)


def _check_copies(copies: Copies, needs: Needs) -> list[str]:
    tolerated = TOLERATED * copies.changed
    if copies.others > tolerated:
        raise Refused(
            f"{copies.others} of {copies.changed} changed counterfactuals are copies of held-out images or of other "
            "queries, which no method is given"
        )
    if copies.pool > tolerated and not (needs.training_data or needs.truth):
        raise Refused(
            f"{copies.pool} of {copies.changed} changed counterfactuals are copies of images of the training pool, and "
            "the adapter does not declare training data"
        )
    found = copies.pool + copies.others
    return [f"{found} of {copies.changed} changed counterfactuals are copies of real images"] if found else []


def _recomputed(bundle: Bundle, task: Task) -> tuple[Record, str, list[str]]:
    """The record as the images give it here, how it compares with the submitted one, and what remains unchecked."""
    folder = bundle.folder
    (folder / TABLE).rename(folder / SUBMITTED)
    computed, before = rescore(RunFolder(folder), task)
    moved = check_table(folder / SUBMITTED, folder / TABLE)
    judges = Judges.of(task)
    judges.protocols = tuple(computed.protocols)
    protocols = (None, *computed.protocols)
    blocked = {each.key for each in metrics_for(judges) if each.protocol in protocols and each.blocked()}
    unchecked = check_record(bundle.record, computed, moved=moved, blocked=blocked)
    origin = computed.provenance.model_copy(update=networks_of(task.dataset))
    record = computed.model_copy(update={"provenance": origin})
    record.write(folder)
    same = "bit for bit" if computed.scores == before else "up to float noise"
    count = sum(score.value is not None for subsets in computed.scores.values() for score in subsets.values())
    flags = [f"{moved} queries lie at a boundary and are judged otherwise here"] if moved else []
    flags += (
        [f"not checked, as they cannot be computed here, and not published: {', '.join(unchecked)}"]
        if unchecked
        else []
    )
    return record, f"{count} scores and the query table computed again: the same {same}", flags
