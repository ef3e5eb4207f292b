"""Files that attack the verifier are refused before they are read, naming the member, and leave nothing behind."""

from __future__ import annotations

import io
import json
import pickle
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bundles import (
    Change,
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
)
from PIL import Image

from cfbench.board.archive import Refused
from cfbench.board.bundle import MANIFEST
from cfbench.board.card import FILE as CARD
from cfbench.board.source import shown
from cfbench.board.submitting import submit
from cfbench.board.verify import verify
from cfbench.errors import CfbenchError
from cfbench.record import FILE, TABLE, Record
from cfbench.testing import Toy


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test hands to the verifier, its temporary folder is empty afterwards, and no record is published."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield
    assert not list(scratch.iterdir())


def rezipped(bundle: Path, out: Path, change: Callable[[zipfile.ZipFile, dict[str, bytes]], None]) -> Path:
    """A zip file that ``change`` writes, which is handed the members of a bundle."""
    with zipfile.ZipFile(out, "w") as archive:
        change(archive, members_of(bundle))
    return out


def with_member(name: str, data: bytes = b"x") -> Change:
    def change(members: dict[str, bytes]) -> None:
        members[name] = data

    return change


@pytest.mark.parametrize(
    "name",
    [
        "../outside.py",
        "/etc/passwd",
        "counterfactuals/../../outside.npz",
        "..\\outside.py",
        "C:\\outside.py",
        "counterfactuals/./0000000-0000019-0123456789abcdef.npz",
        "protocols/../counterfactuals/0000000-0000019-0123456789abcdef.npz",
        "protocols/a/b/counterfactuals/0000000-0000019-0123456789abcdef.npz",
        "counterfactuals/0000000-0000019-0123456789abcdef.npz\n",
        "counterfactuals/\u0660000000-0000019-0123456789abcdef.npz",
        "RUN.JSON",
        "notes.txt",
        "cfbench.pth",
        "gallery.png",
    ],
)
def test_a_member_of_any_other_name_is_refused(name: str, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    made = forged(bundle, tmp_path / "odd.zip", with_member(name))
    refusal(made, toy, f"the bundle holds {name!r}; expected bundle.json, run.json, queries.parquet, adapter.py")
    assert sorted(tmp_path.rglob("*")) == sorted([*before, made])
    assert not (tmp_path.parent / "outside.py").exists()


@pytest.mark.parametrize("side", [30_000, 2])
def test_pictures_are_no_part_of_a_bundle_whatever_they_hold(side: int, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    """Images come as shards: a huge or cut-off PNG meets no decoder."""
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG")
    made = forged(bundle, tmp_path / "png.zip", with_member("counterfactuals/0000000.png", buffer.getvalue()[:200]))
    refusal(made, toy, "the bundle holds 'counterfactuals/0000000.png'; expected")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files_are_refused(kind: int, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    def change(archive: zipfile.ZipFile, members: dict[str, bytes]) -> None:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = ((kind if name == "adapter.py" else stat.S_IFREG) | 0o644) << 16
            archive.writestr(info, b"/etc/passwd" if name == "adapter.py" else data)

    what = "a symbolic link" if kind == stat.S_IFLNK else "a folder or special file"
    refusal(rezipped(bundle, tmp_path / "link.zip", change), toy, f"holds 'adapter.py', {what}; expected plain files")


def test_folders_and_twins_are_refused(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    def folder(archive: zipfile.ZipFile, members: dict[str, bytes]) -> None:
        archive.writestr("counterfactuals/", b"")

    refusal(rezipped(bundle, tmp_path / "folder.zip", folder), toy, "'counterfactuals/', a folder or special file")

    def twice(archive: zipfile.ZipFile, members: dict[str, bytes]) -> None:
        for _ in range(2):
            archive.writestr(zipfile.ZipInfo(FILE), members[FILE])

    with pytest.warns(UserWarning, match="Duplicate name"):
        made = rezipped(bundle, tmp_path / "twice.zip", twice)
    refusal(made, toy, "holds the member 'run.json' twice; expected each name once")


def test_packed_members_are_refused_unread(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    """A bomb: 500 MB in half a megabyte."""

    def bomb(archive: zipfile.ZipFile, members: dict[str, bytes]) -> None:
        with archive.open(zipfile.ZipInfo(TABLE), "w") as file:
            for _ in range(500):
                file.write(bytes(1_000_000))

    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(TABLE)
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w") as file:
            for _ in range(500):
                file.write(bytes(1_000_000))
    assert (tmp_path / "bomb.zip").stat().st_size < 1_000_000
    refusal(tmp_path / "bomb.zip", toy, "holds 'queries.parquet', which says that", "unpack to 500000000")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(method: int, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w", method) as archive:
        archive.writestr(FILE, members_of(bundle)[FILE])
    refusal(tmp_path / "other.zip", toy, f"holds 'run.json', packed by method {method}")


@pytest.mark.parametrize(
    ("name", "most"), [(FILE, 8_000_000), (MANIFEST, 8_000_000), (CARD, 50_000), ("adapter.py", 250_000)]
)
def test_large_members_are_refused_unread(name: str, most: int, bundle: Path, toy: Toy, tmp_path: Path) -> None:
    made = forged(bundle, tmp_path / "large.zip", with_member(name, b" " * (most + 1)), refit=False)
    refusal(made, toy, f"{name} has {most + 1} bytes; expected at most {most}")


def test_a_file_that_is_too_large_is_not_opened(toy: Toy, tmp_path: Path) -> None:
    with (tmp_path / "sparse.zip").open("wb") as file:
        file.truncate(1_000_000_001)
    refusal(tmp_path / "sparse.zip", toy, "sparse.zip has 1000000001 bytes; expected at most 1000000000")


def test_members_are_counted_before_their_directory_is_read(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for index in range(20_001):
            archive.writestr(zipfile.ZipInfo(str(index)), b"")
    refusal(tmp_path / "many.zip", toy, "many.zip has 20001 members in a directory of")
    data = bytearray((tmp_path / "many.zip").read_bytes())
    struct.pack_into("<2H", data, len(data) - 14, 5, 5)
    (tmp_path / "few.zip").write_bytes(data)
    refusal(tmp_path / "few.zip", toy, "few.zip has 20001 members; expected at most 20000")
    with zipfile.ZipFile(tmp_path / "long.zip", "w") as archive:
        for index in range(200):
            archive.writestr(zipfile.ZipInfo(f"{index:060000}"), b"")
    refusal(tmp_path / "long.zip", toy, "long.zip has 200 members in a directory of 12009200 bytes")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[: len(data) // 2], "is not a zip archive, is cut off, or has a comment"),
        (lambda data: data[:-1], "is not a zip archive"),
        (lambda data: b"", "is not a zip archive"),
        (lambda data: b"PK", "is not a zip archive"),
        (lambda data: b"#!/bin/sh\n" + data, "more than one archive in it, or parts missing"),
        (lambda data: data[1000:], "more than one archive in it, or parts missing"),
        (lambda data: data + data, "more than one archive in it"),
        (lambda data: data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:], "more than one archive in it"),
        (lambda data: data[:-2] + b"\x01\x00!", "is not a zip archive"),
    ],
)
def test_what_is_no_plain_archive_is_refused(
    change: Callable[[bytes], bytes], said: str, bundle: Path, toy: Toy, tmp_path: Path
) -> None:
    (tmp_path / "odd.zip").write_bytes(change(bundle.read_bytes()))
    refusal(tmp_path / "odd.zip", toy, "odd.zip", said)


def test_no_changed_byte_changes_what_is_accepted(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    good = bundle.read_bytes()
    for place in range(0, len(good), len(good) // 60):
        (tmp_path / "changed.zip").write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        try:
            verify(tmp_path / "changed.zip", dataset=toy)
        except Refused:
            continue
        assert members_of(tmp_path / "changed.zip") == members_of(bundle)


def test_an_encrypted_member_is_refused(bundle: Path, toy: Toy, tmp_path: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    refusal(tmp_path / "locked.zip", toy, "'submission.json', which is encrypted")


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
        ({"more": npy([1.0] * 20)}, "holds 'more.npy'; expected images, errors, facts and columns"),
        ({"column_a/../b": npy([1.0] * 20)}, "holds 'column_a/../b.npy'"),
        ({"column_a": npy([1.0] * 21)}, "holds column_a of type float64 and shape [21]; expected float64 and [20]"),
        ({f"column_{index}": npy([1.0] * 20) for index in range(51)}, "has 54 members in a directory of 3166 bytes"),
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


def raw(member: str, data: bytes) -> Change:
    return with_member(member, data)


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
    made = forged(bundle, tmp_path / "json.zip", raw(member, data), refit=member != MANIFEST)
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
    bomb = pa.table({name: pa.nulls(0, columns.field(name).type) for name in columns.names})
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, bomb.schema) as writer:
        writer.write_table(
            pa.table({name: pa.repeat(pa.scalar(None, columns.field(name).type), rows) for name in columns.names})
        )
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
