"""The page as a file: what is embedded, what its policy allows, and that data cannot leave their element."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
from boards import board_data, hostile

from cfbench.board.page import build


def element(page: str, opening: str, closing: str) -> str:
    """Text between an opening tag, which must be there once, and the next closing one."""
    assert page.count(opening) == 1
    return page.partition(opening)[2].partition(closing)[0]


def policy(page: str) -> dict[str, str]:
    content = element(page, '<meta http-equiv="Content-Security-Policy" content="', '">')
    return dict(directive.split(" ", 1) for directive in content.split("; "))


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.fixture(scope="module")
def page() -> str:
    return build(board_data(3, 2))


def test_the_policy_allows_this_style_and_this_script_and_nothing_else(page: str) -> None:
    allowed = policy(page)
    assert allowed.pop("script-src") == digest(element(page, '<script type="module">', "</script>"))
    assert allowed.pop("style-src") == digest(element(page, "<style>", "</style>"))
    assert allowed == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_it_names_no_file_to_load(page: str) -> None:
    markup = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    addresses = re.findall(r'(?:src|href)="([^"]*)"', markup)
    assert {address.split(":")[0] for address in addresses} == {"data", "#main"}
    style = element(page, "<style>", "</style>")
    assert "url(" not in style
    assert "@import" not in style


def test_the_data_come_back_as_they_went_in() -> None:
    data = hostile(board_data(3, 2), everywhere=True)
    page = build(data)
    embedded = element(page, '<script type="application/json" id="data">', "</script>")
    assert json.loads(embedded) == data
    assert not set(embedded) & set("<>&\u2028\u2029")


def test_hostile_data_change_nothing_but_the_data() -> None:
    def shell(page: str) -> str:
        return page.replace(element(page, '<script type="application/json" id="data">', "</script>"), "")

    assert shell(build(hostile(board_data(3, 2), everywhere=True))) == shell(build(board_data(2, 1)))


def test_a_number_that_is_none_is_refused() -> None:
    data = board_data(2, 1)
    data["rows"][0]["scores"]["l1"]["value"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        build(data)
