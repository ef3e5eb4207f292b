"""How often the intervals of precision, recall, density and coverage hold their expectation, by simulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from judged import Lookup, batch_of, judges_of, member

from cfbench.batch import Batch
from cfbench.dataset import Images
from cfbench.distances.neighbours import neighbourhoods
from cfbench.metrics.base import Metric
from cfbench.metrics.manifold import Coverage, Density, Precision, Recall
from cfbench.record import Score

METRICS: tuple[type[Metric], ...] = (Precision, Recall, Density, Coverage)


@dataclass(frozen=True)
class Setting:
    """``n`` made vectors against ``real`` standard normal ones, or Student's with 5 degrees of freedom."""

    n: int
    real: int
    dimensions: int
    scale: float
    shift: float
    heavy: bool = False

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        vectors = random.normal(size=(count, self.dimensions))
        if self.heavy:
            vectors /= np.sqrt(random.chisquare(5, size=(count, 1)) / 5)
        return vectors

    def made(self, random: np.random.Generator) -> np.ndarray:
        return self.draw(random, self.n) * self.scale + self.shift


EASY = Setting(n=100, real=150, dimensions=4, scale=0.6, shift=0.3)
SETTINGS = (
    EASY,
    Setting(n=100, real=150, dimensions=4, scale=1.0, shift=0.0),
    Setting(n=100, real=150, dimensions=4, scale=2.0, shift=0.0),
    Setting(n=100, real=150, dimensions=4, scale=0.3, shift=0.0),
    Setting(n=200, real=200, dimensions=16, scale=1.0, shift=0.3),
    Setting(n=200, real=200, dimensions=8, scale=1.2, shift=0.2, heavy=True),
)


class Table(Lookup):
    """A table whose rows are numbered by the first two pixels."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        low, high = images[:, 0, 0].mul(255).round().long().unbind(dim=1)
        return self.table[low + 256 * high]


def images_of(places: range) -> torch.Tensor:
    """Images of two pixels that give their places in a table."""
    numbers = torch.tensor(places)
    return torch.stack([numbers % 256, numbers // 256], dim=1).to(torch.uint8).view(-1, 1, 1, 2)


def batch_with(made: np.ndarray, real: np.ndarray) -> Batch:
    """A batch whose features, and those of the held-out real images, are the given vectors."""
    n, everything = len(made), len(made) + len(real)
    extractor = Table(np.concatenate([made, real]).tolist())
    reference = Images(images_of(range(n, everything)), torch.ones(len(real), dtype=torch.int64))
    judges = judges_of(
        member("extractor", extractor), classes=2, image_shape=(1, 1, 2), reference=reference, verdicts="given"
    )
    return batch_of(judges, images_of(range(n)), images_of(range(n)), given=[1] * n)


def scored(made: np.ndarray, real: np.ndarray) -> Iterator[Score]:
    """The scores of the four metrics."""
    batch = batch_with(made, real)
    for kind in METRICS:
        metric = kind.instances(batch.judges)[0]
        metric.update(batch)
        yield metric.compute()["all"]


@dataclass(frozen=True)
class Covered:
    """Of how many runs an interval was given, and which share of these holds the expectation (NaN of none)."""

    given: int
    share: float


def covered(setting: Setting, *, runs: int, draws: int) -> dict[str, Covered]:
    """How often intervals hold the mean of ``draws`` sets of as many vectors, the real ones fixed."""
    random = np.random.default_rng(0)
    real = setting.draw(random, setting.real)
    names = [kind.name for kind in METRICS]
    figures = [neighbourhoods(setting.made(random), real) for _ in range(draws)]
    expected = [np.mean([getattr(figure, name) for figure in figures]) for name in names]
    hits: list[list[bool]] = [[] for _ in names]
    for _ in range(runs):
        for index, score in enumerate(scored(setting.made(random), real)):
            if score.ci95:
                hits[index].append(bool(score.ci95[0] <= expected[index] <= score.ci95[1]))
    return {
        name: Covered(len(held), float(np.mean(held)) if held else float("nan"))
        for name, held in zip(names, hits, strict=True)
    }
