"""What convincing costs: the headline against distance, realism, time and passes through networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from cfbench.board.rules import SECONDS
from cfbench.board.significance import pareto_front
from cfbench.registry import metric_of
from cfbench.report.axes import add_legend, legend_height, mark, new_figure, verbatim
from cfbench.report.captions import caption
from cfbench.report.scene import Estimate, Item, LeftOut, Plate, Scene, is_higher_better

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = 1.55
"""Inches that a panel is high."""

PASSES = "passes"


def pareto(scene: Scene) -> Plate | LeftOut:
    """The headline against each other criterion of the board's Pareto front but the cost, with the front of the two."""
    title, headline = "Pareto fronts", scene.rules.headline
    names = scene.scored(name for name in scene.rules.pareto if name not in (headline, SECONDS))
    drawn = [item for item in scene.items if item.estimate(headline) and any(map(item.estimate, names))]
    if not drawn:
        return LeftOut("pareto", title, "no row has both the headline and another criterion of the Pareto front")
    figure = new_figure(PANEL + legend_height(drawn))
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    on_fronts = {name: _front(scene, name) for name in names}
    for panel, name in zip(panels, names, strict=True):
        for item in drawn:
            x, y = item.estimate(name), item.estimate(headline)
            if x and y:
                if item.row.pareto:
                    panel.plot([x.value], [y.value], "o", markersize=8, mfc="none", mec="black", mew=0.5, zorder=1)
                mark(panel, item.style, x, y)
        _stairs(
            panel, [(x.value, y.value) for item in on_fronts[name] for x, y in [_point(item, name, headline)]], name
        )
        panel.set_xlabel(verbatim(scene.head(name)))
        panel.xaxis.set_major_locator(MaxNLocator(4))
    panels[0].set_ylabel(verbatim(scene.head(headline)))
    panels[0].set_ylim(-0.03, 1.03)
    add_legend(figure, drawn)
    ringed = ", ".join(scene.label(name) for name in scene.rules.pareto)
    what = (
        "Dashed: the front of the two criteria of a panel among ranked rows. Ringed: on the board's front, over all of "
        f"{ringed}. Both by the values themselves, whatever their intervals."
    )
    data = scene.table(drawn, [headline, *names])
    each = 1 + len(names)
    for name in names:
        data[f"front_{name}"] = np.repeat([item in on_fronts[name] for item in drawn], each)
    data["front_of_board"] = np.repeat([item.row.pareto for item in drawn], each)
    return Plate("pareto", title, caption(scene, what, drawn), data, figure)


def _front(scene: Scene, name: str) -> list[Item]:
    """Ranked rows on the front of the headline and one criterion."""
    ranked = [item for item in scene.items if item.row.status == "ranked"]
    criteria = (scene.rules.headline, name)
    signs = [-1 if is_higher_better(each) else 1 for each in criteria]
    costs = np.array(
        [[sign * item.row.value(each) for each, sign in zip(criteria, signs, strict=True)] for item in ranked]
    )
    kept = pareto_front(costs.reshape(len(ranked), 2))
    return [item for item, on_front in zip(ranked, kept, strict=True) if on_front]


def _point(item: Item, x: str, y: str) -> tuple[Estimate, Estimate]:
    found = item.estimate(x), item.estimate(y)
    assert found[0] is not None
    assert found[1] is not None
    return found[0], found[1]


def _stairs(panel: Axes, points: Sequence[tuple[float, float]], name: str) -> None:
    """The front as stairs: what lies on their bad side is beaten."""
    if len(points) > 1:
        x, y = zip(*sorted(points), strict=True)
        panel.step(x, y, where="pre" if is_higher_better(name) else "post", color="#888888", ls="--", lw=0.7, zorder=1)


def cost(scene: Scene) -> Plate | LeftOut:
    """The headline against the seconds and the passes through networks that a query takes."""
    title, headline = "Cost and quality", scene.rules.headline
    timed = [item for item in scene.items if item.estimate(headline) and (item.row.seconds or 0) > 0]
    counted = [item for item in scene.items if item.estimate(headline) and _passes(scene, item) is not None]
    drawn = [item for item in scene.items if item in timed or item in counted]
    if not drawn:
        return LeftOut("cost", title, "no row has both the headline and a known cost")
    figure = new_figure(PANEL + legend_height(drawn))
    panels = figure.subplots(1, 2, sharey=True)
    for item in timed:
        mark(panels[0], item.style, *_point(item, SECONDS, headline))
    for item in counted:
        y, passes = item.estimate(headline), _passes(scene, item)
        if y and passes is not None:
            mark(panels[1], item.style, Estimate(passes), y)
    panels[0].set_xscale("log")
    panels[1].set_xscale("symlog", linthresh=1)
    for panel, label in zip(panels, ("seconds a query ↓", "passes a query ↓"), strict=True):
        panel.set_xlabel(label)
        panel.minorticks_off()
        panel.margins(x=0.1)
    panels[1].set_xlim(-0.3, 2 * max([_passes(scene, item) or 1.0 for item in counted], default=1.0))
    panels[0].set_ylabel(verbatim(scene.head(headline)))
    panels[0].set_ylim(-0.03, 1.03)
    add_legend(figure, drawn)
    devices = sorted({item.row.record.cost.device for item in timed if item.row.record.cost})
    counts = ", ".join(scene.label(name) for name in _counts(scene))
    what = (
        f"Seconds without set-up, as measured on {' and '.join(devices) or 'no known device'}, mean over seeds: "
        f"machines differ, so that passes are the better comparison. Passes: {counts}, added up; the axis is linear "
        "below 1."
    )
    data = scene.table(drawn, [headline, SECONDS, *_counts(scene)])
    return Plate("cost", title, caption(scene, what, drawn), data, figure)


def _counts(scene: Scene) -> list[str]:
    """The metrics that count passes."""
    return [name for name in scene.scored(scene.rules.metrics) if metric_of(name).family == "cost"]


def _passes(scene: Scene, item: Item) -> float | None:
    """Passes through networks a query; None where one of the counts is missing."""
    found = [item.estimate(name) for name in _counts(scene)]
    values = [each.value for each in found if each]
    return sum(values) if found and len(values) == len(found) else None
