"""Rows of one method that differ in one parameter: how scores move with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cfbench.board.rules import SECONDS
from cfbench.files import canonical_json
from cfbench.markdown import printable
from cfbench.report.axes import mark, new_figure, verbatim
from cfbench.report.captions import caption
from cfbench.report.scene import Estimate, Item, LeftOut, Plate, Scene
from cfbench.report.style import SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 10
"""Characters of a value that is no number."""

DASHES = ("-", "--", ":", "-.")

GREATEST = 1e100
"""Numbers above it are taken for names."""

DECADES = 10.0
"""Greatest over least value from which on a positive parameter has a logarithmic axis."""


@dataclass(frozen=True)
class Curve:
    """Rows of a method that differ in ``parameter`` alone, by its values."""

    parameter: str
    items: tuple[Item, ...]

    @property
    def values(self) -> list[Any]:
        """Of the parameter."""
        return [item.row.record.key.parameters[self.parameter] for item in self.items]


def ablations(scene: Scene) -> Iterator[Plate | LeftOut]:
    """A figure a method of which the board has rows that differ in one parameter."""
    methods: defaultdict[str, list[Item]] = defaultdict(list)
    for item in scene.items:
        methods[item.row.record.key.method].append(item)
    names = scene.scored(name for name in scene.rules.pareto if name != SECONDS)
    found = {method: curves for method, items in methods.items() if (curves := _curves(items))}
    if not found or not names:
        yield LeftOut("ablation", "Ablations", "no two rows of a method differ in one parameter alone")
        return
    for method, curves in found.items():
        yield _plate(scene, method, curves, names)


def _curves(items: Sequence[Item]) -> list[Curve]:
    """All curves of two values or more; those of one parameter follow each other."""
    found: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        key = item.row.record.key
        for name in key.parameters:
            rest = {other: value for other, value in key.parameters.items() if other != name}
            same = [rest, key.method_version, item.row.record.queries.done, item.row.status == "partial" and key.seed]
            found[name, canonical_json(same)].append(item)
    return [Curve(name, _ordered(name, each)) for (name, _), each in sorted(found.items()) if len(each) > 1]


def _ordered(name: str, items: Sequence[Item]) -> tuple[Item, ...]:
    """By the value of a parameter; numbers by size, else in the order of the board."""
    values = {item: item.row.record.key.parameters[name] for item in items}
    return tuple(sorted(items, key=values.__getitem__) if all(map(_is_number, values.values())) else items)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < GREATEST


def _plate(scene: Scene, method: str, curves: Sequence[Curve], names: Sequence[str]) -> Plate:
    parameters = list(dict.fromkeys(curve.parameter for curve in curves))
    drawn = [item for item in scene.items if any(item in curve.items for curve in curves)]
    words = {curve.parameter for curve in curves if not all(map(_is_number, curve.values))}
    figure = new_figure(1.05 * len(parameters) + 0.45 * len(words) + 0.2)
    panels = figure.subplots(len(parameters), len(names), squeeze=False)
    for row, parameter in zip(panels, parameters, strict=True):
        mine = [curve for curve in curves if curve.parameter == parameter]
        places = _places(mine)
        for panel, name in zip(row, names, strict=True):
            for dash, curve in enumerate(mine):
                points = [
                    (places[canonical_json(v)], e, item)
                    for v, item in zip(curve.values, curve.items, strict=True)
                    if (e := item.estimate(name))
                ]
                style = curve.items[0].style
                panel.plot(
                    [x for x, *_ in points],
                    [e.value for _, e, _ in points],
                    DASHES[dash % len(DASHES)],
                    color=style.colour,
                    lw=0.8,
                )
                for x, estimate, item in points:
                    mark(panel, item.style, Estimate(x), estimate)
            _name_values(panel, mine, places)
            panel.set_xlabel(verbatim(printable(parameter)))
            panel.grid(axis="y")
            panel.margins(y=0.12)
    for panel, name in zip(panels[0], names, strict=True):
        panel.set_title(verbatim(scene.head(name)), fontsize=SMALL + 0.5)
    figure.suptitle(verbatim(printable(method)), fontsize=7)
    what = (
        f"{printable(method)}: rows that differ in the parameter below a panel and in nothing else, joined; dashes "
        "tell curves with other values of the other parameters apart."
    )
    data = scene.table(drawn, names)
    return Plate(
        f"ablation-{method}", f"Ablation of {printable(method)}", caption(scene, what, drawn, absent=""), data, figure
    )


def _places(curves: Sequence[Curve]) -> dict[str, float]:
    """Where on the axis each value of a parameter lies: at itself, or one after the other where some are no numbers."""
    values = [value for curve in curves for value in curve.values]
    if all(map(_is_number, values)):
        return {canonical_json(value): float(value) for value in values}
    return {text: float(place) for place, text in enumerate(dict.fromkeys(map(canonical_json, values)))}


def _name_values(panel: Axes, curves: Sequence[Curve], places: dict[str, float]) -> None:
    """Label the axis of a parameter."""
    values = [value for curve in curves for value in curve.values]
    if not all(map(_is_number, values)):
        shown = {canonical_json(value): value if isinstance(value, str) else canonical_json(value) for value in values}
        names = [printable(shown[text]) for text in places]
        cut = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
        panel.set_xticks(list(places.values()), [verbatim(name) for name in cut], rotation=90)
        panel.set_xlim(-0.5, len(places) - 0.5)
    elif min(values) > 0 and max(values) / min(values) >= DECADES:
        panel.set_xscale("log")
        panel.minorticks_off()
        panel.set_xticks(sorted(set(values)), [f"{value:g}" for value in sorted(set(values))])
