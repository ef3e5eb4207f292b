"""Gallery, comparison and card in a browser: which pixels are drawn, and what stands beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import board_data, png
from browser import Watched

from cfbench.board.page import build

Open = Callable[..., Watched]

PIXELS = """canvas => [canvas.width, canvas.height, ...canvas.getContext("2d").getImageData(0, 0, 1, 1).data]"""

UNCHANGED, DARKER, BRIGHTER = (247, 247, 247), (5, 48, 97), (103, 0, 31)
"""No change, black where white was, white where black was, on the diverging scale of cfbench.figures."""


def flat(*levels: int) -> str:
    """A strip of gray pictures of 28 x 28, each of one level."""
    return png(np.stack([np.full((28, 28, 1), level, np.uint8) for level in levels]))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two methods with flat pictures: the first two queries are black, the others white."""
    data = board_data(2, 1)
    data["tasks"][0]["gallery"]["queries"] = flat(0, 0, 255, 255, 255, 255, 255, 255)
    data["rows"][0]["gallery"] = flat(0, 255, 255, 0, 255, 255, 255, 90)
    data["rows"][1]["gallery"] = flat(*[255] * 8)
    path = tmp_path_factory.mktemp("known") / "index.html"
    path.write_text(build(data), encoding="utf-8")
    return path


def drawn(watched: Watched, selector: str) -> list[list[int]]:
    """Width, height and first pixel of the canvases of a row."""
    row = watched.page.locator(selector).first
    row.locator("canvas").nth(7).wait_for()
    return [canvas.evaluate(PIXELS) for canvas in row.locator("canvas").all()]


def test_the_gallery_draws_stored_pixels_and_their_difference(visit: Open, known: Path) -> None:
    watched = visit("#view=gallery", known)
    queries = drawn(watched, "#pictures thead tr:last-child")
    assert [pixel[:3] for pixel in queries] == [[28, 28, 0]] * 2 + [[28, 28, 255]] * 6
    order = watched.texts("#pictures .name")
    at = order.index("identity") + 2
    made = drawn(watched, f"#pictures tbody:nth-of-type({at - 1}) tr.counterfactual")
    assert [pixel[2] for pixel in made] == [0, 255, 255, 0, 255, 255, 255, 90]
    change = drawn(watched, f"#pictures tbody:nth-of-type({at - 1}) tr.difference")
    colours = [tuple(pixel[2:5]) for pixel in change]
    assert colours[:7] == [UNCHANGED, BRIGHTER, UNCHANGED, DARKER, UNCHANGED, UNCHANGED, UNCHANGED]
    assert colours[7] not in (UNCHANGED, DARKER)


def test_every_method_stands_beside_the_same_labelled_queries(visit: Open, board: dict[str, Any]) -> None:
    watched = visit("#view=gallery")
    task = board["tasks"][0]
    asked = [f"{task['classes'][source]}\n→ {task['classes'][target]}" for source, target in _asked(task)]
    assert watched.texts("#pictures th.asked") == asked
    shown = [row["label"] for row in board["rows"] if row["task"] == task["id"] and row["gallery"]]
    assert sorted(watched.texts("#pictures .name")) == sorted(shown)
    watched.page.locator("select[data-state=pictures]").select_option("difference")
    label = watched.page.locator("#pictures tbody canvas").first.get_attribute("aria-label")
    assert label.startswith("difference of ")
    assert task["gallery"]["ids"][0] in label
    watched.page.get_by_role("searchbox").fill("disc")
    assert set(watched.texts("#pictures .name")) == {name for name in shown if "disc" in name}


def _asked(task: dict[str, Any]) -> list[tuple[int, int]]:
    return list(zip(task["gallery"]["sources"], task["gallery"]["targets"], strict=True))


def test_pictures_that_may_not_be_shown_are_not_asked_for(visit: Open, board: dict[str, Any]) -> None:
    hidden = next(task for task in board["tasks"] if task["gallery"] is None)
    watched = visit(f"#view=gallery&task={hidden['id']}")
    assert watched.page.get_by_text("may not be published").is_visible()
    assert watched.page.locator("#pictures canvas").count() == 0


@pytest.mark.parametrize("strip", [flat(0, 1, 2), "data:image/png;base64,AAAA", "https://example.org/evil.png"])
def test_a_strip_of_other_shape_or_no_picture_is_left_blank(visit: Open, tmp_path: Path, strip: str) -> None:
    data = board_data(2, 1)
    data["rows"][0]["gallery"] = strip
    path = tmp_path / "index.html"
    path.write_text(build(data), encoding="utf-8")
    watched = visit(f"#card={data['rows'][1]['id']}", path)
    watched.page.locator("#card canvas").nth(23).wait_for()
    watched.page.goto(f"{path.as_uri()}#view=gallery")
    watched.page.locator("#pictures thead canvas").nth(7).wait_for()
    assert watched.page.locator("#pictures canvas[aria-label*='of identity']").count() == 0


def test_two_ticked_methods_are_compared_and_swapped(visit: Open, board: dict[str, Any]) -> None:
    watched = visit()
    one, other = (row for row in board["rows"][:20] if row["label"] in ("disc", "pgd"))
    for row in (one, other):
        watched.page.get_by_label(f"Compare {row['label']}", exact=True).check()
    watched.page.get_by_role("button", name="Compare the two").click()
    comparison = watched.page.locator("#comparison")
    assert watched.texts("#comparison .scores thead th.number") == [one["label"], other["label"]]
    comparison.locator("canvas").nth(8 * 5 - 1).wait_for()
    line = comparison.locator(".scores tbody tr", has_text="Oracle-agreed flip")
    for row, cell in zip((one, other), line.locator("td.number").all_inner_texts(), strict=True):
        assert cell.startswith(f"{row['scores']['oracle_agreed_flip']['value']:#.3g}")
    watched.page.get_by_label("Swap the two methods").click()
    assert watched.texts("#comparison .scores thead th.number") == [other["label"], one["label"]]


def test_the_card_says_all_that_is_known(visit: Open, board: dict[str, Any]) -> None:
    row = next(row for row in board["rows"] if row["submission"] and row["reported"] and row["gallery"])
    watched = visit(f"#task={row['task']}")
    watched.page.get_by_role("button", name=row["label"], exact=True).click()
    card = watched.page.get_by_role("dialog", name=row["label"])
    text = card.inner_text()
    said = [row["family"], row["access"], row["citation"], row["track"], *row["submission"].values()]
    said += [f"{name} = " for name in row["parameters"]]
    said += [row["provenance"]["commit"], row["provenance"]["adapter"], row["reported"]["flip_rate"]["source"]]
    for expected in said:
        assert str(expected) in text
    links = card.locator("a").evaluate_all("links => links.map((link) => link.href)")
    assert {"https://arxiv.org/abs/1711.00399", "https://example.org/code"} <= set(links)
    card.get_by_label("Close the card").click()
    assert card.is_hidden()
