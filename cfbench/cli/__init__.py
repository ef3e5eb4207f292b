"""The command line. Commands import what they need when they run, so that ``--help`` stays light."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cfbench.allocation import keep_freed_memory
from cfbench.cli.bench import bench
from cfbench.cli.check import check
from cfbench.cli.compare import compare
from cfbench.cli.doctor import doctor
from cfbench.cli.evaluate import evaluate
from cfbench.cli.explain import explain
from cfbench.cli.leaderboard import leaderboard
from cfbench.cli.listing import list_things
from cfbench.cli.new import new
from cfbench.cli.prepare import prepare
from cfbench.cli.report import report
from cfbench.cli.score import score
from cfbench.cli.status import status
from cfbench.cli.study import study
from cfbench.cli.submit import submit
from cfbench.errors import CfbenchError
from cfbench.markdown import printable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Benchmark of visual counterfactual explanations: run methods on frozen tasks, score what they stored.",
    epilog="Start with: cfbench list, then cfbench evaluate --method NAME",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from cfbench.provenance import version

        print(f"cfbench {version()}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None: ...


app.command("list")(list_things)
app.command()(prepare)
app.command()(evaluate)
app.command()(explain)
app.command()(score)
app.command()(compare)
app.command()(status)
app.command()(study)
app.command()(report)
app.command()(new)
app.command()(check)
app.command()(submit)
app.add_typer(leaderboard, name="leaderboard")
app.command()(bench)
app.command()(doctor)


def main() -> None:
    """Entry point: an error that a user can act on is one line on stderr and exit code 2."""
    keep_freed_memory()
    try:
        app()
    except CfbenchError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        sys.exit(2)
