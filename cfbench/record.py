"""The record of a run: typed, complete, and written as ``run.json``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cfbench.errors import CorruptFile, MissingResource
from cfbench.files import content_hash, write_text
from cfbench.strict_json import read_json

SCHEMA_VERSION: Literal[1] = 1
FILE = "run.json"
TABLE = "queries.parquet"
"""The query table beside the record: a row a query."""

LOCAL_FOLDERS = re.compile(r"(?<![^\s'\"(])/[^\s'\"]*/")
"""Absolute folders in a message."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class RunKey(_Model):
    """What a run is; equal keys mean equal counterfactuals."""

    method: str
    method_version: str
    adapter: str = Field(description="sha256 of the adapter's source file")
    parameters: dict[str, Any]
    task: str
    targets: str
    split: str
    split_hash: str
    classifier: str = "classifier"
    """Name of the network explained."""
    networks: dict[str, str] = Field(description="sha256 of the classifier and of each network handed to the method")
    seed: int
    variant: str = ""
    """The run of a protocol on altered queries, with a hash of these."""

    @property
    def digest(self) -> str:
        """Hex sha256 of everything above."""
        return content_hash(self.model_dump(mode="json"))


class Score(_Model):
    """One number: its interval, how many queries it is over, which network made it.

    ``value`` is None where the metric cannot be computed, ``ci95`` where no interval is known to cover; ``reason`` then
    says why. ``floor`` is what two sets of real images of that size score. ``replicates`` are delete-group jackknife
    values, of the same groups of queries in every run; ``corrected`` is the bias-corrected value. ``details`` are its
    parts by name.
    """

    value: float | None
    ci95: tuple[float, float] | None = None
    n: int
    version: int
    network: str | None = None
    floor: float | None = None
    replicates: tuple[float, ...] | None = None
    corrected: float | None = None
    details: dict[str, float] | None = None
    reason: str | None = None


class Queries(_Model):
    """How many queries the split has, were asked for, were done, and failed (exception, non-finite, time limit)."""

    expected: int
    requested: int
    done: int
    failed: int


class Cost(_Model):
    """What the run cost; calls are counted in images. Setup is ``prepare``, explain is the rest."""

    setup_seconds: float
    explain_seconds: float
    seconds_per_query: float
    setup_forwards: int
    forwards: int
    backwards: int
    generated: int
    peak_mb: float | None
    device: str


class Provenance(_Model):
    """Which code, machine, networks and images made the record."""

    cfbench: str
    commit: str | None
    dirty: bool | None
    python: str
    torch: str
    platform: str
    threads: int
    device_name: str
    networks: dict[str, str] = Field(description="sha256 of every frozen network, judges included")
    accuracies: dict[str, float] = Field(description="clean test accuracy of the classifiers among them")
    images: str = Field(description="sha256 over the stored 8-bit counterfactuals in query order")


class Card(_Model):
    """What the board says of the method beside its numbers."""

    family: str
    citation: str
    access: str
    track: str


class Reported(_Model):
    """A figure from the method's own paper."""

    value: float
    source: str


class Record(_Model):
    """Scores and provenance of one run."""

    schema_version: Literal[1] = SCHEMA_VERSION
    key: RunKey
    card: Card
    status: Literal["complete", "partial", "failed"]
    queries: Queries
    scores: dict[str, dict[str, Score]] = Field(description="metric name, then subset: all, flipped")
    cost: Cost | None = Field(description="None where the images were made elsewhere")
    provenance: Provenance
    reported: dict[str, Reported] = {}
    protocols: list[str] = []
    """Protocols that were run and scored."""

    def write(self, folder: Path) -> Path:
        """Write ``run.json`` into ``folder`` atomically."""
        path = folder / FILE
        write_text(path, self.model_dump_json(indent=2) + "\n")
        return path

    def slim(self) -> dict[str, Any]:
        """The record as JSON, without fields of scores that say nothing, and without names of local folders."""
        content = self.model_dump(mode="json")
        for score in (score for subsets in content["scores"].values() for score in subsets.values()):
            if score["reason"]:
                score["reason"] = LOCAL_FOLDERS.sub("", score["reason"])
            for name in [name for name, value in score.items() if value is None and name != "value"]:
                del score[name]
        return content

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Read ``folder/run.json``.

        Raises:
            MissingResource: there is none. CorruptFile: it is not a record of this schema.
        """
        path = folder / FILE
        if not path.is_file():
            raise MissingResource(f"{path} is missing; finish the run with cfbench evaluate, or give a run folder")
        try:
            return cls.model_validate(read_json(path.read_bytes(), str(path)))
        except ValidationError as error:
            first = error.errors()[0]
            what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise CorruptFile(
                f"{path} is not a record of schema {SCHEMA_VERSION}: {what}; score its stored images again with the "
                "cfbench evaluate command that made the run"
            ) from error
