"""The overview in a browser: every method on every task by one score."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from browser import Watched

Open = Callable[..., Watched]

NAMES = "#across tbody .name"


def by_label(board: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    labels = {row["label"] for row in board["rows"]}
    return {label: [row for row in board["rows"] if row["label"] == label] for label in labels}


def median_place(board: dict[str, Any], rows: list[dict[str, Any]]) -> float | None:
    """The middle of each rank range; behind the last rank of the task for adversarial rows."""
    places = []
    for row in rows:
        if row["rank"]:
            places.append(sum(row["rank"]) / 2)
        elif row["status"] == "adversarial":
            places.append(1 + sum(other["task"] == row["task"] and bool(other["rank"]) for other in board["rows"]))
    return median(places) if places else None


def line(watched: Watched, label: str) -> list[str]:
    name = watched.page.get_by_role("button", name=label, exact=True)
    cells = watched.page.locator("#across tbody tr", has=name).locator("td").all_inner_texts()
    return [cell.split("\n")[0] for cell in cells]


def test_each_method_has_its_scores_on_all_tasks_and_its_median_place(visit: Open, board: dict[str, Any]) -> None:
    watched = visit("#view=overview")
    lines = by_label(board)
    assert sorted(watched.texts(NAMES)) == sorted(lines)
    places = {label: median_place(board, rows) for label, rows in lines.items()}
    shown = [places[label] for label in watched.texts(NAMES)]
    placed = [place for place in shown if place is not None]
    assert shown == sorted(placed) + [None] * (len(shown) - len(placed))
    for label, rows in lines.items():
        values = {row["task"]: row["scores"]["oracle_agreed_flip"]["value"] for row in rows}
        texts = line(watched, label)
        assert texts[0] == ("\N{EN DASH}" if places[label] is None else f"{places[label]:#.3g}")
        for task, text in zip(board["tasks"], texts[1:], strict=True):
            value = values.get(task["id"], "")
            assert text == (f"{value:#.3g}" if isinstance(value, float) else ("\N{EN DASH}" if value is None else ""))


@pytest.mark.parametrize(("label", "metric", "falling"), [("L1", "l1", False), ("Flip rate", "flip_rate", True)])
def test_the_head_of_a_task_sorts_by_the_score_chosen(
    visit: Open, board: dict[str, Any], label: str, metric: str, falling: bool
) -> None:
    task = board["tasks"][1]
    watched = visit("#view=overview")
    watched.page.locator("select[data-state=score]").select_option(label=label)
    watched.page.locator("#across thead").get_by_role("button", name=task["title"]).click()
    values = {row["label"]: row["scores"][metric]["value"] for row in board["rows"] if row["task"] == task["id"]}
    shown = [values.get(name) for name in watched.texts(NAMES)]
    given = [value for value in shown if value is not None]
    assert len(given) > 10
    assert shown == sorted(given, reverse=falling) + [None] * (len(shown) - len(given))
    again = visit(f"#{watched.page.url.partition('#')[2]}")
    assert again.texts(NAMES) == watched.texts(NAMES)


def test_the_best_is_tinted_most_and_references_not_at_all(visit: Open, board: dict[str, Any]) -> None:
    watched = visit("#view=overview&score=l1")
    task = board["tasks"][0]["id"]
    rows = [row for row in board["rows"] if row["task"] == task and row["scores"]["l1"]["value"] is not None]
    rows.sort(key=lambda row: row["scores"]["l1"]["value"])
    others = [row for row in rows if row["status"] != "reference"]
    shades = {row["label"]: 0 for row in rows if row["status"] == "reference"}
    shades |= {others[0]["label"]: 5, others[-1]["label"]: 0}
    for label, shade in shades.items():
        name = watched.page.get_by_role("button", name=label, exact=True)
        cell = watched.page.locator("#across tbody tr", has=name).locator("td").nth(1)
        assert f"shade-{shade}" in (cell.get_attribute("class") or "").split()


def test_a_number_leads_to_its_row_in_the_ranking(visit: Open, board: dict[str, Any]) -> None:
    row = next(row for row in board["rows"] if row["task"] == board["tasks"][1]["id"] and row["rank"])
    watched = visit("#view=overview")
    watched.page.get_by_role("button", name=f"{row['label']} on {board['tasks'][1]['title']}").click()
    assert watched.page.locator("#view-ranking").is_visible()
    assert watched.page.locator("select[data-state=task]").input_value() == row["task"]
    assert watched.texts("#table tr.row.lit .name") == [row["label"]]
    watched.page.go_back()
    assert watched.page.locator("#view-overview").is_visible()


def test_filters_hold_and_references_stay(visit: Open, board: dict[str, Any]) -> None:
    watched = visit("#view=overview&family=diffusion")
    kept = {row["label"] for row in board["rows"] if row["family"] == "diffusion" or row["status"] == "reference"}
    assert set(watched.texts(NAMES)) == kept
    watched.page.get_by_role("searchbox").fill("no such method")
    assert watched.page.get_by_text("No method is left by these filters.").is_visible()
