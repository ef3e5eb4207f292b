"""``cfbench new``: the skeleton of an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cfbench.cli.options import shown


def new(
    name: Annotated[str, typer.Argument(help="Name of the method, such as my-method.")],
    out: Annotated[Path, typer.Option(help="Folder for the two files.")] = Path("."),
) -> None:
    """Write an adapter to fill in and its test, which pass as they are."""
    from cfbench.skeleton import write_skeleton

    adapter, test = write_skeleton(name, out)
    kind = "".join(part.capitalize() for part in name.split("-"))
    print(f"adapter: {shown(adapter)}\ntest: {shown(test)}")
    print(f"next: cfbench check {shown(adapter)}:{kind}, or python -m pytest {shown(test)}")
