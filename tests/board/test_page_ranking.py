"""The table and the plot in a browser: order, filters, links between the two, keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser import Watched

Open = Callable[..., Watched]

NAMES = "#table tr.row .name"


def of_first_task(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in board["rows"] if row["task"] == board["tasks"][0]["id"]]


def header(watched: Watched, label: str) -> Any:
    return watched.page.locator("#table thead th", has=watched.page.get_by_role("button", name=label))


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["label"] for row in rows]


def test_rows_stand_by_rank_and_references_last(visit: Open, board: dict[str, Any]) -> None:
    watched = visit()
    rows = of_first_task(board)
    assert sorted(watched.texts(NAMES)) == sorted(names(rows))
    ranked = [row for row in rows if row["rank"]]
    ranked.sort(key=lambda row: (row["rank"], -row["scores"]["oracle_agreed_flip"]["value"]))
    assert watched.texts(NAMES)[: len(ranked)] == names(ranked)
    assert set(watched.texts("#table tbody:last-of-type .name")) == {
        r["label"] for r in rows if r["status"] == "reference"
    }
    assert set(watched.texts("#table tbody:last-of-type td.rank")) == {"\N{EN DASH}"}
    first = "\N{EN DASH}".join(str(place) for place in ranked[0]["rank"])
    assert watched.texts("#table tbody tr.row td.rank")[0].split("\n")[0] == first
    assert header(watched, "Rank").get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize(("label", "metric", "falling"), [("L1", "l1", False), ("Flip rate", "flip_rate", True)])
def test_a_click_sorts_best_first_then_turns_and_leaves_blanks_last(
    visit: Open, board: dict[str, Any], label: str, metric: str, falling: bool
) -> None:
    watched = visit()
    rows = of_first_task(board)
    values = {row["label"]: row["scores"][metric]["value"] for row in rows}
    given = sorted(value for value in values.values() if value is not None)
    assert len(given) < len(values) == len(rows)
    for order in (falling, not falling):
        header(watched, label).get_by_role("button").click()
        shown = [values[name] for name in watched.texts(NAMES)]
        assert shown == sorted(given, reverse=order) + [None] * (len(values) - len(given))
        assert header(watched, label).get_attribute("aria-sort") == ("descending" if order else "ascending")
    assert header(watched, "Rank").get_attribute("aria-sort") == "none"


def test_values_intervals_and_paper_figures_are_in_the_cells(visit: Open, board: dict[str, Any]) -> None:
    watched = visit()
    row = next(row for row in of_first_task(board) if row["reported"])
    score = row["scores"]["flip_rate"]
    line = watched.page.locator("#table tr.row", has=watched.page.get_by_role("button", name=row["label"], exact=True))
    text = line.inner_text()
    assert f"{score['value']:#.3g}" in text
    assert f"{score['low']:#.3g}\N{EN DASH}{score['high']:#.3g}" in text
    assert "paper 0.930" in text


@pytest.mark.parametrize(
    ("control", "key", "value"),
    [
        ("family", "family", "diffusion"),
        ("track", "track", "data-free"),
        ("access", "access", "black-box"),
        ("verified", "verified", True),
    ],
)
def test_filters_keep_what_matches_and_the_reference_rows(
    visit: Open, board: dict[str, Any], control: str, key: str, value: Any
) -> None:
    watched = visit()
    select = watched.page.locator(f"select[data-state={control}]")
    select.select_option("yes" if value is True else value)
    rows = of_first_task(board)
    expected = {row["label"] for row in rows if row[key] == value or row["status"] == "reference"}
    assert set(watched.texts(NAMES)) == expected != set(names(rows))
    assert watched.texts("#count") == [f"{len(expected)} of {len(rows)} rows"]
    watched.page.get_by_role("button", name="Reset").click()
    assert len(watched.texts(NAMES)) == len(rows)


def test_status_and_search_leave_out_reference_rows_too(visit: Open, board: dict[str, Any]) -> None:
    watched = visit()
    watched.page.locator("select[data-state=status]").select_option("adversarial")
    adversarial = {row["label"] for row in of_first_task(board) if row["status"] == "adversarial"}
    assert set(watched.texts(NAMES)) == adversarial
    watched.page.get_by_role("button", name="Reset").click()
    watched.page.get_by_role("searchbox").fill("DIP loss")
    assert watched.texts(NAMES) == ["dip-loss"]
    watched.page.get_by_role("searchbox").fill("nothing is called so")
    assert watched.page.get_by_text("No row is left by these filters.").is_visible()


def test_all_tasks_are_shown_task_by_task(visit: Open, board: dict[str, Any]) -> None:
    watched = visit()
    watched.page.locator("select[data-state=task]").select_option("all")
    watched.page.get_by_role("searchbox").fill("dip-loss")
    assert watched.texts(NAMES) == ["dip-loss"] * len(board["tasks"])
    assert watched.texts("#table tr.section") == [f"{task['title']} · {task['rule']}" for task in board["tasks"]]
    assert watched.page.locator("#plot").is_hidden()


def test_columns_are_chosen(visit: Open) -> None:
    watched = visit()
    assert header(watched, "SSIM").count() == 0
    watched.page.get_by_text("Columns", exact=True).click()
    watched.page.get_by_role("checkbox", name="SSIM").check()
    assert header(watched, "SSIM").count() == 1
    watched.page.get_by_role("checkbox", name="Flip rate").uncheck()
    assert header(watched, "Flip rate").count() == 0
    watched.page.get_by_role("button", name="Default columns").click()
    assert (header(watched, "SSIM").count(), header(watched, "Flip rate").count()) == (0, 1)


def test_headers_explain_themselves_to_pointer_and_keyboard(visit: Open, board: dict[str, Any]) -> None:
    watched = visit()
    button = header(watched, "L1").get_by_role("button")
    tooltip = watched.page.get_by_role("tooltip")
    button.hover()
    for text in (board["metrics"]["l1"]["definition"], "lower is better", board["metrics"]["l1"]["unit"]):
        assert text in tooltip.inner_text()
    watched.page.keyboard.press("Escape")
    assert tooltip.is_hidden()
    watched.page.mouse.move(5, 5)
    header(watched, "Sparsity").get_by_role("button").focus()
    watched.page.keyboard.press("Shift+Tab")
    assert board["metrics"]["l1"]["definition"] in tooltip.inner_text()
    assert button.get_attribute("aria-describedby") == "tooltip"


def test_keys_sort_and_keep_their_place(visit: Open) -> None:
    watched = visit()
    button = header(watched, "L1").get_by_role("button")
    button.focus()
    for order in ("ascending", "descending"):
        watched.page.keyboard.press("Enter")
        assert header(watched, "L1").get_attribute("aria-sort") == order
        assert button.evaluate("button => button === document.activeElement")


def test_table_and_plot_light_up_together(visit: Open, board: dict[str, Any]) -> None:
    watched = visit()
    given = [row for row in of_first_task(board) if row["scores"]["l1"]["value"] is not None]
    row = max(given, key=lambda row: row["scores"]["l1"]["value"])
    line = watched.page.locator(f'#table [data-row="{row["id"]}"]')
    point = watched.page.locator(f'#plot .point[data-row="{row["id"]}"]')
    line.locator(".name").hover()
    assert "lit" in point.get_attribute("class").split()
    watched.page.mouse.move(5, 5)
    assert "lit" not in point.get_attribute("class").split()
    point.hover()
    assert "lit" in line.get_attribute("class").split()
    assert row["label"] in watched.page.get_by_role("tooltip").inner_text()
    point.click()
    watched.page.mouse.move(5, 5)
    assert "lit" in line.get_attribute("class").split()


def test_keys_walk_through_the_plot_and_open_a_card(visit: Open, board: dict[str, Any]) -> None:
    watched = visit()
    plotted = [row for row in of_first_task(board) if row["scores"]["l1"]["value"] is not None]
    plotted.sort(key=lambda row: row["scores"]["l1"]["value"])
    watched.page.locator('#plot .point[tabindex="0"]').focus()
    watched.page.keyboard.press("ArrowRight")
    watched.page.keyboard.press("ArrowRight")
    watched.page.keyboard.press("ArrowLeft")
    watched.page.keyboard.press("Enter")
    assert watched.texts("#card h2") == [plotted[1]["label"]]
    watched.page.keyboard.press("Escape")
    assert watched.page.locator("#card").is_hidden()


def test_axes_are_chosen_and_points_lie_in_order(visit: Open, board: dict[str, Any]) -> None:
    watched = visit()
    watched.page.locator("select[data-state=x]").select_option("cost-seconds")
    watched.page.locator("select[data-state=y]").select_option("sparsity")
    places = watched.page.evaluate(
        "() => [...document.querySelectorAll('#plot .point')].map((point) => "
        "[point.dataset.row, ...['cx', 'cy'].map((name) => +point.querySelector('.target').getAttribute(name))])"
    )
    rows = {row["id"]: row for row in of_first_task(board)}
    across = sorted(places, key=lambda place: place[1])
    seconds = [rows[place[0]]["cost"]["seconds"] for place in across]
    assert seconds == sorted(seconds)
    up = [rows[place[0]]["scores"]["sparsity"]["value"] for place in sorted(places, key=lambda place: -place[2])]
    assert up == sorted(up)
    assert len(places) == sum(row["scores"]["sparsity"]["value"] is not None for row in rows.values())
    assert "(log)" in watched.page.locator("#plot .titles").text_content()
