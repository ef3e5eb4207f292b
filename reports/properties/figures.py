"""Figures and thresholds of reports/properties.md, from the CSV files beside this script.

    python reports/properties/figures.py

``cfbench study`` on ``properties.toml`` and ``properties-stable.toml`` collects them; ``flipped.csv`` is made by
``strips.py``; the published records are in ``reports/board``. Writes ``trade-off.png``, ``fooled.png``, ``matrix.png``
and ``matrix.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from cfbench.markdown import markdown_table, number

FOLDER = Path(__file__).parent
OTHERS = {"digits": "mnist", "far": "fashion-mnist, targets any"}
"""Further parts, where they have been made, with their titles."""
BOARD = FOLDER.parent / "board" / "fashion-mnist@v1-near" / "metrics.csv"
"""Scores of the published records, which ``cfbench report`` writes."""

MADE = ("pgd", "wachter", "deep-inversion", "dip", "dip-loss", "disc")
REFERENCES = ("nearest-unlike", "identity", "noise", "quits", "prototype")
COLOURS = {
    "nearest-unlike": "#000000",
    "identity": "#999999",
    "noise": "#bbbbbb",
    "quits": "#e69f00",
    "prototype": "#a6761d",
    "pgd": "#d55e00",
    "wachter": "#cc79a7",
    "deep-inversion": "#56b4e9",
    "dip": "#009e73",
    "dip-loss": "#0072b2",
    "disc": "#5e3c99",
}
VERDICTS = {"met": ("✓", "#a6cee3"), "missed": ("✗", "#fdbf9f"), "open": ("?", "#e4e4e4"), "": ("", "#ffffff")}
"""Sign and colour of a verdict; none where there is no score."""


COUNTED = ("backwards",)
"""Metrics that are counted, not estimated: they have no interval and need none."""


@dataclass(frozen=True)
class Score:
    """A value with its 95 % interval, NaN where there is none, and how many queries it is over."""

    value: float
    low: float
    high: float
    n: int


class Scores:
    """Scores of a CSV file of one task."""

    def __init__(self, path: Path) -> None:
        table = pd.read_csv(path).dropna(subset="value")
        self._found = {
            (row.row, row.metric): Score(row.value, row.low, row.high, row.n) for row in table.itertuples(index=False)
        }

    def get(self, row: str, metric: str) -> Score | None:
        """The score of a row, if there is one."""
        return self._found.get((row, metric))

    def value(self, row: str, metric: str) -> float:
        """Its value."""
        return self._found[row, metric].value

    def rows(self) -> list[str]:
        """Rows that have scores."""
        return list(dict.fromkeys(row for row, _ in self._found))


@dataclass(frozen=True)
class Ask:
    """What a practitioner asks of a row: a metric at least or at most a limit, which may depend on the row."""

    title: str
    heading: str
    scores: Scores
    metric: str
    least: bool
    limit: Callable[[str], float]

    def verdict(self, row: str) -> str:
        """``met`` or ``missed`` where the whole interval is on one side; ``open`` also where there is no interval."""
        score = self.scores.get(row, self.metric)
        if score is None:
            return ""
        low, high = (score.value, score.value) if self.metric in COUNTED else (score.low, score.high)
        limit = self.limit(row)
        met, missed = (low >= limit, high < limit) if self.least else (high <= limit, low > limit)
        return "met" if met else "missed" if missed else "open"


def asks_of(core: Scores, stable: Scores | None = None) -> list[Ask]:
    """The thresholds of the page, most of them relative to reference rows of the same task."""

    def fixed(limit: float) -> Callable[[str], float]:
        return lambda row: limit

    def at_least(title: str, metric: str, limit: float) -> Ask:
        return Ask(title, _heading(metric, f"≥ {number(limit)}"), core, metric, True, fixed(limit))

    def at_most(title: str, metric: str, limit: float, scores: Scores = core) -> Ask:
        return Ask(title, _heading(metric, f"≤ {number(limit)}"), scores, metric, False, fixed(limit))

    def half(metric: str) -> float:
        return core.value("nearest-unlike", metric) / 2

    asks = [
        at_least("valid", "flip_rate", 0.95),
        at_least("meaningful", "oracle_agreed_flip", agreed_limit(core)),
        at_least("meaningful", "oracle_agreement_min", 0.5),
        at_most("realistic", "im1", 1),
        at_most("close", "l1", half("l1")),
        at_most("sparse", "sparsity", half("sparsity")),
    ]
    if core.get("identity", "kd"):  # sets of images need 100 of them
        kept, spread = core.value("identity", "kd"), half("coverage")
        asks[3:3] = [at_most("realistic", "kd", kept), at_least("realistic", "coverage", spread)]
    if stable is None:
        return asks
    return [
        *asks,
        at_least("sparse", "change_focus", core.value("noise", "change_focus")),
        at_most("stable", "stability", 2, stable),
        at_most("stable", "composition", 0.01, stable),
        Ask(
            "stable",
            _heading("seed_variance", "≤ l1 / 2"),
            stable,
            "seed_variance",
            False,
            lambda row: stable.value(row, "l1") / 2,
        ),
        at_most("affordable", "backwards", 100),
    ]


def _heading(metric: str, limit: str) -> str:
    return f"{metric}\n{limit}"


def agreed_limit(scores: Scores) -> float:
    """Midway between an attack and a real image."""
    attack, real = (scores.value(row, "oracle_agreed_flip") for row in ("pgd", "nearest-unlike"))
    return (attack + real) / 2


def matrix(asks: Sequence[Ask], rows: Sequence[str]) -> Figure:
    """Which row meets which threshold."""
    colours = [[to_rgb(VERDICTS[ask.verdict(row)][1]) for ask in asks] for row in rows]
    figure = Figure(figsize=(11.6, 0.3 * len(rows) + 1.0), layout="constrained")
    axis = figure.subplots()
    axis.imshow(colours, aspect="auto")
    for down, across in np.ndindex(len(rows), len(asks)):
        axis.text(across, down, _cell(asks[across], rows[down]), ha="center", va="center", fontsize=8)
    axis.set_xticks(range(len(asks)), [ask.heading.replace("oracle_", "oracle_\n") for ask in asks], fontsize=7)
    axis.set_yticks(range(len(rows)), rows, fontsize=9)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.set_xticks(np.arange(len(asks) - 1) + 0.5, minor=True)
    axis.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=1.5)
    axis.tick_params(which="minor", length=0)
    for title in dict.fromkeys(ask.title for ask in asks):
        places = [across for across, ask in enumerate(asks) if ask.title == title]
        high = axis.get_xaxis_transform()
        axis.text(float(np.mean(places)), 1.155, title, transform=high, ha="center", fontsize=10, fontweight="bold")
        axis.axvline(places[-1] + 0.5, color="black", linewidth=0.8)
    axis.axhline(len(MADE) - 0.5, color="black", linewidth=0.8)
    return figure


def _cell(ask: Ask, row: str) -> str:
    score = ask.scores.get(row, ask.metric)
    return f"{VERDICTS[ask.verdict(row)][0]} {number(score.value)}" if score else "-"


def matrix_table(title: str, asks: Sequence[Ask], rows: Sequence[str]) -> str:
    """The same as Markdown."""
    cells = [[f"`{row}`", *(_cell(ask, row) for ask in asks)] for row in rows]
    return f"## {title}\n\n" + markdown_table(["row", *(ask.heading.replace("\n", " ") for ask in asks)], cells)


def trade_off(tasks: Mapping[str, Scores]) -> Figure:
    """Oracle-agreed flips against L1, with the two thresholds of each task."""
    figure = Figure(figsize=(4.8 * len(tasks), 3.8), layout="constrained")
    axes = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axis, (task, scores) in zip(axes, tasks.items(), strict=True):
        _points(axis, scores, "l1", "oracle_agreed_flip", OFFSETS.get(task, {}))
        near, agreed = scores.value("nearest-unlike", "l1") / 2, agreed_limit(scores)
        axis.axvline(near, color="black", linewidth=0.8, linestyle=":")
        axis.axhline(agreed, color="black", linewidth=0.8, linestyle=":")
        axis.fill_between([-0.008, near], agreed, 1.03, color=VERDICTS["met"][1], alpha=0.35, linewidth=0)
        axis.text(-0.005, 1.01, "asked for", fontsize=8, va="top")
        axis.set(xlim=(-0.008, None), ylim=(-0.08, 1.03), xlabel="L1", ylabel="oracle-agreed flip")
        axis.set_title(task, fontsize=10)
    return figure


Offsets = Mapping[str, tuple[int, int]]
"""Where the label of a row stands, in points from its mark; to the right of it if not named."""

OFFSETS: dict[str, Offsets] = {
    "fashion-mnist": {
        "dip": (8, -9),
        "dip-loss": (-4, -14),
        "disc": (-7, 6),
        "identity": (3, -11),
        "noise": (6, -3),
        "pgd": (-6, 3),
    },
    "mnist": {"disc": (-7, 6), "dip-loss": (7, -12), "nearest-unlike": (-8, 6)},
    "fashion-mnist, targets any": {"nearest-unlike": (-8, 6)},
    "kd": {
        "dip": (12, -8),
        "dip-loss": (-8, -11),
        "disc": (5, 8),
        "nearest-unlike": (2, 12),
        "identity": (-5, 5),
        "noise": (6, -9),
    },
    "coverage": {
        "dip": (-6, 3),
        "dip-loss": (6, -9),
        "pgd": (-6, 3),
        "deep-inversion": (-6, 4),
        "wachter": (-6, -12),
        "noise": (5, -22),
        "quits": (-5, -12),
        "identity": (5, 5),
        "nearest-unlike": (5, 16),
    },
}


def _points(axis: Axes, scores: Scores, across: str, up: str, offsets: Offsets) -> None:
    """A mark with intervals and a name for every row that has both metrics."""
    for row in scores.rows():
        x, y = scores.get(row, across), scores.get(row, up)
        if x is None or y is None:
            continue
        colour = COLOURS[row]
        axis.plot([x.low, x.high], [y.value] * 2, color=colour, linewidth=1.2, zorder=2)
        axis.plot([x.value] * 2, [y.low, y.high], color=colour, linewidth=1.2, zorder=2)
        axis.plot(x.value, y.value, "o" if row in MADE else "s", color=colour, markersize=5.5, zorder=3)
        shift = offsets.get(row, (6, 3))
        side = "right" if shift[0] < 0 else "left"
        place = (x.value, y.value)
        axis.annotate(row, place, xytext=shift, textcoords="offset points", fontsize=7.5, color=colour, ha=side)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def fooled(core: Scores, flipped: pd.DataFrame) -> Figure:
    """Three metrics that are fooled: a mean over survivors, a distance between sets, precision."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    quitting, sets, copies = figure.subplots(1, 3)
    _survivors(quitting, core, flipped)
    _points(sets, core, "kd", "oracle_agreed_flip", OFFSETS["kd"])
    sets.axvline(core.value("identity", "kd"), color="black", linewidth=0.8, linestyle=":")
    sets.set(xlabel="kd (lower: more like real images)", ylabel="oracle-agreed flip", ylim=(-0.05, 1.03))
    sets.set_title("b  near to real images, without meaning", fontsize=9, loc="left")
    _points(copies, core, "coverage", "precision", OFFSETS["coverage"])
    copies.set(xlabel="coverage", ylabel="precision", xlim=(0, 0.68), ylim=(0.79, 1.02))
    copies.set_title("c  every image real, all of them the same", fontsize=9, loc="left")
    return figure


