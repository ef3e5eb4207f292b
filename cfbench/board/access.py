"""What a submitted method was given: its source, its record and its card must say the same."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

import cfbench
from cfbench import methods
from cfbench.board.archive import Refused
from cfbench.board.bundle import Bundle
from cfbench.board.card import FILE as CARD
from cfbench.board.source import MEMBER, Source, read_source
from cfbench.files import sha256_bytes, sha256_file
from cfbench.keys import combined_hash, handed
from cfbench.needs import READERS, Needs
from cfbench.record import FILE
from cfbench.registry import METHODS
from cfbench.task import Task


@dataclass(frozen=True)
class Access:
    """What an adapter declares. ``text`` is its source, ``flags`` what a reviewer should look at."""

    needs: Needs
    text: str
    flags: tuple[str, ...]


def check_access(bundle: Bundle, task: Task) -> Access:
    """Check the adapter of a bundle without running it: its hash, its needs, what it reaches for.

    Raises:
        Refused: it is not the adapter of the run, says something else than the record or the card, reaches for what no
            method is given, or reads files that its card does not name.
    """
    key, digest = bundle.record.key, sha256_bytes(bundle.adapter)
    if combined_hash(digest, bundle.manifest.used) != key.adapter:
        raise Refused(f"{MEMBER} is not the adapter that made the run: its hash is not that of {FILE}; submit it again")
    if key.method in METHODS.builtin:
        shipped = METHODS.load(key.method)
        if sha256_file(Path(inspect.getfile(shipped))) != digest:
            raise Refused(
                f"{FILE}: method {key.method!r} has another source here; run it with this release, or give your method "
                "a name of its own"
            )
        access = Access(shipped.needs, bundle.adapter.decode(), tuple(_other_modules(bundle, digest)))
    else:
        source = read_source(bundle.adapter, key.method)
        _check_stated(bundle, source)
        access = Access(source.needs, source.text, (*_check_reach(bundle, source), *_other_modules(bundle, digest)))
    _check_needs(bundle, task, access.needs)
    return access


def _check_stated(bundle: Bundle, source: Source) -> None:
    record = bundle.record
    said = {"family": record.card.family, "citation": record.card.citation, "version": record.key.method_version}
    for name, value in source.stated.items():
        if value != said[name]:
            raise Refused(f"{MEMBER} states {name} {value[:80]!r}; {FILE} says {said[name][:80]!r}")


def _check_reach(bundle: Bundle, source: Source) -> list[str]:
    if source.forbidden:
        raise Refused(
            f"{MEMBER} reaches for what no method is given: {'; '.join(map(str, source.forbidden[:5]))}; use only what "
            "self.task and the building blocks of cfbench hand over"
        )
    lines = "; ".join(map(str, source.outside[:20]))
    if lines and not bundle.card.reads:
        raise Refused(
            f"{MEMBER} reaches outside the harness: {lines}; say in the card's field reads what it reads, and "
            "from where"
        )
    return [f"the adapter reaches outside the harness: {lines}; its card says: {bundle.card.reads}"] if lines else []


def _other_modules(bundle: Bundle, digest: str) -> list[str]:
    """Flags modules of cfbench that the run took something from and that are others here."""
    roots = {"cfbench.methods": Path(methods.__file__).parent, "cfbench": Path(cfbench.__file__).parent}
    odd = []
    for name, sha256 in sorted(bundle.manifest.used.items()):
        root = next(root for root in roots if name.startswith(f"{root}."))
        stem = roots[root].joinpath(*name.removeprefix(f"{root}.").split("."))
        files = [file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()]
        if sha256 not in (digest, *map(sha256_file, files)):
            odd.append(name)
    return [f"the run used other versions than are here of {', '.join(odd)}"] if odd else []


def _check_needs(bundle: Bundle, task: Task, needs: Needs) -> None:
    record, card = bundle.record, bundle.card
    for place, said in ((FILE, record.card), (CARD, card)):
        if (said.access, said.track) != (needs.access, needs.track):
            raise Refused(
                f"{place} says {said.access[:80]!r}, {said.track[:80]!r}; {MEMBER} declares {needs}, which is "
                f"{needs.access!r}, {needs.track!r}"
            )
    if {*record.key.networks} != {*handed(needs, task)}:
        raise Refused(
            f"{FILE} names the networks {', '.join(sorted(record.key.networks))[:200]}; {MEMBER} declares "
            f"{', '.join(handed(needs, task))}"
        )
    cost = record.cost
    assert cost is not None
    if (cost.backwards and not needs.gradients) or (cost.generated and not {*needs.networks} - {*READERS}):
        raise Refused(
            f"{FILE} counts {cost.backwards} gradients and {cost.generated} generated images; {MEMBER} declares {needs}"
        )
