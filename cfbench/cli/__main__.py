"""``python -m cfbench.cli`` is the command ``cfbench``."""

from cfbench.cli import main

main()
