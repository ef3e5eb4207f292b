"""Run by another Python, 3.7 or later: answers a :class:`cfbench.external.Worker` with the ``explain`` of a script.

Called as ``python external_server.py SCRIPT FOLDER ARGUMENTS...``. Each line of standard input names two npz files of
the folder: the arguments of ``explain``, and where its answer goes.
"""

from __future__ import annotations

import os
import sys

script, folder = sys.argv[1:3]
sys.argv = [script, *sys.argv[3:]]
sys.path[0] = os.path.dirname(script)

import importlib.util  # noqa: E402
import traceback  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

spec = importlib.util.spec_from_file_location("worker", script)
assert spec is not None
assert spec.loader is not None
worker = importlib.util.module_from_spec(spec)
sys.modules["worker"] = worker
spec.loader.exec_module(worker)
explain = worker.explain
for line in sys.stdin:
    question, answer = (os.path.join(folder, name) for name in line.rstrip("\n").split("\t"))
    with np.load(question) as arrays:
        given = dict(arrays)
    answered: dict[str, Any]
    try:
        answered = {"images": np.asarray(explain(**given), dtype=np.float32)}
    except Exception as error:
        traceback.print_exc()
        answered = {"error": f"{type(error).__name__}: {error}"}
    np.savez(answer + ".part.npz", **answered)
    os.replace(answer + ".part.npz", answer)
