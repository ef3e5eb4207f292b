"""The headline by class: which changes from one class to another convince?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cfbench.markdown import printable
from cfbench.report.axes import new_figure, verbatim
from cfbench.report.captions import caption
from cfbench.report.scene import COLUMNS, Item, LeftOut, Plate, Scene, facts
from cfbench.report.style import REFERENCE, SMALL

ACROSS = 3
LONGEST = 11
"""Characters of a class name in the figure."""

FEW = 5
"""Queries below which a cell is marked."""


def classes(scene: Scene) -> Plate | LeftOut:
    """The mean headline of each pair of source and target class, a heat map a complete row."""
    title, headline = "Classes", scene.rules.headline
    drawn = [item for item in scene.whole if all(headline in entry.table for entry in item.row.entries)]
    if not drawn:
        return LeftOut("classes", title, f"no complete row has {headline} a query")
    cells = [_cells(scene, item) for item in drawn]
    data = pd.concat(cells, ignore_index=True)
    count = len(scene.classes) or 1 + int(data[["source", "target"]].to_numpy().max())
    names = [_name(scene, index) for index in range(count)]
    down = -(-len(drawn) // ACROSS)
    side = 0.88
    figure = new_figure(down * (side + 0.22) + 0.055 * max(map(len, names)) + 0.45)
    panels = figure.subplots(down, ACROSS, squeeze=False)
    for panel, item, each in zip(panels.flat, drawn, cells, strict=False):
        grid = each.pivot_table("value", "source", "target").reindex(range(count), axis=0).reindex(range(count), axis=1)
        image = panel.imshow(grid.to_numpy(dtype=np.float64), vmin=0, vmax=1, cmap="cividis", interpolation="nearest")
        few = each[each["n"] < FEW]
        panel.plot(few["target"], few["source"], ".", color="white", mec="black", mew=0.3, ms=2.5)
        panel.set(facecolor="#eeeeee", xticks=[], yticks=[])
        panel.set_title(verbatim(item.label), fontsize=SMALL, color=_colour(item))
        panel.spines[:].set_visible(False)
    named = {"fontsize": SMALL - 1 if count > 4 else SMALL}
    for panel in panels[:, 0]:
        panel.set_yticks(range(count), names, **named)
    for panel in panels[-1]:
        panel.set_xticks(range(count), names, rotation=90, **named)
    for position, panel in enumerate(panels.flat):
        panel.tick_params(length=0)
        panel.set_visible(position < len(drawn))
    bar = figure.colorbar(image, ax=panels, location="top", shrink=0.5, aspect=30, pad=0.01)
    bar.set_label(verbatim(scene.label(headline)))
    bar.outline.set_visible(False)
    figure.supylabel("class of the query", fontsize=7)
    figure.supxlabel("class asked for", fontsize=7)
    what = (
        f"Mean {scene.label(headline)} by the class of the query (down) and the class asked for (across), over "
        f"queries and seeds. Grey: no query asks for this; dotted: fewer than {FEW} queries. Numbers of queries are in "
        "the data file."
    )
    return Plate(
        "classes",
        title,
        caption(scene, what, drawn, intervals=False, styled=False, absent="partial or without values a query"),
        data,
        figure,
    )


def _colour(item: Item) -> str:
    return REFERENCE if item.is_reference else "black"


def _name(scene: Scene, index: int) -> str:
    name = printable(scene.classes[index]) if scene.classes else str(index)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _cells(scene: Scene, item: Item) -> pd.DataFrame:
    """Mean and number of queries of every pair of classes, over all seeds."""
    headline, entries = scene.rules.headline, item.row.entries
    tables = pd.concat([entry.table.reset_index()[["source", "target", headline]] for entry in entries])
    found = tables.astype({headline: np.float64}).groupby(["source", "target"])[headline].agg(["mean", "size"])
    found = found.reset_index().rename(columns={"mean": "value"})
    said: dict[str, Any] = dict(zip(COLUMNS, facts(scene.board, item), strict=False))
    for class_, name in (("source", "source_name"), ("target", "target_name")):
        known = scene.classes
        found[name] = [printable(known[at]) if known and 0 <= at < len(known) else "" for at in found[class_]]
    found["n"] = found.pop("size") // len(entries)
    return found.assign(**said, metric=headline)[
        [*said, "metric", "source", "target", "source_name", "target_name", "value", "n"]
    ]
