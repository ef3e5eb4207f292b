"""Who is told apart: rank intervals, and the gap between flips and what others see."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from cfbench.report.axes import ROW, mark, name_rows, new_figure, verbatim
from cfbench.report.captions import caption
from cfbench.report.scene import Estimate, LeftOut, Plate, Scene

FLIPS = "flip_rate"
AGREEMENT = "oracle_agreement"
"""The two between which the adversarial gap lies."""


def ranks(scene: Scene) -> Plate | LeftOut:
    """Ranks that the board's tests leave open, beside the headline that they are of."""
    title, headline = "Rank intervals", scene.rules.headline
    drawn = [item for item in scene.items if item.row.rank]
    if not drawn:
        reasons = list(dict.fromkeys(item.row.reason for item in scene.items if item.row.reason))
        return LeftOut("ranks", title, f"no row is ranked: {'; '.join(reasons) or 'there are only references'}")
    figure = new_figure(ROW * len(drawn) + 0.5)
    left, right = figure.subplots(1, 2, sharey=True)
    for position, item in enumerate(drawn):
        low, high = item.row.rank or (0, 0)
        left.plot((low - 0.25, high + 0.25), (position, position), color=item.style.colour, lw=4, alpha=0.35)
        middle = (low + high) / 2
        mark(left, item.style, Estimate(middle), Estimate(position))
        if found := item.estimate(headline):
            mark(right, item.style, found, Estimate(position))
    name_rows(left, drawn)
    right.grid(axis="y")
    right.tick_params(axis="y", length=0)
    left.set_xlim(0.4, len(drawn) + 0.6)
    left.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    left.set_xlabel("rank ↓")
    right.set_xlabel(verbatim(scene.head(headline)))
    right.xaxis.set_major_locator(MaxNLocator(4))
    gate = next((item for item in scene.items if item.row.refers_to(scene.rules.gate)), None)
    level = gate and gate.estimate(headline)
    if gate and level:
        right.axvline(level.value, color=gate.style.colour, lw=0.7, ls=":")
    what = (
        f"Left: best to worst rank that paired, Holm-corrected tests of {scene.label(headline)} on all queries leave "
        f"open, the mark in the middle. Right: {scene.label(headline)}; dotted: the attack {scene.rules.gate}, which a "
        "row must beat beyond chance to be ranked."
    )
    data = scene.table(drawn, [headline])
    for name, values in (
        ("rank_best", [item.row.rank and item.row.rank[0] for item in drawn]),
        ("rank_worst", [item.row.rank and item.row.rank[1] for item in drawn]),
        ("group", [item.row.group for item in drawn]),
    ):
        data[name] = values
    return Plate("ranks", title, caption(scene, what, drawn, absent="not ranked"), data, figure)


def gap(scene: Scene) -> Plate | LeftOut:
    """Flip rate beside oracle agreement, row by row: what lies between them is adversarial."""
    title = "Adversarial gap"
    drawn = [item for item in scene.items if item.estimate(FLIPS) and item.estimate(AGREEMENT)]
    if not drawn:
        return LeftOut("gap", title, f"no row has both {FLIPS} and {AGREEMENT}")
    figure = new_figure(ROW * len(drawn) + 0.45)
    axis = figure.subplots()
    for position, item in enumerate(drawn):
        flips, seen = item.estimate(FLIPS), item.estimate(AGREEMENT)
        if flips and seen:
            ends = (flips.value, seen.value)
            axis.plot(ends, (position, position), color=item.style.colour, lw=2.5, alpha=0.25, zorder=1)
            mark(axis, item.style, seen, Estimate(position))
            axis.plot(flips.interval or (), [position] * 2 if flips.interval else (), color="black", lw=0.7, zorder=4)
            axis.plot([flips.value], [position], "|", color="black", markersize=6, zorder=4)
    name_rows(axis, drawn)
    axis.set_xlim(-0.02, 1.02)
    axis.set_xlabel("share of all queries")
    what = (
        f"Black strokes: {scene.label(FLIPS)}. Marks: {scene.label(AGREEMENT)}, the mean over the oracles. The band "
        "between them is the share of flips that the classifier sees and the oracles do not."
    )
    data = scene.table(drawn, [FLIPS, AGREEMENT])
    data["gap"] = np.repeat(data["value"].to_numpy()[::2] - data["value"].to_numpy()[1::2], 2)
    return Plate("gap", title, caption(scene, what, drawn), data, figure)
