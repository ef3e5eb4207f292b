"""Drawing and writing a report: a folder a board, and pages over all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cfbench.board.boards import Board, boards_of
from cfbench.board.entries import Entry
from cfbench.board.gallery import dataset_of
from cfbench.board.rules import Rules
from cfbench.files import write_atomic, write_text
from cfbench.report.ablations import ablations
from cfbench.report.classes import classes
from cfbench.report.fronts import cost, pareto
from cfbench.report.overview import metrics, overview
from cfbench.report.protocols import boundary, corruption
from cfbench.report.ranks import gap, ranks
from cfbench.report.scene import LeftOut, Plate, Scene, palette_of, scene_of
from cfbench.report.sheets import sheet
from cfbench.report.style import DPI, settle, theme
from cfbench.report.tables import Table, table_of

FIGURES: tuple[Callable[[Scene], Plate | LeftOut], ...] = (
    overview,
    metrics,
    ranks,
    gap,
    pareto,
    cost,
    classes,
    corruption,
    boundary,
)
"""One a board, in the order of the pages, before ablations and the contact sheet."""

SUFFIXES = (".pdf", ".png", ".csv", ".txt")
"""Of the files of a figure: for print, for screens, the data behind it, its caption."""


@dataclass(frozen=True)
class Written:
    """A figure in its folder: ``stem`` is the path of its files without their suffixes."""

    stem: Path
    title: str
    caption: str


@dataclass(frozen=True)
class Section:
    """What was written of a board, and what was left out and why."""

    board: Board
    question: str
    folder: Path
    table: Table
    figures: tuple[Written, ...]
    left_out: tuple[LeftOut, ...]


def draw_boards(entries: Sequence[Entry], rules: Rules, out: Path) -> Iterator[Section]:
    """Draw every board of the entries into a folder of its own below ``out``, one after the other.

    Files of figures that an earlier report had and this one leaves out are removed.

    Raises:
        CorruptFile: entries of one board explain different queries, or a gallery is damaged. InvalidParameter: an entry
            is given twice. StorageError: a file cannot be written.
    """
    boards = boards_of(entries, rules)
    palette = palette_of(boards, rules)
    for board in boards:
        scene = scene_of(board, rules, palette, dataset_of(board))
        folder = out / plain(board.name)
        table = table_of(scene)
        write_text(folder / "table.md", table.markdown())
        write_text(folder / "table.tex", table.latex(f"tab:{plain(board.name)}"))
        figures, left_out = [], []
        for old in folder.glob("ablation-*"):
            old.unlink()
        with theme():
            for plate in plates(scene):
                if isinstance(plate, Plate):
                    figures.append(_write(plate, folder))
                    continue
                left_out.append(plate)
                for suffix in SUFFIXES:
                    (folder / f"{plate.name}{suffix}").unlink(missing_ok=True)
        yield Section(board, scene.question, folder, table, tuple(figures), tuple(left_out))


def plates(scene: Scene) -> Iterator[Plate | LeftOut]:
    """All figures of a board, drawn when they are asked for."""
    for draw in FIGURES:
        yield draw(scene)
    yield from ablations(scene)
    yield sheet(scene)


def _write(plate: Plate, folder: Path) -> Written:
    stem = folder / plain(plate.name)
    save = plate.figure.savefig
    settle(plate.figure)
    write_atomic(_file(stem, ".pdf"), partial(save, format="pdf", metadata={"CreationDate": None}))
    write_atomic(_file(stem, ".png"), partial(save, format="png", dpi=DPI))
    write_text(_file(stem, ".csv"), plate.data.to_csv(index=False, lineterminator="\n"))
    write_text(_file(stem, ".txt"), plate.caption + "\n")
    return Written(stem, plate.title, plate.caption)


def _file(stem: Path, suffix: str) -> Path:
    return stem.parent / f"{stem.name}{suffix}"


def plain(name: str) -> str:
    """A name as that of a file: letters, digits and a few signs that no shell, URL or LaTeX takes for another."""
    return re.sub(r"[^A-Za-z0-9@.=_-]+", "-", name).lstrip("-.") or "unnamed"
