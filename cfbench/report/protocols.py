"""Runs on altered queries: curves over corruptions, and what students learn from counterfactuals."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd

from cfbench.registry import METRICS, metric_of
from cfbench.report.axes import ROW, add_legend, legend_height, mark, name_rows, new_figure, verbatim, wrapped
from cfbench.report.captions import caption
from cfbench.report.scene import COLUMNS, Estimate, Item, LeftOut, Plate, Scene, facts
from cfbench.report.style import REFERENCE, SMALL

TITLE = 16
"""Characters of a line beside a panel."""

ALONE, OWN = "queries", "counterfactuals"
"""What students are taught with, see :meth:`cfbench.boundary.Teaching.sets`; the others are compared with these."""

OTHERS = "not run on altered queries"

BASELINES = ("|", "x", "+", "1", "2")
"""Markers of the parts of a score that are not about counterfactuals."""


def corruption(scene: Scene) -> Plate | LeftOut:
    """Each metric of the protocol ``corruption`` over the severities of each corruption, and its mean over all."""
    title = "Corruption curves"
    found = _parts(scene, "corruption")
    if not found:
        return _not_run("corruption", title, "corruption")
    data = pd.DataFrame(
        [
            (*facts(scene.board, item), metric, kind, int(severity), value)
            for (metric, item), parts in _pairs(found)
            for kind, _, severity in (name.rpartition("-") for name in parts)
            for value in [parts[f"{kind}-{severity}"]]
        ],
        columns=[*COLUMNS[:7], "corruption", "severity", "value"],
    )
    kinds, drawn = list(dict.fromkeys(data["corruption"])), _drawn(scene, found)
    figure = new_figure(1.0 * len(found) + 0.25 + legend_height(drawn))
    panels = figure.subplots(
        len(found),
        len(kinds) + 1,
        sharey="row",
        squeeze=False,
        gridspec_kw={"width_ratios": [1.0] * len(kinds) + [0.6]},
    )
    for (row, each), (column, kind) in product(enumerate(found.values()), enumerate(kinds)):
        panel = panels[row, column]
        for item, parts in each.items():
            curve = sorted((int(n.rpartition("-")[2]), v) for n, v in parts.items() if n.rpartition("-")[0] == kind)
            x, y = zip(*curve, strict=True)
            panel.plot(x, y, **item.style.marks | {"linestyle": "-", "linewidth": 0.8, "markersize": 2.5})
        panel.set_xticks(sorted(set(data["severity"])))
        panel.tick_params(labelbottom=row == len(found) - 1, labelleft=column == 0)
        panel.set_title(kind if row == 0 else "", fontsize=SMALL + 0.5)
        panel.grid(axis="y")
    for row, (metric, each) in enumerate(found.items()):
        for position, item in enumerate(each):
            if whole := item.estimate(metric):
                mark(panels[row, -1], item.style, Estimate(position), whole)
        panels[row, 0].set_ylabel(wrapped(scene.label(metric), TITLE), fontsize=SMALL + 0.5)
        panels[row, -1].set(xticks=[], xlim=(-1, len(each)))
        panels[row, -1].grid(axis="y")
        panels[row, -1].tick_params(labelleft=False)
        panels[row, -1].set_title("mean" if row == 0 else "", fontsize=SMALL + 0.5)
    panels[-1, len(kinds) // 2].set_xlabel("severity")
    add_legend(figure, drawn)
    what = (
        "Queries corrupted at five severities and explained again: changes against the clean query, and the similarity "
        "with its counterfactual. Right: the mean over all corruptions; curves have no intervals of their own."
    )
    means = scene.table(drawn, [*found]).assign(corruption="mean")
    both = pd.concat([data, means]).astype({"severity": "Int64", "n": "Int64"})
    return Plate("corruption", title, caption(scene, what, drawn, absent=OTHERS), both, figure)


def boundary(scene: Scene) -> Plate | LeftOut:
    """The protocol ``boundary``: how often students agree with the classifier, by what they were taught with."""
    title = "Boundary learning"
    found = _parts(scene, "boundary")
    if not found:
        return _not_run("boundary", title, "boundary")
    metric, each = next(iter(found.items()))
    drawn = [*each]
    others = [ALONE, *sorted({name for parts in each.values() for name in parts} - {ALONE, OWN})]
    figure = new_figure(ROW * len(drawn) + 0.75)
    left, right = figure.subplots(1, 2, sharey=True)
    for position, (item, parts) in enumerate(each.items()):
        for name, marker in zip(others, BASELINES, strict=False):
            if name in parts:
                left.plot([parts[name]], [position], marker, color=REFERENCE, ms=4, mew=0.8)
        left.plot([parts[OWN]], [position], **item.style.marks)
        if gain := item.estimate(metric):
            mark(right, item.style, gain, Estimate(position))
    name_rows(left, drawn)
    right.grid(axis="y")
    right.axvline(0, color="black", lw=0.6)
    left.set_xlabel("agreement with the classifier ↑")
    right.set_xlabel(verbatim(scene.head(metric)))
    handles = [
        left.plot([], [], marker, color=REFERENCE, ms=4, mew=0.8, label=f"+ {name}" if at else name)[0]
        for at, (name, marker) in enumerate(zip(others, BASELINES, strict=False))
    ]
    handles += left.plot([], [], "o", color="black", ms=4, label=f"+ {OWN} (coloured)")
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handletextpad=0.1, columnspacing=0.8)
    what = (
        "Left: share of held-out real images on which small students say what the classifier says, taught with the "
        f"{ALONE} alone or with more: {', '.join(others[1:])} of the same norm, or the {OWN} of the row. Right: the "
        f"gain of the {OWN}; its interval is about other students and other real images."
    )
    lines = [
        (*facts(scene.board, item), metric, name, value)
        for item, parts in each.items()
        for name, value in parts.items()
    ]
    data = pd.DataFrame(lines, columns=[*COLUMNS[:7], "taught_with", "value"])
    gains = scene.table(drawn, [metric]).assign(taught_with="gain")
    both = pd.concat([data, gains]).astype({"n": "Int64"})
    return Plate("boundary", title, caption(scene, what, drawn, absent=OTHERS), both, figure)


def _not_run(name: str, title: str, protocol: str) -> LeftOut:
    return LeftOut(name, title, f"no record was made with --protocol {protocol}")


Parts = dict[str, dict[Item, Mapping[str, float]]]


def _parts(scene: Scene, protocol: str) -> Parts:
    """The parts of the scores of a protocol, means over seeds, by metric and row; of the newest version only."""
    found: Parts = {}
    for metric in (name for name in METRICS.names() if metric_of(name).protocol == protocol):
        rows: dict[Item, Mapping[str, float]] = {}
        scores = {item: item.score(metric) for item in scene.items}
        newest = max((score.version for score in scores.values() if score), default=0)
        for item, score in scores.items():
            if score is None or score.value is None or score.version < newest:
                continue
            each = [entry.record.scores[metric]["all"].details for entry in item.row.entries]
            details = [part for part in each if part]
            if len(details) == len(each) and len({frozenset(part) for part in details}) == 1:
                rows[item] = {name: float(np.mean([part[name] for part in details])) for name in sorted(details[0])}
        if rows:
            found[metric] = rows
    return found


def _pairs(found: Parts) -> list[tuple[tuple[str, Item], Mapping[str, float]]]:
    return [((metric, item), parts) for metric, rows in found.items() for item, parts in rows.items()]


def _drawn(scene: Scene, found: Parts) -> list[Item]:
    return [item for item in scene.items if any(item in rows for rows in found.values())]
