"""What the fuzz tests share: how many cases they try, damaged bytes, texts and values, and what may come of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from cfbench.errors import CfbenchError

FACTOR = int(os.environ.get("CFBENCH_FUZZ", "1"))
"""How many times the usual number of cases are tried; above 1 they are others in every run."""


def cases(count: int) -> settings:
    """That many cases of a test, times ``$CFBENCH_FUZZ``."""
    return settings(
        max_examples=count * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def refused(*names: str) -> Iterator[None]:
    """What is done in here succeeds, or raises an error of cfbench that is one line of text and holds ``names``."""
    try:
        yield
    except CfbenchError as error:
        message = str(error)
        assert len(message) > 20, message
        for name in names:
            assert name in message, message


@st.composite
def damaged(draw: DrawFn, whole: bytes) -> bytes:
    """``whole`` with a few bytes changed, put in, taken out or repeated, or cut off."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.sampled_from([1, 1, 2, 4, 16, 200]))
        match draw(st.sampled_from(["set", "put", "take", "repeat", "cut"])):
            case "set":
                data[at : at + length] = draw(st.binary(min_size=length, max_size=length))
            case "put":
                data[at:at] = draw(st.binary(min_size=1, max_size=length))
            case "take":
                del data[at : at + length]
            case "repeat":
                data[at:at] = data[at : at + length]
            case "cut":
                del data[at:]
    return bytes(data)


NUMBERS: SearchStrategy[Any] = st.one_of(
    st.sampled_from([0, -1, 1, 2**31, -(2**63), 2**63, 10**30, -0.0, 0.5, 1e308, 5e-324, float("nan"), float("inf")]),
    st.integers(),
    st.floats(),
)

VALUES: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
"""What JSON can hold."""


@st.composite
def altered(draw: DrawFn, value: Any) -> Any:
    """A JSON value in which one value, somewhere, is another, is gone or has a neighbour."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 5)) == 0:
        return draw(VALUES)
    copy = value.copy()
    key = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    match draw(st.sampled_from(["inside"] * 4 + ["gone", "beside"])):
        case "inside":
            copy[key] = draw(altered(value[key]))
        case "gone":
            del copy[key]
        case "beside" if isinstance(copy, dict):
            copy[draw(st.text(max_size=8))] = draw(VALUES)
        case "beside":
            copy.append(draw(VALUES))
    return copy


TOML = st.one_of(
    st.sampled_from(["nan", "-inf", "1979-05-27", "07:32:00", "true", '""', "[]", "{}", "[[]]", "9" * 40, "1e400"]),
    st.sampled_from([10, 3000]).map(lambda depth: "[" * depth + "]" * depth),
    st.text(max_size=12).map(repr),
    st.floats().map(repr),
    st.integers().map(repr),
    st.lists(st.sampled_from(["1", '"a"', "nan", "{ b = [1] }"]), max_size=3).map(lambda each: f"[{', '.join(each)}]"),
)
"""Values of a TOML file, and what looks like one."""


@st.composite
def altered_toml(draw: DrawFn, text: str) -> bytes:
    """A TOML file with some of its values exchanged, lines taken out or repeated, or damaged bytes."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["value", "value", "value", "take", "repeat", "put"])):
            case "value":
                lines[at] = f"{lines[at].partition('=')[0]}= {draw(TOML)}"
            case "take" if len(lines) > 1:
                del lines[at]
            case "repeat":
                lines.insert(at, lines[at])
            case _:
                lines.insert(at, f"{draw(st.sampled_from(['extra', 'title', 'a.b', '[part]']))} = {draw(TOML)}")
    made = "\n".join(lines).encode(errors="surrogatepass")
    return draw(damaged(made)) if draw(st.integers(0, 9)) == 0 else made
