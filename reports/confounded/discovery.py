"""Do counterfactuals show that a classifier relies on a mark? Records of the confounded tasks, side by side.

    python reports/confounded/discovery.py

The four tasks ``shapes-confounded-*`` differ in one thing: how often the classifier, in training, saw a corner mark go
along with the first class. Writes ``reports/confounded/discovery.md`` and ``discovery.png`` of the methods that have
a record on all four.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import seaborn
from matplotlib.figure import Figure

from cfbench.board.entries import Entry
from cfbench.discovery import clever_hans
from cfbench.markdown import markdown_table, number
from cfbench.registry import load_dataset
from cfbench.report.records import read_all
from cfbench.report.style import DPI, theme

FOLDER = Path(__file__).parent
RECORDS = FOLDER.parents[1] / "leaderboard" / "records"
DOSES = (0, 50, 90, 99)
HEAD = """# Share of flips that move the mark, by how often it told the class in training

500 test queries each, targets `near`, seed 0. AUROC: chance that the rate of a confounded classifier is above that of
the clean one, ties half; error: mean absolute difference to the measured reliance (`cfbench.discovery.clever_hans`).
The last columns are the share of (query, oracle) pairs in which classifier and oracle both see the target.
Made by `python reports/confounded/discovery.py`.
"""
SHOWN = 6
"""Methods with a line of their own in the figure."""


@dataclass(frozen=True)
class Found:
    """A method's share of flips that move the mark, and of flips that oracles confirm, by dose."""

    name: str
    rates: tuple[float, ...]
    agreed: tuple[float, ...]


def value(entry: Entry, metric: str) -> float:
    """A score over the flipped queries where it is given for them, 0 where nothing flipped."""
    scores = entry.record.scores[metric]
    score = scores.get("flipped") or scores["all"]
    return score.value or 0.0


def found() -> list[Found]:
    entries: dict[str, dict[int, Entry]] = {}
    for dose in DOSES:
        for entry in read_all(sorted((RECORDS / f"shapes-confounded-{dose}@v1-near").iterdir())):
            entries.setdefault(entry.record.key.method, {})[dose] = entry
    return [
        Found(
            name,
            tuple(value(by_dose[dose], "discovery_rate") for dose in DOSES),
            tuple(value(by_dose[dose], "oracle_agreed_flip") for dose in DOSES),
        )
        for name, by_dose in entries.items()
        if len(by_dose) == len(DOSES)
    ]


def draw(rows: list[Found], reliances: list[float]) -> Figure:
    with theme():
        figure = Figure(figsize=(4.6, 2.5), layout="constrained")
        axis = figure.subplots()
        places = range(len(DOSES))
        axis.plot(places, reliances, color="black", linestyle="--", linewidth=1.2, label="measured reliance")
        colours = seaborn.color_palette("colorblind", SHOWN)
        for row, colour, marker in zip(rows[:SHOWN], colours, "osD^vP", strict=False):
            axis.plot(places, row.rates, color=colour, marker=marker, markersize=4, linewidth=1.2, label=row.name)
        for row in rows[SHOWN:]:
            axis.plot(places, row.rates, color="#bbbbbb", linewidth=0.7, zorder=0)
        axis.set_xticks(places, [f"{dose} %" for dose in DOSES])
        axis.set_xlabel("how often the mark told the class in training")
        axis.set_ylabel("share of flips that move the mark")
        axis.plot([], [], color="#bbbbbb", linewidth=0.7, label="all others")
        axis.legend(fontsize=6, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        seaborn.despine(figure)
    return figure


def main() -> None:
    qualities = [load_dataset(f"shapes-confounded-{dose}").entry("classifier").quality for dose in DOSES]
    reliances = [quality["reliance"] for quality in qualities]
    rows = sorted(found(), key=lambda row: (-row.rates[-1], row.name))
    lines = []
    for row in rows:
        hans = clever_hans(row.rates, reliances, [dose > 0 for dose in DOSES])
        rates = [number(each) for each in row.rates]
        lines.append([f"`{row.name}`", *rates, number(hans.auroc), number(hans.error), *map(number, row.agreed)])
    heads = ["method", *(f"mark moved, {dose} %" for dose in DOSES), "AUROC", "error"]
    reliance = ["classifier's measured reliance", *map(number, reliances), *[""] * (2 + len(DOSES))]
    table = markdown_table([*heads, *(f"agreed, {dose} %" for dose in DOSES)], [reliance, *lines])
    draw(rows, reliances).savefig(FOLDER / "discovery.png", dpi=DPI)
    (FOLDER / "discovery.md").write_text(f"{HEAD}\n{table}")
    print(FOLDER / "discovery.md")


if __name__ == "__main__":
    main()