def _survivors(axis: Axes, core: Scores, flipped: pd.DataFrame) -> None:
    """L1 of all and of flipped queries."""
    rows = ["nearest-unlike", "quits"]
    over = flipped[flipped["metric"] == "l1"].set_index("row")
    for place, row in enumerate(rows):
        every, some = core.get(row, "l1"), over.loc[row]
        assert every is not None
        for shift, score, name in ((-0.16, every, "all"), (0.16, some, "flipped")):
            axis.barh(place + shift, score.value, 0.28, color=COLOURS[row], alpha=1 if name == "all" else 0.45)
            axis.plot([score.low, score.high], [place + shift] * 2, color="#666666", linewidth=1.2)
            axis.text(score.high + 0.002, place + shift, f"{name}, n = {score.n}", fontsize=7.5, va="center")
    rates = [f"{row}\nflip rate {number(core.value(row, 'flip_rate'))}" for row in rows]
    axis.set_yticks(range(len(rows)), rates, fontsize=8)
    axis.set(xlabel="L1", ylim=(len(rows) - 0.4, -0.6), xlim=(0, 0.155))
    axis.set_title("a  giving up makes a mean better", fontsize=9, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def main() -> None:
    files = {part: FOLDER / f"{part}.csv" for part in ("core", "stable", *OTHERS)}
    parts = {part: Scores(path) for part, path in files.items() if path.is_file()}
    core, others = parts["core"], {OTHERS[part]: scores for part, scores in parts.items() if part in OTHERS}
    asks, rows = asks_of(core, parts["stable"]), [*MADE, *REFERENCES]
    tables = [matrix_table("fashion-mnist", asks, rows)]
    tables += [matrix_table(title, asks_of(scores), scores.rows()) for title, scores in others.items()]
    board = Scores(BOARD)
    published = asks_of(board, parts["stable"])
    title = "fashion-mnist, the published records (stability of 50 queries)"
    tables.append(matrix_table(title, published, board.rows()))
    (FOLDER / "matrix.md").write_text("\n".join(["# Which row meets which threshold\n", *tables]), encoding="utf-8")
    figures = {
        "trade-off": trade_off({"fashion-mnist": core} | others),
        "fooled": fooled(core, pd.read_csv(FOLDER / "flipped.csv")),
        "matrix": matrix(asks, rows),
    }
    for name, figure in figures.items():
        figure.savefig(FOLDER / f"{name}.png", dpi=150)


if __name__ == "__main__":
    main()
