"""Figures of the study of the sources, from its tables.

    python reports/sources/figures.py

Reads the CSV files that ``cfbench study reports/sources.toml`` leaves in this folder and writes ``estimator.png`` (what
a loss estimator changes) and ``ablation.png`` (what each part of DISC brings), also as PDF with ``--pdf``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

FOLDER = Path(__file__).parent
AGREED, NEAR = "oracle_agreed_flip", "l1"

ESTIMATOR = {
    "estimator": "Fashion-MNIST,\nfitted afterwards",
    "estimator-joint": "Fashion-MNIST,\ntrained jointly",
    "estimator-lesions": "ISIC 2017,\nfitted afterwards",
    "estimator-joint-lesions": "ISIC 2017,\ntrained jointly",
}
MEASURES = {
    AGREED: "oracle-agreed flip ↑",
    NEAR: "L1 distance ↓",
    "kd": "kernel distance ↓",
    "change_focus": "change in the object\n(1: spread evenly) ↑",
}
METHODS = {"dip": "#1f77b4", "dip-loss": "#d62728", "pgd": "#7f7f7f"}

ABLATION = {
    "": "Fashion-MNIST",
    "-lesions": "ISIC 2017",
    "-faces": "CelebA, smiling",
}
PRIORS = {"dip": "#1f77b4", "pixels": "#ff7f0e", "fourier": "#2ca02c"}
TERMS = {"none": "o", "dep": "^", "duq": "s"}
REFERENCES = {"pgd": "x", "deep-inversion": "+", "nearest-unlike": "*"}


def read(part: str) -> pd.DataFrame:
    """The scores of a part, or none where it was not run."""
    path = FOLDER / f"{part}.csv"
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["row", "seed", "metric", "value"])


def estimator() -> Figure:
    """A panel a measure; a dot a seed, a bar at their mean."""
    figure = Figure(figsize=(9.5, 5.6), layout="constrained")
    for axis, (metric, label) in zip(figure.subplots(2, 2).flat, MEASURES.items(), strict=True):
        for place, part in enumerate(ESTIMATOR):
            scores = read(part)
            for shift, (method, colour) in zip((-0.22, 0, 0.22), METHODS.items(), strict=True):
                found = scores[(scores["row"] == method) & (scores["metric"] == metric)]["value"].dropna()
                axis.plot([place + shift] * len(found), found, "o", color=colour, alpha=0.5, markersize=4)
                if len(found):
                    axis.hlines(found.mean(), place + shift - 0.09, place + shift + 0.09, color=colour, linewidth=2.5)
        axis.set_xticks(range(len(ESTIMATOR)), list(ESTIMATOR.values()), fontsize=7.5)
        axis.set_ylabel(label, fontsize=9)
        axis.set_xlim(-0.5, len(ESTIMATOR) - 0.5)
        axis.set_ylim(bottom=0)
        axis.grid(axis="y", alpha=0.3)
    handles = [Line2D([], [], color=colour, linewidth=2.5, label=method) for method, colour in METHODS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    return figure


def cross(axis: Axes, scores: pd.DataFrame, row: str, **style: object) -> None:
    """Oracle-agreed flip against distance of a row, of its first seed, with both intervals."""
    found = scores[(scores["row"] == row) & (scores["seed"] == 0)].set_index("metric")
    if not {AGREED, NEAR} <= set(found.index):
        return
    at, reach = {}, {}
    for metric in (NEAR, AGREED):
        value, low, high = found.loc[metric, ["value", "low", "high"]]
        at[metric] = value
        reach[metric] = [[value - low], [high - value]] if pd.notna(low) else None
    axis.errorbar(at[NEAR], at[AGREED], xerr=reach[NEAR], yerr=reach[AGREED], elinewidth=0.6, linestyle="none", **style)


def ablation() -> Figure:
    """A panel a task: nearer to the left, convincing to the top."""
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    for axis, (suffix, title) in zip(figure.subplots(1, 3), ABLATION.items(), strict=True):
        scores, rivals = read(f"ablation{suffix}"), read(f"rivals{suffix}")
        for prior, colour in PRIORS.items():
            for term, marker in TERMS.items():
                for staged, face in (("off", colour), ("target", "white")):
                    row = f"{prior} {term} progressive={staged}"
                    cross(axis, scores, row, marker=marker, color=colour, markerfacecolor=face, markersize=6)
        for row, marker in REFERENCES.items():
            cross(axis, rivals, row, marker=marker, color="black", markersize=9, markeredgewidth=1.6)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("L1 distance to the query", fontsize=9)
        axis.set_ylim(0, 1)
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel("oracle-agreed flip", fontsize=9)
    handles = [
        *(Line2D([], [], color=colour, marker="o", linestyle="none", label=prior) for prior, colour in PRIORS.items()),
        *(Line2D([], [], color="grey", marker=mark, linestyle="none", label=term) for term, mark in TERMS.items()),
        Line2D([], [], color="grey", marker="o", markerfacecolor="white", linestyle="none", label="progressive"),
        *(Line2D([], [], color="black", marker=mark, linestyle="none", label=row) for row, mark in REFERENCES.items()),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=8, frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pdf", action="store_true", help="write PDF files too")
    options = parser.parse_args()
    for name, figure in (("estimator", estimator()), ("ablation", ablation())):
        for ending in ("png", "pdf") if options.pdf else ("png",):
            figure.savefig(FOLDER / f"{name}.{ending}", dpi=160)
            print(FOLDER / f"{name}.{ending}")


if __name__ == "__main__":
    main()
