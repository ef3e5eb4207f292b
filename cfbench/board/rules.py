"""What the leaderboard shows and ranks by: data, in ``board.toml`` beside the published records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cfbench.board.card import first_problem
from cfbench.errors import InvalidParameter, MissingResource, placed
from cfbench.registry import metric_of
from cfbench.toml_file import read_toml

FILE = "board.toml"

SECONDS = "seconds"
"""The cost of a query, which is no metric; it may stand in ``pareto``."""


class Rules(BaseModel):
    """What the leaderboard shows and ranks by.

    Attributes:
        title: of the page. headline: the metric that decides ranks and the gate; a share of a few, a value a query.
        gate: the method that a row must beat by the headline to be ranked.
        distance: the metric of the aggregate; far: the method whose distance on the same query counts as far.
        references: methods that are always shown and never ranked.
        columns: metrics whose values a query are kept in published tables.
        pareto: metrics, or ``seconds``, in which a row of the Pareto front is nowhere worse than another.
        metrics: what is shown, in this order, with the names shown.
        first: tasks that come first, such as ``mnist@v1``; the others follow by how many records they have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    headline: str
    gate: str
    distance: str
    far: str
    references: Annotated[tuple[str, ...], Field(min_length=1)]
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    pareto: Annotated[tuple[str, ...], Field(min_length=1)]
    metrics: dict[str, str]
    first: tuple[str, ...] = ()

    @property
    def deciding(self) -> tuple[str, ...]:
        """Metrics that decide something: only rows with the same versions and networks of them are ranked together."""
        return tuple(dict.fromkeys((self.headline, self.distance, *(name for name in self.pareto if name != SECONDS))))

    @classmethod
    def read(cls, path: Path) -> Rules:
        """Read the TOML file of a board.

        Raises:
            MissingResource: there is none. CorruptFile: it is not TOML. InvalidParameter: a key is missing, unknown or
                of the wrong type, or a method or metric does not fit. UnknownName: it names a metric that is not
                registered.
        """
        if not path.is_file():
            raise MissingResource(
                f"{path} is missing; give --records of a leaderboard folder, which has it beside them"
            )
        try:
            rules = cls.model_validate(read_toml(path))
        except ValidationError as error:
            raise InvalidParameter(f"{path}: {first_problem(error)}") from error
        with placed(f"{path}: metrics"):
            for name in rules.metrics:
                metric_of(name)
        for name in (*rules.deciding, *rules.columns):
            if name not in rules.metrics:
                raise InvalidParameter(f"{path}: {name!r} is not among the metrics that are shown; add it to [metrics]")
        for name in {rules.headline, rules.distance} - {*rules.columns}:
            raise InvalidParameter(f"{path}: {name!r} is needed a query; add it to columns")
        for name in {rules.gate, rules.far} - {*rules.references}:
            raise InvalidParameter(f"{path}: {name!r} is not among the references; add it to them")
        return rules

    @classmethod
    def beside(cls, records: Path) -> Rules:
        """The rules of the board that a folder of records belongs to."""
        return cls.read(records.parent / FILE)
