"""``cfbench leaderboard``: the commands of the leaderboard."""

from __future__ import annotations

import typer

from cfbench.cli.boards import add, build, show

leaderboard = typer.Typer(no_args_is_help=True, help="The leaderboard: publish runs, build its page, show it here.")
leaderboard.command()(add)
leaderboard.command()(build)
leaderboard.command()(show)
