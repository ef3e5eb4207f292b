"""``cfbench leaderboard``: the commands of the leaderboard."""

from __future__ import annotations

import typer

from cfbench.cli.boards import add, build, show
from cfbench.cli.submissions import challenge, verify

leaderboard = typer.Typer(
    no_args_is_help=True, help="The leaderboard: publish runs, build its page, show it here, verify submissions."
)
leaderboard.command()(add)
leaderboard.command()(build)
leaderboard.command()(show)
leaderboard.command()(verify)
leaderboard.command()(challenge)
