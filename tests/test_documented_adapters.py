"""The adapters that README.md and CONTRIBUTING.md show run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cfbench.harness import evaluate
from cfbench.registry import METHODS
from cfbench.task import Task

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("page", "name"), [("README.md", "Fade"), ("CONTRIBUTING.md", "Bare")])
def test_an_adapter_of_the_documents_runs(page: str, name: str, task: Task, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    [code] = [block for block in blocks if f"class {name}(Method)" in block]
    (tmp_path / "shown.py").write_text(code)
    method = METHODS.load(f"{tmp_path / 'shown.py'}:{name}")()
    record, _ = evaluate(method, task, root=tmp_path / "runs", limit=4)
    assert (record.status, record.queries.done, record.queries.failed) == ("partial", 4, 0)
    assert record.scores["l1"]["all"].value > 0
