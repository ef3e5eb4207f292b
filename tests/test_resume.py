"""kill -9 in the middle of a run, then the same command again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ADAPTER = Path(__file__).parent / "adapters" / "slow.py"


def command(toy_key: str, out: Path, notes: Path) -> list[str]:
    settings = ["--set", "seconds=0.15", "--set", f'notes="{notes}"']
    return [
        sys.executable,
        "-m",
        "cfbench.cli",
        "evaluate",
        "--method",
        f"{ADAPTER}:Slow",
        *settings,
        "--task",
        toy_key,
        "--out",
        str(out),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_killed_three_times_and_resumed_equals_undisturbed(toy_key: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    arguments = command(toy_key, tmp_path / "killed", notes)
    for kill in range(1, 4):
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "killed").rglob("[0-9]*.npz"))) < 3 * kill:
            assert process.poll() is None, "ended before it was killed"
            assert time.monotonic() < deadline, "no progress"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not list((tmp_path / "killed").rglob("run.json"))
    stored = len(list((tmp_path / "killed").rglob("[0-9]*.npz")))
    explained = sum(map(int, notes.read_text().split()))
    subprocess.run(arguments, check=True, capture_output=True)
    total = sum(map(int, notes.read_text().split()))
    assert total - explained == 60 - 4 * stored, "a finished shard was computed again"

    notes.unlink()
    subprocess.run(command(toy_key, tmp_path / "whole", notes), check=True, capture_output=True)
    [killed], [whole] = (list((tmp_path / name).rglob("run.json")) for name in ("killed", "whole"))
    first, second = json.loads(killed.read_text()), json.loads(whole.read_text())
    assert first["scores"] == second["scores"]
    assert first["provenance"]["images"] == second["provenance"]["images"]
    assert first["queries"] == second["queries"]
