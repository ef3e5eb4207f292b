"""Method adapters of cfbench: one file each, importable as ``cfbench.methods.<name>``."""
