"""TOML files that people write."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from cfbench.errors import CorruptFile


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of the TOML file at ``path``.

    Raises:
        CorruptFile: it is not TOML in UTF-8; names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise CorruptFile(f"{path} is nested too deeply; expected plain tables") from None
    except ValueError as error:
        raise CorruptFile(f"{path} is not a TOML file in UTF-8: {error}") from error
