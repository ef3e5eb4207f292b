"""Workers in a Python of their own: what crosses, what is isolated, and what goes wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from own_pictures import Thirds

from cfbench.errors import InvalidParameter, MethodFailed, MissingResource
from cfbench.external import Worker
from cfbench.harness import evaluate
from cfbench.registry import METHODS, load_dataset
from cfbench.task import Task
from cfbench.testing import CHECKS, Check

IMAGES = torch.rand(3, 1, 12, 12, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([2, 0, 1])
EXTERNAL = f"{Path(__file__).parent / 'adapters' / 'external.py'}:External"

EXPLAIN = "def explain(images, targets, more=0):\n    "

Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a worker whose script is the text given."""

    def started(script: str, *arguments: object, **settings: float) -> Worker:
        path = tmp_path / "script.py"
        path.write_text(script)
        return Worker(sys.executable, path, arguments, **settings)  # type: ignore[arg-type]

    return started


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_an_adapter_with_a_worker_passes_conformance(check: Check, task: Task) -> None:
    check(METHODS.load(EXTERNAL), task)


def test_arrays_arguments_and_the_order_of_answers(start: Start) -> None:
    worker = start(
        f"import sys\n{EXPLAIN}return images * targets[:, None, None, None] + more + float(sys.argv[1])", 0.5
    )
    for more in (torch.zeros(1), torch.ones(1)):
        made = worker.explain(IMAGES, TARGETS, more=more)
        assert torch.allclose(made, IMAGES * TARGETS[:, None, None, None] + more + 0.5)
        assert made.dtype == torch.float32


GRADIENT = """
import sys, torch
network = torch.jit.load(sys.argv[1])

def explain(images, targets):
    images = torch.from_numpy(images).requires_grad_()
    loss = torch.nn.functional.cross_entropy(network(images), torch.from_numpy(targets))
    return torch.autograd.grad(loss, images)[0].numpy()
"""


def test_a_classifier_crosses_with_its_gradients(start: Start) -> None:
    worker = start(GRADIENT, torch.jit.trace(Thirds().eval(), IMAGES[:1]))
    images = IMAGES.clone().requires_grad_()
    (expected,) = torch.autograd.grad(torch.nn.functional.cross_entropy(Thirds()(images), TARGETS), images)
    assert torch.allclose(worker.explain(IMAGES, TARGETS), expected, atol=1e-7)


def test_the_worker_stands_in_its_script_s_folder_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither cfbench's own modules nor this process's PYTHONPATH are in the way of what the script imports."""
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    alone = "assert not any(path.endswith(('elsewhere', 'cfbench')) for path in sys.path), sys.path"
    assert torch.equal(start(f"import sys\n{alone}\n{EXPLAIN}return images").explain(IMAGES, TARGETS), IMAGES)


def test_a_batch_that_fails_is_lost_alone(start: Start) -> None:
    worker = start(f"{EXPLAIN}return images if targets[0] != 2 else {{}}['class 2']")
    with pytest.raises(RuntimeError, match=r"script\.py: KeyError: 'class 2'"):
        worker.explain(IMAGES, TARGETS)
    assert torch.equal(worker.explain(IMAGES[1:], TARGETS[1:]), IMAGES[1:])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import no_such_package", "ended with code 1.*No module named 'no_such_package'"),
        ("x = 1", "ended with code 1.*no attribute 'explain'"),
        (f"import os\n{EXPLAIN}print('bye', flush=True); os._exit(3)", "code 3.*bye"),
        (f"import time\n{EXPLAIN}time.sleep(60)", "longer than 1 s"),
    ],
)
def test_a_worker_that_is_gone_says_why(script: str, said: str, start: Start) -> None:
    worker = start(script, limit=1 if "sleep" in script else 60)
    with pytest.raises(MethodFailed, match=said):
        worker.explain(IMAGES, TARGETS)
    with pytest.raises(MethodFailed, match=r"script\.py ended with code"):
        worker.explain(IMAGES, TARGETS)


def test_what_is_no_array_of_numbers_is_no_answer(start: Start) -> None:
    with pytest.raises(RuntimeError, match=r"script\.py: (Type|Value)Error"):
        start(f"{EXPLAIN}return [None, {{}}]").explain(IMAGES, TARGETS)


def test_a_missing_interpreter_or_script_says_what_to_do(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    with pytest.raises(MissingResource, match=r"script\.py is missing; give the path of a script"):
        Worker(sys.executable, script)
    script.write_text("")
    with pytest.raises(MissingResource, match=r"/no/python does not run .*; run: make it"):
        Worker("/no/python", script, advice="run: make it")
    with pytest.raises(InvalidParameter, match="limit is 0"):
        Worker(sys.executable, script, limit=0)


def test_nothing_is_left_behind(start: Start) -> None:
    worker = start(f"import os\n{EXPLAIN}return images * 0 + os.getpid()")
    number = int(worker.explain(IMAGES, TARGETS).flatten()[0])
    folder = Path(worker._folder.name)
    os.kill(number, 0)
    worker.close()
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_run_by_a_worker_is_stored(task: Task, tmp_path: Path) -> None:
    record, _ = evaluate(METHODS.load(EXTERNAL)(), task, root=tmp_path, limit=6)
    assert (record.queries.done, record.queries.failed) == (6, 0)
    assert record.scores["l1"]["all"].value > 0


@pytest.mark.slow
def test_the_peer_of_the_examples_flips(tmp_path: Path) -> None:
    """``CFBENCH_BEX``: the Python of an environment that has bex, see examples/bex/adapter.py."""
    if "CFBENCH_BEX" not in os.environ:
        pytest.skip("CFBENCH_BEX names no Python that has bex")
    adapter = Path(__file__).parent.parent / "examples" / "bex" / "adapter.py"
    method = METHODS.load(f"{adapter}:BexXGEM").create({"python": os.environ["CFBENCH_BEX"]})
    record, _ = evaluate(method, Task(load_dataset("fashion-mnist"), split="validation"), root=tmp_path, limit=20)
    assert record.queries.failed == 0
    assert record.scores["flip_rate"]["all"].value >= 0.5
