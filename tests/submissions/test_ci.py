"""The CI job verifies the bundles that a change touches, and takes nothing else from it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "bundles"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="source archives have no CI files")


class Repository:
    """A repository with a stand-in for cfbench that notes what it is asked, and refuses what holds ``bad``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        tool = folder / "bin" / "cfbench"
        tool.write_text(f'#!/bin/sh\necho "$1 $2 $(cat "$3")" >> "{folder}/asked"\n! grep -q bad "$3"\n')
        tool.chmod(0o755)
        (folder / "repo").mkdir()
        self.git("init", "-q", "-b", "main")
        self.base = self.commit({"README.md": "x", "leaderboard/submissions/old.zip": "old"})

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        command = ["git", *identity, *arguments]
        done = subprocess.run(command, cwd=self.folder / "repo", check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, files: dict[str, str | None]) -> str:
        for name, text in files.items():
            path = self.folder / "repo" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", "change")
        return self.git("rev-parse", "HEAD")

    def verified(self, head: str) -> tuple[int, list[str]]:
        """Exit code of the job, and what cfbench was asked to verify."""
        self.git("checkout", "-q", self.base)
        environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run([SCRIPT, self.base, head], cwd=self.folder / "repo", env=environment)
        asked = self.folder / "asked"
        return done.returncode, asked.read_text().splitlines() if asked.exists() else []


@pytest.mark.parametrize(
    ("files", "code", "asked"),
    [
        ({"README.md": "y"}, 0, []),
        ({"leaderboard/submissions/new.zip": "fine"}, 0, ["leaderboard verify fine"]),
        ({"leaderboard/submissions/old.zip": "changed"}, 0, ["leaderboard verify changed"]),
        ({"leaderboard/submissions/old.zip": None}, 0, []),
        ({"leaderboard/submissions/new.zip": "bad"}, 1, ["leaderboard verify bad"]),
        (
            {"leaderboard/submissions/a.zip": "bad", "leaderboard/submissions/b c\n.zip": "fine"},
            1,
            ["leaderboard verify bad", "leaderboard verify fine"],
        ),
        ({"leaderboard/submissions/more/--help": "fine", ".ci/bundles": "exit 0"}, 0, ["leaderboard verify fine"]),
    ],
)
def test_the_bundles_of_a_change_are_verified(
    files: dict[str, str | None], code: int, asked: list[str], tmp_path: Path
) -> None:
    repository = Repository(tmp_path)
    head = repository.commit(files)
    assert repository.verified(head) == (code, asked)


def test_what_main_has_got_since_is_not_the_change_s(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    head = repository.commit({"leaderboard/submissions/mine.zip": "mine"})
    repository.git("checkout", "-q", repository.base)
    repository.base = repository.commit({"leaderboard/submissions/other.zip": "other"})
    assert repository.verified(head) == (0, ["leaderboard verify mine"])
