"""Data sets of cfbench: one folder each, importable as ``cfbench.datasets.<name>``."""

DEFAULT = "fashion-mnist"
"""The task that commands use when none is named; it ships inside the package."""
