"""The strips of reports/properties.md, and what its other figures need from runs.

    python reports/properties/strips.py --runs RUNS

RUNS is what ``cfbench study reports/properties.toml --out RUNS`` has filled. Writes ``strips.png``, ``flipped.csv``
(scores over flipped queries, which the study's CSV files do not have) and ``cost.csv`` beside this file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cfbench.comparison import Run
from cfbench.figures import DIVERGING, signed_change
from cfbench.pieces import pieces_of
from cfbench.store import RunFolder
from cfbench.study import Cell, Study, folder_of, task_of

FOLDER = Path(__file__).parent
STUDY = FOLDER.parent / "properties.toml"

ROWS = ("pgd", "wachter", "deep-inversion", "dip", "dip-loss", "disc", "nearest-unlike", "prototype")
"""Rows in the strips, from top to bottom."""

SHOWN = 6
"""Queries in the strips: the first of each of the first classes."""

BOUND = 0.6
"""Difference at the ends of the colours' scale."""


@dataclass(frozen=True)
class Made:
    """A row's run: its label, its stored queries and counterfactuals, and its query table."""

    label: str
    queries: Tensor
    images: Tensor
    table: pd.DataFrame


def strips(made: Sequence[Made], classes: Sequence[str], oracles: Sequence[str]) -> Figure:
    """The same queries under every row: image, signed difference, what classifier and oracles say."""
    table = made[0].table
    chosen = [int(np.flatnonzero(table["source"] == label)[0]) for label in range(SHOWN)]
    figure = Figure(figsize=(10.4, 0.93 * (len(made) + 1)), layout="constrained")
    axes = figure.subplots(len(made) + 1, 2 * SHOWN)
    for axis in axes.flat:
        axis.set_axis_off()
    for column, query in enumerate(chosen):
        source, target = (classes[int(table[name].iloc[query])] for name in ("source", "target"))
        _image(axes[0, 2 * column], made[0].queries[query])
        axes[0, 2 * column].set_title(f"{source}\n→ {target}", fontsize=7.5)
        for row, each in enumerate(made, start=1):
            _image(axes[row, 2 * column], each.images[query])
            change = signed_change(each.queries[query], each.images[query])
            axes[row, 2 * column + 1].imshow(change.numpy(), cmap=DIVERGING, vmin=-BOUND, vmax=BOUND)
            line = each.table.iloc[query]
            seen = sum(int(line[f"{name}_prediction"]) == int(line["target"]) for name in oracles)
            said = f"{'✓' if line['flipped'] else '✗'}  {seen}/{len(oracles)}"
            axes[row, 2 * column + 1].set_title(said, fontsize=7.5, pad=1.5)
    for row, label in enumerate(["query", *(each.label for each in made)]):
        axes[row, 0].text(-0.12, 0.5, label, transform=axes[row, 0].transAxes, ha="right", va="center", fontsize=9)
    return figure


def _image(axis: Axes, image: Tensor) -> None:
    axis.imshow(image.permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=255)


def images_of(cell: Cell, run: Run) -> Made:
    """What a run made, from its stored images."""
    pieces = list(pieces_of(RunFolder(run.path), task_of(cell), run.record.queries.requested))
    queries, images = (torch.cat([getattr(piece, name) for piece in pieces]) for name in ("stored_queries", "stored"))
    return Made(cell.label, queries, images, run.table.reset_index())


def flipped_scores(found: Sequence[tuple[Cell, Run]]) -> pd.DataFrame:
    """Scores over flipped queries, which the study's CSV files do not have."""
    lines = [
        (cell.label, metric, score.value, *(score.ci95 or (None, None)), score.n)
        for cell, run in found
        for metric in ("l1", "sparsity", "im1", "kd", "precision", "non_adversarial_rate")
        if (score := run.record.scores[metric].get("flipped")) and score.value is not None
    ]
    return pd.DataFrame(lines, columns=["row", "metric", "value", "low", "high", "n"])


def costs(found: Sequence[tuple[Cell, Run]]) -> pd.DataFrame:
    """Seconds and calls a query."""
    lines = []
    for cell, run in found:
        cost, count = run.record.cost, run.record.queries.done
        assert cost is not None
        calls = (cost.forwards / count, cost.backwards / count)
        lines.append((cell.label, round(cost.seconds_per_query, 4), *calls, count))
    return pd.DataFrame(lines, columns=["row", "seconds", "forwards", "backwards", "n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs of properties.toml")
    arguments = parser.parse_args()
    cells = [cell for cell in Study.read(STUDY).cells if cell.part.name == "core"]
    found = [(cell, Run.read(folder_of(cell, 0, arguments.runs))) for cell in cells]
    flipped_scores(found).to_csv(FOLDER / "flipped.csv", index=False)
    costs(found).to_csv(FOLDER / "cost.csv", index=False)
    shown = {cell.label: (cell, run) for cell, run in found}
    dataset = task_of(cells[0]).dataset
    figure = strips([images_of(*shown[row]) for row in ROWS], dataset.classes, dataset.names("oracle"))
    figure.savefig(FOLDER / "strips.png", dpi=150)


if __name__ == "__main__":
    main()
