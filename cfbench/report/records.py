"""What a report is made of: published entries, and runs that are not published yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cfbench.board.entries import Entry, read_entries, read_entry
from cfbench.board.publishing import gallery_images, gallery_png
from cfbench.board.rules import FILE as RULES
from cfbench.board.rules import Rules
from cfbench.errors import MissingResource, UnknownName
from cfbench.record import FILE
from cfbench.registry import load_dataset
from cfbench.store import FOLDER


def read_all(places: Sequence[Path]) -> list[Entry]:
    """The entries of folders of records or runs, and single runs or entries, in the order given.

    Raises:
        MissingResource: a place is neither, or has no records. CorruptFile, RunMismatch: a record, its table or its
            images are damaged or do not belong together.
    """
    entries = [entry for place in places for entry in _entries(place)]
    return [_with_gallery(entry) for entry in entries]


def _entries(place: Path) -> list[Entry]:
    if (place / FILE).is_file():
        return [read_entry(place.resolve())]
    if not place.is_dir():
        raise MissingResource(f"{place} is not there; give a folder of records, of runs, or of one run")
    return read_entries(place)


def _with_gallery(entry: Entry) -> Entry:
    """The entry of a run that is not published, with a gallery made of its stored images, if its task is here."""
    folder = entry.run.path
    if entry.gallery is not None or not (folder / FOLDER).is_dir():
        return entry
    try:
        dataset = load_dataset(entry.record.key.task)
    except UnknownName:
        return entry
    images = gallery_images(folder, entry.record, dataset)
    return entry if images is None else replace(entry, gallery=gallery_png(images))


def rules_of(places: Sequence[Path], default: Path) -> Rules:
    """The rules beside the first of the folders that has some, else beside the folder ``default``.

    Raises:
        MissingResource: there are none. InvalidParameter, UnknownName: they are damaged.
    """
    beside = (place.resolve().parent / RULES for place in places)
    return Rules.read(next((path for path in beside if path.is_file()), default.parent / RULES))
