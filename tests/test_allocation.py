"""Memory that is freed stays with the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from cfbench.allocation import MALLOC_VARIABLES

FAULTS = """
import resource
from cfbench.allocation import keep_freed_memory
keep_freed_memory()
import torch
torch.set_num_threads(1)
large = torch.rand(5_000_000)
for _ in range(10):
    (large + 1) * 2
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    (large + 1) * 2
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**variables: str) -> int:
    """Page faults of ten steps that need 40 MB each, as the system counts them."""
    environment = {name: value for name, value in os.environ.items() if name not in MALLOC_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env={**environment, **variables}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc maps large tensors anew each time")
def test_large_tensors_are_not_mapped_anew_each_time() -> None:
    kept = faults()
    left_to_the_user = faults(MALLOC_MMAP_THRESHOLD_="65536")
    assert 4 * kept < left_to_the_user
