"""Contact sheets: the same fixed queries for every row of a board."""

from __future__ import annotations

import textwrap

import pandas as pd

from cfbench.board.gallery import gallery_of, pictures_of
from cfbench.figures import contact_sheet
from cfbench.markdown import printable
from cfbench.report.axes import verbatim
from cfbench.report.captions import caption
from cfbench.report.scene import COLUMNS, LeftOut, Plate, Scene, facts
from cfbench.report.style import COLUMN, SMALL

LEGIBLE = 0.058
"""Inches of a character of a row's name."""

WRAP = 9
"""Characters of a line below a picture."""


def sheet(scene: Scene) -> Plate | LeftOut:
    """The gallery's queries and what each row made of them."""
    title = "Contact sheet"
    if scene.dataset is None:
        return LeftOut("sheet", title, "this release does not know the data set")
    if not scene.dataset.shareable:
        return LeftOut("sheet", title, "pictures of this data set may not be published")
    gallery = gallery_of(scene.board, scene.dataset)
    drawn = [item for item in scene.items if item.row.entries[0].gallery is not None]
    if gallery is None or not drawn:
        return LeftOut("sheet", title, "no record has pictures of the queries that are here")
    rows = {"query": gallery.queries}
    for item in drawn:
        rows[verbatim(item.label)] = pictures_of(item.row.entries[0], gallery.queries)
    names = scene.classes
    captions = [
        "\n".join(textwrap.wrap(printable(f"{names[source]} → {names[target]}"), WRAP, break_long_words=False))
        for source, target in zip(gallery.sources, gallery.targets, strict=True)
    ]
    widest = max(len(item.label) for item in drawn)
    figure = contact_sheet(
        rows,
        title="",
        columns=len(gallery.ids),
        captions=[verbatim(each) for each in captions],
        inches=COLUMN - max(0.5, LEGIBLE * widest) - 0.15,
        fontsize=SMALL,
    )
    figure.set_figwidth(COLUMN)
    longest = max(len(word) for text in captions for word in text.split())
    for text in figure.axes[0].get_xticklabels():
        text.set_fontsize((SMALL - 1.5) * min(1, WRAP / longest))
    what = "Fixed queries, evenly spaced over the split, and the stored 8-bit counterfactuals of the first seed."
    data = pd.DataFrame(
        [
            (*facts(scene.board, item), query, source, target, bool(flipped))
            for item in drawn
            for query, source, target in zip(gallery.ids, gallery.sources, gallery.targets, strict=True)
            for flipped in [item.row.entries[0].table["flipped"].get((query, target))]
        ],
        columns=[*COLUMNS[:6], "query_id", "source", "target", "flipped"],
    )
    return Plate(
        "sheet",
        title,
        caption(scene, what, drawn, intervals=False, styled=False, absent="without pictures"),
        data,
        figure,
    )
