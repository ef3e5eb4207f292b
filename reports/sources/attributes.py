"""Which attributes flip which classes: what generative introspection moved, by target class.

    python reports/sources/attributes.py RUN [--out DIR]

Reads the query table of a run of a method that logs ``moved_<attribute>`` and writes ``attributes-<task>.md`` and
``.png``: the mean move of each attribute over the flipped queries of each target class, of the attributes that moved
most.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from cfbench.record import TABLE, Record
from cfbench.registry import load_dataset

PREFIX = "method_moved_"
MOST = 13
"""Attributes shown at most."""


def moves(run: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Mean move of each attribute by target class, over flipped queries, and their number."""
    record = Record.read(run)
    table = pd.read_parquet(run / TABLE)
    columns = [name for name in table if name.startswith(PREFIX)]
    if not columns:
        raise SystemExit(f"{run} logs no moves of attributes; give a run of gci")
    flipped = table[table["flip_rate"] == 1]
    classes = load_dataset(record.key.task).classes
    grouped = flipped.groupby(flipped["target"].map(lambda target: classes[target]))
    mean = grouped[columns].mean().rename(columns=lambda name: name.removeprefix(PREFIX))
    most = set(mean.abs().max().nlargest(MOST).index)
    return mean[[name for name in mean if name in most]], grouped.size()


def draw(mean: pd.DataFrame, counts: pd.Series, title: str) -> Figure:
    """A row a target class, a column an attribute; red moved up, blue down."""
    figure = Figure(figsize=(1.8 + 0.5 * len(mean.columns), 1.6 + 0.36 * len(mean)), layout="constrained")
    axis = figure.subplots()
    drawn = axis.imshow(mean, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axis.set_xticks(range(len(mean.columns)), mean.columns, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(mean)), [f"to {name} (n = {counts[name]})" for name in mean.index], fontsize=8)
    for row, values in enumerate(mean.to_numpy()):
        for column, value in enumerate(values):
            shade = "white" if abs(value) > 0.6 else "black"
            axis.text(column, row, f"{value:+.2f}", ha="center", va="center", fontsize=6.5, color=shade)
    axis.set_title(title, fontsize=9)
    figure.colorbar(drawn, ax=axis, label="mean move", shrink=0.9)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    mean, counts = moves(options.run)
    key = Record.read(options.run).key
    form = "attributes and latent" if key.parameters.get("relaxed") else "attributes alone"
    title = f"{key.method} on {key.task}, {form}: what moved"
    stem = options.out / f"attributes-{key.task.partition('@')[0]}"
    draw(mean, counts, title).savefig(stem.with_suffix(".png"), dpi=150)
    lines = [
        f"# {title}",
        "",
        f"| target class | n | {' | '.join(mean.columns)} |",
        "|---" * (len(mean.columns) + 2) + "|",
    ]
    lines += [
        f"| {name} | {counts[name]} | {' | '.join(f'{value:+.2f}' for value in row)} |"
        for name, row in zip(mean.index, mean.to_numpy(), strict=True)
    ]
    lines += [
        "",
        "Mean move over flipped queries; attributes are in [0, 1]. Made by `python reports/sources/attributes.py RUN`.",
    ]
    stem.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print(f"table and picture: {stem}.md, {stem}.png")


if __name__ == "__main__":
    main()
