"""The metrics of a board at a glance: the main ones with intervals, and all of them as a heat map."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from cfbench.board.rules import SECONDS
from cfbench.report.axes import ROW, mark, name_rows, new_figure, verbatim, wrapped
from cfbench.report.captions import caption
from cfbench.report.scene import CLOSENESS, Estimate, LeftOut, Plate, Scene, is_higher_better
from cfbench.report.style import REFERENCE, SMALL
from cfbench.stats import Floats

ACROSS = 3
"""Panels beside each other."""

TITLE = 13
"""Characters of a line above a panel."""


def overview(scene: Scene) -> Plate | LeftOut:
    """The metrics that the board keeps a query or judges by, a panel each, rows in the order of the board."""
    title = "Main metrics"
    rules = scene.rules
    names = scene.scored(name for name in (rules.headline, *rules.columns, *rules.pareto, CLOSENESS) if name != SECONDS)
    if not names:
        return LeftOut("overview", title, "no row has a value of the metrics that the board keeps")
    down = -(-len(names) // ACROSS)
    figure = new_figure(down * (ROW * len(scene.items) + 0.54))
    panels = figure.subplots(down, ACROSS, squeeze=False)
    for panel, name in zip(panels.flat, names, strict=False):
        for position, item in enumerate(scene.items):
            if found := item.estimate(name):
                mark(panel, item.style, found, Estimate(position))
        name_rows(panel, scene.items)
        panel.set_title(wrapped(scene.head(name), TITLE), fontsize=SMALL + 0.5)
        panel.margins(x=0.1)
        panel.xaxis.set_major_locator(MaxNLocator(2, min_n_ticks=2))
    for panel in panels[:, 1:].flat:
        panel.tick_params(labelleft=False)
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    what = "Means over all queries, failed ones counted as unchanged; arrows point to the better side."
    data = scene.table(scene.items, names)
    return Plate("overview", title, caption(scene, what, scene.items), data, figure)


def metrics(scene: Scene) -> Plate | LeftOut:
    """All metrics that the board shows, coloured from the worst of its rows to the best."""
    import seaborn

    title = "All metrics"
    names = [name for name in scene.rules.metrics if any(item.estimate(name) for item in scene.whole)]
    if not names or len(scene.whole) < 2:
        return LeftOut("metrics", title, "it compares complete rows, and there are fewer than two")
    data = scene.table(scene.whole, names)
    values = data["value"].to_numpy().reshape(len(scene.whole), len(names))
    places = np.stack([_places(column, name) for column, name in zip(values.T, names, strict=True)])
    figure = new_figure(0.105 * len(names) + 0.06 * max(len(item.label) for item in scene.whole) + 0.5)
    axis = figure.subplots()
    seaborn.heatmap(
        places,
        ax=axis,
        vmin=0,
        vmax=1,
        cmap="cividis",
        linewidths=0.3,
        xticklabels=[verbatim(item.label) for item in scene.whole],
        yticklabels=[verbatim(scene.head(name)) for name in names],
        cbar_kws={"shrink": 0.6, "ticks": [0, 1], "pad": 0.02, "aspect": 30},
    )
    axis.set(xlabel="", ylabel="", facecolor="#eeeeee")
    axis.tick_params(length=0, labelsize=SMALL - 0.5)
    axis.tick_params(axis="x", labelrotation=90)
    bar = axis.collections[0].colorbar
    assert bar is not None
    bar.ax.set_yticklabels(["worst", "best"])
    for tick, item in zip(axis.get_xticklabels(), scene.whole, strict=True):
        tick.set_color(REFERENCE if item.is_reference else "black")
    what = (
        "Each metric from the worst of these rows to the best, by its value and direction alone; grey: not scored. "
        "Near and sparse is whoever changes nothing, so read these beside the flip rate. Values, intervals and n are "
        "in the data file."
    )
    return Plate(
        "metrics",
        title,
        caption(scene, what, scene.whole, intervals=False, styled=False, absent="partial"),
        data,
        figure,
    )


def _places(values: Floats, name: str) -> Floats:
    """Where values lie between the worst (0) and the best (1) of them; halfway where all are equal."""
    low, high = np.nanmin(values), np.nanmax(values)
    shares = (values - low) / (high - low) if high > low else np.where(np.isnan(values), np.nan, 0.5)
    return np.asarray(shares if is_higher_better(name) else 1 - shares)
