"""Bundles, shards, entries and query tables, damaged in every way: read, or refused by a line that says why."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from bundles import npy
from fuzzing import VALUES, altered, cases, damaged, refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from odd_arrays import archives
from published_texts import CARD, RECORD

from cfbench.board.bundle import MANIFEST, Manifest, Member, open_bundle, pack
from cfbench.board.card import FILE as CARD_FILE
from cfbench.board.entries import read_entry
from cfbench.board.shards import read_shard
from cfbench.board.source import MEMBER as ADAPTER
from cfbench.comparison import Run
from cfbench.files import sha256_bytes
from cfbench.keys import run_path
from cfbench.record import FILE, TABLE, Record
from cfbench.store import Session, Shard

SHAPE = (1, 3, 4)

SHARD = Shard(
    5,
    torch.arange(48, dtype=torch.uint8).view(4, *SHAPE),
    ["", "it failed", "", ""],
    1.5,
    8,
    4,
    0,
    Session(0.1, 0, 12.0, "cpu"),
    {"steps": torch.arange(4.0, dtype=torch.float64)},
).to_bytes()

NAME = f"counterfactuals/0000005-0000008-{sha256_bytes(SHARD)[:16]}.npz"


def parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


COUNT = 6

TABLE_OF_QUERIES = pd.DataFrame(
    {
        "query_id": [f"q{index}" for index in range(COUNT)],
        "target": np.arange(COUNT) % 3,
        "flipped": np.arange(COUNT) % 2 == 0,
        "flip_rate": (np.arange(COUNT) % 2 == 0).astype(float),
    }
)

SMALL_RECORD = RECORD | {
    "queries": {"expected": COUNT, "requested": COUNT, "done": COUNT, "failed": 0},
    "scores": {"flip_rate": {"all": {"value": 0.5, "n": COUNT, "version": 1}}},
}

MEMBERS = {
    FILE: json.dumps(SMALL_RECORD).encode(),
    TABLE: parquet(TABLE_OF_QUERIES),
    ADAPTER: b"from cfbench import Method\n",
    CARD_FILE: json.dumps(CARD).encode(),
    NAME: SHARD,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archives")


def refitted(members: dict[str, bytes]) -> dict[str, bytes]:
    described = {name: Member(bytes=len(data), sha256=sha256_bytes(data)) for name, data in members.items()}
    return {MANIFEST: Manifest(used={}, members=described).model_dump_json().encode(), **members}


@cases(50)
@given(data=st.data())
def test_bundles(folder: Path, data: DataObject) -> None:
    members = refitted(MEMBERS)
    name = data.draw(st.sampled_from(sorted(members)))
    match data.draw(st.sampled_from(["bytes", "json", "name", "file", "file"])):
        case "bytes":
            members[name] = data.draw(damaged(members[name]))
            members = members if name == MANIFEST else refitted({**MEMBERS, name: members[name]})
        case "json":
            name = data.draw(st.sampled_from([FILE, CARD_FILE, MANIFEST]))
            changed = json.dumps(data.draw(altered(json.loads(members[name])))).encode()
            members = {**members, name: changed} if name == MANIFEST else refitted({**MEMBERS, name: changed})
        case "name":
            other = data.draw(st.text(max_size=20) | st.sampled_from([f"protocols/a/{NAME}", "..", "a/", NAME.upper()]))
            members[other] = members.pop(name)
        case "file":
            pass
    with refused():
        try:
            pack(folder / "made.zip", members)
        except (ValueError, UnicodeError):
            return
        if data.draw(st.booleans()):
            (folder / "made.zip").write_bytes(data.draw(damaged((folder / "made.zip").read_bytes())))
        with open_bundle(folder / "made.zip") as bundle:
            assert len(bundle.sha256) == 64
            for shard in bundle.shards:
                read_shard((bundle.folder / shard).read_bytes(), shard, positions=range(5, 9), image_shape=SHAPE)


@cases(120)
@given(data=archives(SHARD, ("column_new.npy", "further.npy", "images", "x")))
def test_shards(data: bytes) -> None:
    with refused("made.npz"):
        shard = read_shard(data, "made.npz", positions=range(5, 9), image_shape=SHAPE)
        assert shard.images.shape == (4, *SHAPE)
        assert len(shard.errors) == 4


@cases(50)
@given(facts=altered(json.loads(str(np.load(io.BytesIO(SHARD))["facts"]))))
def test_facts_of_shards(facts: object) -> None:
    with zipfile.ZipFile(io.BytesIO(SHARD)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["facts.npy"] = npy(json.dumps(facts))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with refused("made.npz"):
        read_shard(buffer.getvalue(), "made.npz", positions=range(5, 9), image_shape=SHAPE)


COLUMNS = st.one_of(
    st.lists(st.integers(-(2**40), 2**40), min_size=COUNT, max_size=COUNT),
    st.lists(st.floats(), min_size=COUNT, max_size=COUNT),
    st.lists(st.none() | st.text(max_size=3), min_size=COUNT, max_size=COUNT),
    st.lists(st.binary(max_size=3), min_size=COUNT, max_size=COUNT),
    st.lists(st.booleans() | st.none(), min_size=COUNT, max_size=COUNT),
    st.lists(st.lists(st.integers(0, 3), max_size=2), min_size=COUNT, max_size=COUNT),
)


@cases(50)
@given(data=st.data())
def test_entries(folder: Path, data: DataObject) -> None:
    """A published record with its query table: other columns, other rows, or damaged bytes."""
    record = Record.model_validate(SMALL_RECORD)
    place = run_path(folder, record.key)
    place.mkdir(parents=True, exist_ok=True)
    record.write(place)
    table = TABLE_OF_QUERIES.copy()
    for _ in range(data.draw(st.integers(0, 2))):
        name = data.draw(st.sampled_from([*table, "l1"]))
        table[name] = pd.Series(data.draw(COLUMNS))
    if data.draw(st.integers(0, 3)) == 0:
        table = table.drop(columns=data.draw(st.sampled_from(sorted(table))))
    if data.draw(st.integers(0, 3)) == 0:
        table = table.iloc[: data.draw(st.integers(0, COUNT))]
    whole = parquet(table)
    (place / TABLE).write_bytes(data.draw(damaged(whole)) if data.draw(st.integers(0, 2)) == 0 else whole)
    (place / "submission.json").unlink(missing_ok=True)
    if data.draw(st.booleans()):
        card = {**CARD, "verified": True, "bundle": "0" * 64}
        (place / "submission.json").write_text(json.dumps(data.draw(altered(card) | VALUES)))
    with refused(place.name):
        assert len(read_entry(place).table) == COUNT
        Run.read(place)
