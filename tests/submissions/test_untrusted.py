"""Files that attack the verifier are refused before they are read, naming the member, and leave nothing behind."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bundles import (
    adapter_file,
    bundle_of,
    card_of,
    edited,
    forged,
    members_of,
    npy,
    put,
    refusal,
    run_of,
    shard_names,
    shard_with,
    with_member,
)

from cfbench.board.bundle import MANIFEST
from cfbench.board.card import FILE as CARD
from cfbench.board.source import shown
from cfbench.board.submitting import submit
from cfbench.board.verify import verify
from cfbench.errors import CfbenchError
from cfbench.record import FILE, TABLE, Record
from cfbench.testing import Toy


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_arrays_of_objects_are_never_unpickled(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    marker = tmp_path / "unpickled"
    for name in ("images", "errors", "facts", "column_steps"):
        array = np.array([Bomb(marker)] * 20, dtype=object)
        made = forged(bundle, tmp_path / f"{name}.zip", shard_with(**{name: npy(array)}))
        refusal(made, toy, ".npz holds Python objects in array", "never unpickled")
    raw = forged(bundle, tmp_path / "raw.zip", shard_with(images=pickle.dumps(Bomb(marker))))
    refusal(raw, toy, ".npz is damaged in array images.npy")

    def pickled(members: dict[str, bytes]) -> None:
        first = shard_names(members)[0]
        del members[first]
        put(members, first, pickle.dumps(Bomb(marker)))

    refusal(forged(bundle, tmp_path / "whole.zip", pickled), toy, ".npz is not a zip archive")
    assert not marker.exists()


def header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    """The header of an array without its data."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": header((10**9, 1, 12, 12))}, "shape [1000000000, 1, 12, 12]; expected uint8 and [20, 1, 12, 12]"),
        ({"images": header((20, 1, 12, 12))}, "of 128 bytes; expected 3008, as its form says"),
        ({"images": header((20, 1, 12, 12)) + bytes(2879)}, "of 3007 bytes; expected 3008"),
        ({"images": header((20, 1, 12, 12)) + bytes(100_000_000)}, "bytes; expected 3008, as its form says"),
        ({"images": b""}, "is damaged in array images.npy"),
        ({"images": None}, "is damaged or not a shard"),
        ({"errors": npy(["x" * 5001] * 20)}, "errors of type <U5001 and shape [20]; expected text of at most 5000"),
        ({"errors": npy([b"x"] * 20)}, "errors of type |S1"),
        ({"errors": npy([""] * 19)}, "expected text of at most 5000 characters and [20]"),
        ({"errors": npy(np.frombuffer(b"\xff" * 80, "<U1"))}, "holds 'errors.npy' with codes that are no Unicode"),
        ({"errors": npy(["\ud800"] * 20)}, "is damaged or not a shard"),
        ({"more": npy([1.0] * 20)}, "holds 'more.npy'; expected images, further, errors, facts and"),
        ({"column_a/../b": npy([1.0] * 20)}, "holds 'column_a/../b.npy'"),
        ({"column_a": npy([1.0] * 21)}, "holds column_a of type float64 and shape [21]; expected float64 and [20]"),
        ({f"column_{index}": npy([1.0] * 20) for index in range(52)}, "has 55 members in a directory of"),
        ({"facts": npy("not json")}, "facts is not"),
        ({"facts": npy("[" * 4000)}, "facts is nested too deeply"),
        ({"facts": npy('{"first": 0, "first": 0}')}, "'first' comes twice"),
        ({"facts": npy('{"first": NaN}')}, "NaN"),
        ({"facts": npy("{}")}, "facts whose first is wrong: Field required"),
    ],
)
def test_shards_are_judged_by_their_headers(
    arrays: dict[str, bytes | None], said: str, bundle: Path, toy: Toy, tmp_path: Path
) -> None:
    message = refusal(forged(bundle, tmp_path / "shard.zip", shard_with(**arrays)), toy, said)
    assert "counterfactuals/0000000-0000019-" in message


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("seconds", -1.0, "greater than or equal to 0"),
        ("forwards", 1.5, "valid integer"),
        ("forwards", True, "valid integer"),
        ("first", 20, "says that its first query is 20; expected 0"),
        ("session", {}, "facts whose session.setup_seconds is wrong: Field required"),
        ("extra", 1, "facts whose extra is wrong: Extra inputs are not permitted"),
    ],
)
def test_facts_of_a_shard_are_checked(
    field: str, value: object, said: str, bundle: Path, toy: Toy, tmp_path: Path
) -> None:
    members = members_of(bundle)
    with np.load(io.BytesIO(members[shard_names(members)[0]])) as arrays:
        facts = json.loads(str(arrays["facts"])) | {field: value}
    refusal(forged(bundle, tmp_path / "facts.zip", shard_with(facts=npy(json.dumps(facts)))), toy, said)


