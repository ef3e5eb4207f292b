"""Public test kit: a toy task that is built in seconds, and the conformance checks that every adapter must pass."""

from cfbench.testing.checks import CHECKS, Check
from cfbench.testing.toy import Toy, build_toy

__all__ = ["CHECKS", "Check", "Toy", "build_toy"]
