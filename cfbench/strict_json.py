"""JSON from strangers: UTF-8, no name twice, finite numbers of at most 64 bits, strings of bounded length."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from cfbench.errors import CorruptFile

LONGEST = 5_000
"""Characters of a string, at most."""

UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control codes other than tab and line feed, and halves of surrogate pairs."""


def read_json(data: bytes, name: str) -> Any:
    """The value of a JSON text, which may come from anybody.

    Raises:
        CorruptFile: it is not such a text; names ``name``, what was found and what is expected.
    """
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
        _check_strings(value)
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{name} is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except RecursionError:
        raise CorruptFile(f"{name} is nested too deeply; expected a plain object") from None
    except ValueError as error:
        raise CorruptFile(f"{name} is not valid JSON here: {error}") from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the name {key[:60]!r} comes twice in one object; expected it once")
        found[key] = value
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON; expected a finite one or null")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:30]} is too large; expected a finite one")
    return value


def _bounded(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"the number {text[:30]} has more than 64 bits; expected a smaller one")
    return int(text)


def _check_strings(value: Any) -> None:
    match value:
        case str():
            _check_string(value)
        case list():
            for part in value:
                _check_strings(part)
        case dict():
            for key, part in value.items():
                _check_string(key)
                _check_strings(part)


def _check_string(text: str) -> None:
    if len(text) > LONGEST:
        raise ValueError(f"the string {text[:30]!r}... has {len(text)} characters; expected at most {LONGEST}")
    if found := UNPRINTABLE.search(text):
        raise ValueError(f"the string {text[:30]!r} holds the code {ord(found[0]):#x}; expected plain text")