@pytest.mark.parametrize("member", [FILE, CARD, MANIFEST])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Expecting value"),
        (b"[1, 2", "Expecting ',' delimiter"),
        (b"[]", "dictionary"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "1e999"),
        (b'{"a": 123456789012345678901234567890}', "1234567890123456"),
        (b'{"a": ' + b"9" * 5000 + b"}", "99999"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' comes twice"),
        (b'{"a": 1, "\\u0061": 2}', "'a' comes twice"),
        (b"[" * 100_000, "nested too deeply"[:6]),
        ('{"a": "é"}'.encode("latin-1"), "UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"a": "\\ud800"}', "0xd800"),
        (b'{"a": "\\u001b[31m"}', "0x1b"),
        (b'{"a": "\\u0000"}', "0x0"),
        (b'{"a": "' + b"x" * 5001 + b'"}', "5001 characters"),
        (b'{"' + b"x" * 5001 + b'": 1}', "5001 characters"),
    ],
)
def test_json_of_strangers_is_read_strictly(
    member: str, data: bytes, said: str, bundle: Path, toy: Toy, tmp_path: Path
) -> None:
    if member == CARD and len(data) > 50_000:
        data = data[:50_000]
    made = forged(bundle, tmp_path / "json.zip", with_member(member, data), refit=member != MANIFEST)
    with pytest.raises(CfbenchError, match=member) as caught:
        verify(made, dataset=toy)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("schema_version", 2, "run.json is no record of this release: schema_version is wrong"),
        ("surprise", 1, "surprise is wrong: Extra inputs are not permitted"),
        ("key.method", "../../evil", "method '../../evil' on task 'toy@v1'; expected names of small letters"),
        ("key.method", "/tmp/evil.py:Evil", "expected names of small letters"),
        ("key.method", "<script>", "expected names of small letters"),
        ("key.task", "/tmp/evil.py:Evil", "a task such as fashion-mnist@v1"),
        ("key.task", "../tasks/evil@v1", "a task such as fashion-mnist@v1"),
        ("key.targets", "../near", "unknown target rule '../near'"),
        ("key.classifier", "../robust", "has no network '../robust'"),
        ("key.classifier", "oracle-1", "is of role oracle and cannot be explained"),
        ("key.variant", "seeds", "expected a complete run on test queries"),
        ("provenance.threads", 10**9, "1000000000 threads; expected 1 to 256"),
        ("provenance.threads", 0, "0 threads; expected 1 to 256"),
        ("protocols", ["../seeds"], "unknown protocol '../seeds'"),
        ("cost", None, "no cost"),
    ],
)
def test_fields_that_steer_the_verifier_are_checked(
    place: str, value: object, said: str, bundle: Path, toy: Toy, tmp_path: Path
) -> None:
    refusal(forged(bundle, tmp_path / "field.zip", edited(place, value)), toy, "run.json", said)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("paper", "javascript:alert(1)"),
        ("code", 'https://a" onclick="x'),
        ("author", ""),
        ("author", "a\nb"),
        ("author", "x" * 201),
        ("access", "root"),
        ("verified", True),
        ("flags", []),
        ("date", "soon"),
    ],
)
def test_cards_hold_plain_fields_only(field: str, value: object, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    made = forged(bundle, tmp_path / "card.zip", edited(field, value, CARD))
    with pytest.raises(CfbenchError, match=f"submission.json: {field} is wrong"):
        verify(made, dataset=toy)


def test_parquet_is_judged_by_its_footer(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    refusal(forged(bundle, tmp_path / "a.zip", with_member(TABLE, b"PAR1")), toy, "queries.parquet is not a readable")
    good = members_of(bundle)[TABLE]
    refusal(forged(bundle, tmp_path / "b.zip", with_member(TABLE, good[:-40])), toy, "queries.parquet")
    columns = pq.read_schema(io.BytesIO(good))
    rows = 500_000
    buffer = io.BytesIO()
    pq.write_table(pa.table({field.name: pa.nulls(rows, field.type) for field in columns}), buffer)
    made = forged(bundle, tmp_path / "c.zip", with_member(TABLE, buffer.getvalue()))
    assert made.stat().st_size < 500_000
    refusal(made, toy, "queries.parquet has 500000 rows", "expected 60 rows")


def test_nothing_submitted_is_run(toy: Toy, tmp_path: Path) -> None:
    """Neither to verify a bundle, nor to refuse it."""
    marker = tmp_path / "ran"
    method = adapter_file(tmp_path, body=f"__import__('pathlib').Path({str(marker)!r}).touch()")
    record, run = run_of(method, toy, tmp_path)
    marker.unlink()
    made = bundle_of(run, tmp_path / "a.zip", method)
    refusal(made, toy, "line 14: __import__")
    told = bundle_of(run, tmp_path / "b.zip", method, reads="nothing, it writes")
    assert verify(told, dataset=toy).record.key == record.key
    submit(run, card_of(record, reads="nothing, it writes"), tmp_path / "c.zip", method=method, dataset=toy)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"class Brighten(:", "is not plain Python source in UTF-8"),
        (b"\xff\xfe", "is not plain Python source in UTF-8"),
        (b"x = '" + b"(" * 50_000 + b"'", "has 0 classes with name = 'brighten'"),
        (b"(" * 100_000, "is not plain Python source in UTF-8"),
        (b"x" + b".a" * 50_000, "is not plain Python source in UTF-8"),
        (b"a = 1\x00", "is not plain Python source in UTF-8"),
        (b"class A: name = 'brighten'\nclass B: name = 'brighten'\n", "has 2 classes with name = 'brighten'"),
    ],
    ids=range(7),
)
def test_source_that_is_no_adapter_is_refused(source: bytes, said: str, toy: Toy, tmp_path: Path) -> None:
    method = adapter_file(tmp_path)
    _, run = run_of(method, toy, tmp_path)

    def change(members: dict[str, bytes]) -> None:
        from cfbench.files import sha256_bytes
        from cfbench.keys import combined_hash

        members["adapter.py"] = source
        used = json.loads(members[MANIFEST])["used"]
        edited("key.adapter", combined_hash(sha256_bytes(source), used))(members)

    refusal(forged(bundle_of(run, tmp_path / "a.zip", method), tmp_path / "b.zip", change), toy, "adapter.py", said)


def test_source_is_shown_without_codes_that_steer_a_terminal() -> None:
    assert shown("a\x1b[31mb\r\u202e\u2066\tc\n") == "a\\x1b[31mb\\r\\u202e\\u2066    c\n"
    assert shown("# naïve Ω\n") == "# naïve Ω\n"


def test_the_record_that_counts_is_the_one_computed_here(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    """What does not follow from the images is shown, but what does is never taken from the bundle."""
    made = forged(bundle, tmp_path / "a.zip", edited("provenance.accuracies", {"oracle-1": 1.0}))
    verdict = verify(made, dataset=toy)
    assert verdict.record.provenance.accuracies == {
        name: toy.entry(name).quality["accuracy"] for name in toy.built() if "accuracy" in toy.entry(name).quality
    }
    assert set(verdict.record.provenance.networks) == set(toy.built())
    assert isinstance(verdict.record, Record)
