"""Where a record comes from: code, machine, memory."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cfbench.record import Provenance

if TYPE_CHECKING:
    import torch

DISTRIBUTION = "cfbench-vision"


def version() -> str:
    """Installed version of cfbench."""
    return importlib.metadata.version(DISTRIBUTION)


def git_state() -> tuple[str | None, bool | None]:
    """Commit and whether the checkout is changed, if cfbench runs from a git checkout; else (None, None)."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None, None
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit, bool(changes)


def peak_memory_mb(device: torch.device) -> float | None:
    """Peak memory in MB (10^6 bytes), or None where the system does not tell.

    On an accelerator what torch allocated there; on a CPU the resident memory of this process since it started.
    """
    if device.type == "cuda":
        import torch

        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def device_name(device: str) -> str:
    """Name of the processor or accelerator behind a torch device."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    return platform.processor() or platform.machine()


def provenance(
    device: torch.device, *, networks: dict[str, str], accuracies: dict[str, float], images: str
) -> Provenance:
    """Which code and machine this is, with the hashes of networks and images that made a record."""
    import torch

    commit, dirty = git_state()
    return Provenance(
        cfbench=version(),
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        torch=torch.__version__,
        platform=platform.platform(),
        threads=torch.get_num_threads(),
        device_name=device_name(str(device)),
        networks=networks,
        accuracies=accuracies,
        images=images,
    )
