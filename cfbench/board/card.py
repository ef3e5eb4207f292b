"""The card of a submission: who, under which licence, from which paper, with what the method was given."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from cfbench.errors import CorruptFile, InvalidParameter
from cfbench.files import write_text
from cfbench.record import Record
from cfbench.strict_json import read_json
from cfbench.toml_file import read_toml

FILE = "submission.json"

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\n\t]*$")]
Filled = Annotated[Line, StringConstraints(min_length=1)]
Link = Annotated[str, StringConstraints(max_length=300, pattern=r"^(https?://[!#-;=?-Z_a-z~]+)?$")]
"""An address of the web without characters that end a quoted one, or nothing."""

TEMPLATE = """\
# Card of a submission to the leaderboard of cfbench; empty strings are for what does not apply.
author = ""         # who submits, as the board is to show it
affiliation = ""
licence = ""        # of the adapter, such as MIT; its source becomes public
paper = ""          # https:// link to the paper
code = ""           # https:// link to the code
date = {date}
environment = {environment}
access = "{access}" # what the harness handed to the method; the record must say the same
track = "{track}"
reads = ""          # files, packages or services that the adapter reads besides, and where they are from
notes = ""
"""


class Card(BaseModel):
    """What the submitter says. ``access`` and ``track`` must be those that the harness enforced.

    Attributes:
        reads: what the adapter reads besides what the harness hands over; must be filled in where its source does so.
    """

    model_config = ConfigDict(extra="forbid")
    author: Filled
    affiliation: Line = ""
    licence: Filled
    paper: Link = ""
    code: Link = ""
    date: date
    environment: Filled
    access: Literal["white-box", "black-box", "renderer"]
    track: Literal["data-free", "training-data", "generator-based", "reference"]
    reads: Annotated[str, StringConstraints(max_length=1000)] = ""
    notes: Annotated[str, StringConstraints(max_length=2000)] = ""


class Submission(Card):
    """The card as it is published beside an accepted record.

    Attributes:
        verified: whether the scores were computed again from the submitted images. bundle: sha256 of what was verified.
        flags: what a reader should know, such as how many counterfactuals are copies of training images.
    """

    verified: bool
    bundle: str = Field(pattern=r"^[0-9a-f]{64}$")
    flags: list[Annotated[str, StringConstraints(max_length=2000)]] = []


def write_template(path: Path, record: Record) -> None:
    """Write a card to be filled in for the run of ``record``; what the run itself knows is filled in."""
    origin = record.provenance
    environment = f"Python {origin.python}, torch {origin.torch}, {origin.platform}, {origin.threads} threads"
    values = {"environment": json.dumps(environment), "access": record.card.access, "track": record.card.track}
    write_text(path, TEMPLATE.format(date=date.today().isoformat(), **values))


def read_card(path: Path) -> Card:
    """The card in a TOML file.

    Raises:
        CorruptFile: it is not TOML. InvalidParameter: a field is missing or wrong; names it.
    """
    try:
        return Card.model_validate(read_toml(path))
    except ValidationError as error:
        raise InvalidParameter(f"{path}: {first_problem(error)}") from error


def parse_card(data: bytes) -> Card:
    """The card in a bundle's ``submission.json``.

    Raises:
        CorruptFile: it is not JSON, or a field is missing or wrong; names it.
    """
    try:
        return Card.model_validate(read_json(data, FILE))
    except ValidationError as error:
        raise CorruptFile(f"{FILE}: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """Where the first thing is wrong, and what."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "it"
    return f"{place} is wrong: {first['msg']}"
