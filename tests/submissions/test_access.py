"""What a submitted method was given: source, record and card must agree; what reaches further is refused or flagged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bundles import accepted, adapter_file, bundle_of, card_of, edited, forged, refusal, run_of
from rendered import Rendered

from cfbench.board.bundle import MANIFEST
from cfbench.board.card import FILE as CARD
from cfbench.board.source import read_source
from cfbench.board.submitting import submit
from cfbench.errors import AccessDenied, CfbenchError
from cfbench.files import sha256_bytes
from cfbench.harness import evaluate
from cfbench.keys import combined_hash
from cfbench.registry import METHODS
from cfbench.task import Task
from cfbench.testing import Toy


def test_another_adapter_than_the_one_that_ran_is_refused(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    def prettier(members: dict[str, bytes]) -> None:
        members["adapter.py"] += b"# prettier\n"

    refusal(forged(bundle, tmp_path / "a.zip", prettier), toy, "adapter.py is not the adapter that made the run")
    method = adapter_file(tmp_path)
    record, run = run_of(method, toy, tmp_path)
    taken = forged(bundle_of(run, tmp_path / "b.zip", method), tmp_path / "c.zip", edited("key.method", "pgd"))
    refusal(taken, toy, "method 'pgd' has another source here", "a name of its own")
    with pytest.raises(CfbenchError, match="is not the source that made"):
        submit(run, card_of(record), tmp_path / "d.zip", method=METHODS.load("pgd"), dataset=toy)


def test_a_shipped_method_whose_building_blocks_have_changed_is_flagged(toy: Toy, tmp_path: Path) -> None:
    pgd = METHODS.load("pgd")
    _, run = run_of(pgd, toy, tmp_path)
    bundle = bundle_of(run, tmp_path / "a.zip", pgd)
    assert not accepted(bundle, toy).flags

    def older(members: dict[str, bytes]) -> None:
        manifest = json.loads(members[MANIFEST])
        manifest["used"]["cfbench.batch"] = "0" * 64
        members[MANIFEST] = json.dumps(manifest).encode()
        edited("key.adapter", combined_hash(sha256_bytes(members["adapter.py"]), manifest["used"]))(members)

    assert accepted(forged(bundle, tmp_path / "b.zip", older), toy).flags == (
        "the run used other versions than are here of cfbench.batch",
    )


def test_the_card_must_say_what_the_harness_enforced(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    made = forged(bundle, tmp_path / "a.zip", edited("access", "black-box", CARD))
    refusal(made, toy, "submission.json says 'black-box', 'data-free'", "'white-box'")
    made = forged(bundle, tmp_path / "b.zip", edited("card.track", "generator-based"))
    refusal(made, toy, "run.json says 'white-box', 'generator-based'", "declares Needs(gradients=True")


def test_a_record_that_hides_what_the_adapter_was_given_is_refused(toy: Toy, tmp_path: Path) -> None:
    """Record, card and source all state the access; calls are counted; networks are in the key."""
    method = adapter_file(
        tmp_path,
        needs="gradients=True",
        body="self.task.classifier(images.requires_grad_()).sum().backward(); images = images.detach()",
    )
    _, run = run_of(method, toy, tmp_path)
    made = bundle_of(run, tmp_path / "honest.zip", method)
    assert accepted(made, toy).record.card.access == "white-box"

    def black_box(members: dict[str, bytes]) -> None:
        edited("card.access", "black-box")(members)
        edited("access", "black-box", CARD)(members)

    refusal(forged(made, tmp_path / "a.zip", black_box), toy, "run.json says 'black-box'", "'white-box'")
    vae = toy.entry("vae").sha256
    made = forged(made, tmp_path / "b.zip", edited("key.networks.vae", vae))
    refusal(made, toy, "run.json names the networks classifier, vae; adapter.py declares classifier")


@pytest.mark.parametrize(
    "call", ["self.task.networks('oracle')", "self.task.networks('extractor')", "self.task.training_data()"]
)
def test_the_harness_hands_over_nothing_undeclared(call: str, toy: Toy, tmp_path: Path) -> None:
    method = adapter_file(tmp_path, body=call)
    with pytest.raises(AccessDenied, match="not declared"):
        run_of(method, toy, tmp_path)


@pytest.mark.parametrize("role", ["oracle", "extractor", "attribute-oracle", "autoencoder", "classifier"])
def test_judges_cannot_be_declared(role: str, toy: Toy, tmp_path: Path) -> None:
    method = adapter_file(tmp_path, needs=f"networks=({role!r},)")
    with pytest.raises(AccessDenied, match=f"networks of role '{role}' are never handed to a method"):
        run_of(method, toy, tmp_path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("self.task._task.load('oracle-1')(images)", "line 14: _task"),
        ("getattr(self.task, '_task').load('oracle-1')(images)", "line 14: _task"),
        ("vars(self.task)['_task'].stored", "line 14: _task"),
        ("import cfbench as c; c.load_dataset('mnist')", "line 14: cfbench.load_dataset"),
        ("from cfbench.registry import load_dataset as l; l('mnist')", "line 14: cfbench.registry.load_dataset"),
        ("import cfbench.datasets.mnist", "line 14: cfbench.datasets.mnist"),
        ("from cfbench.task import Task", "line 14: cfbench.task.Task"),
    ],
)
def test_an_adapter_that_reaches_for_judges_runs_but_is_not_accepted(
    body: str, said: str, toy: Toy, tmp_path: Path
) -> None:
    """Python lets it: the harness cannot stop it, the verifier sees it in the source."""
    method = adapter_file(tmp_path, body=body)
    _, run = run_of(method, toy, tmp_path)
    refusal(bundle_of(run, tmp_path / "a.zip", method), toy, "adapter.py reaches for what no method is given", said)


def test_an_adapter_that_reads_files_must_say_so_and_is_flagged(toy: Toy, toy_folder: Path, tmp_path: Path) -> None:
    """It may be weights of its own, or the test images: that is for a reviewer to see."""
    files = [str(toy_folder / name) for name in ("splits/test.npz", "manifest.json")]
    body = f"import numpy as np; np.load({files[0]!r}); open({files[1]!r}).close()"
    method = adapter_file(tmp_path, body=body)
    _, run = run_of(method, toy, tmp_path)
    silent = bundle_of(run, tmp_path / "silent.zip", method)
    refusal(silent, toy, "adapter.py reaches outside the harness: line 14: numpy.load; line 14: open", "field reads")
    told = bundle_of(run, tmp_path / "told.zip", method, reads="weights of our own, from example.org")
    [flag] = accepted(told, toy).flags
    assert flag == (
        "the adapter reaches outside the harness: line 14: numpy.load; line 14: open; its card says: weights of our "
        "own, from example.org"
    )


@pytest.mark.parametrize(
    "needs",
    ["gradients=bool(1)", "**{'gradients': True}", "gradients=True, more=1", "True"],
)
def test_needs_must_be_stated_plainly(needs: str, toy: Toy, tmp_path: Path) -> None:
    method = adapter_file(tmp_path)
    _, run = run_of(method, toy, tmp_path)

    def change(members: dict[str, bytes]) -> None:
        members["adapter.py"] = members["adapter.py"].replace(b"Needs()", f"Needs({needs})".encode())
        fit_adapter(members)

    made = forged(bundle_of(run, tmp_path / "a.zip", method), tmp_path / "b.zip", change)
    refusal(made, toy, "adapter.py does not say plainly what it needs", "in the body of class Brighten")


def test_needs_changed_elsewhere_are_not_plain(toy: Toy, tmp_path: Path) -> None:
    method = adapter_file(tmp_path, body="self.needs = Needs(training_data=True)")
    _, run = run_of(method, toy, tmp_path)
    refusal(bundle_of(run, tmp_path / "a.zip", method), toy, "adapter.py does not say plainly what it needs")


def fit_adapter(members: dict[str, bytes]) -> None:
    """Have record and shards name the adapter as it is in the bundle now."""
    used = json.loads(members[MANIFEST])["used"]
    edited("key.adapter", combined_hash(sha256_bytes(members["adapter.py"]), used))(members)


@pytest.mark.parametrize("name", sorted({*METHODS.builtin} - {"fast-dime"}))
def test_no_method_of_cfbench_reaches_for_judges(name: str) -> None:
    """So that a stranger's adapter, written after theirs, is not refused; fast-dime takes its needs over from dime."""
    path = Path(__file__).parents[2] / "methods" / f"{METHODS.builtin[name].module.rpartition('.')[2]}.py"
    source = read_source(path.read_bytes(), name)
    assert source.forbidden == ()
    assert source.needs == METHODS.load(name).needs


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("open('x')", "open"),
        ("eval('1')", "eval"),
        ("getattr(x, y)", "getattr"),
        ("getattr(x, 'name')", None),
        ("import os.path", "os.path"),
        ("from pathlib import Path as P", "pathlib.Path"),
        ("import numpy as np; np.load('x')", "numpy.load"),
        ("import torch; torch.load('x')", "torch.load"),
        ("import torch.hub as h", "torch.hub"),
        ("from cfbench.external import Worker", "cfbench.external.Worker"),
        ("from numpy import *", "numpy.*"),
        ("().__class__", "__class__"),
        ("x.__dict__", "__dict__"),
        ("__file__", "__file__"),
        ("x.__init__()", None),
        ("import torch; torch.zeros(1).numpy()", None),
        ("from cfbench.priors import SkipNet", None),
        ("self._task_count = 1; self.task.classifier", None),
    ],
)
def test_what_leads_outside_is_named_with_its_line(line: str, found: str | None) -> None:
    text = f"class A(Method):\n    name = 'a'\n    def explain(self):\n        {line}\n"
    source = read_source(text.encode(), "a")
    assert source.forbidden == ()
    assert [str(each) for each in source.outside] == ([f"line 4: {found}"] if found else [])


@pytest.mark.parametrize(
    ("name", "access", "track"),
    [
        ("identity", "black-box", "data-free"),
        ("nearest-unlike", "black-box", "training-data"),
        ("dip-loss", "white-box", "data-free"),
        ("vae-latent", "white-box", "generator-based"),
        ("truth", "renderer", "reference"),
    ],
)
def test_every_kind_of_access_can_be_submitted(
    name: str, access: str, track: str, toy_folder: Path, tmp_path: Path
) -> None:
    method = METHODS.load(name)
    data = Rendered(toy_folder) if name == "truth" else Toy(toy_folder)
    record, run = evaluate(method.create(method.quick), Task(data), root=tmp_path)
    verdict = accepted(bundle_of(run, tmp_path / "a.zip", method), data)
    assert (verdict.record.card.access, verdict.record.card.track) == (access, track)
    assert verdict.record.scores == record.scores
