"""How often the intervals of precision, recall, density and coverage hold their expectation, by simulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from judged import Lookup, batch_of, judges_of, member, numbered

from cfbench.batch import Batch
from cfbench.dataset import Images
from cfbench.distances.neighbours import neighbourhoods
from cfbench.metrics.base import Metric
from cfbench.metrics.manifold import Coverage, Density, Precision, Recall

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
        return vectors.astype(np.float32).astype(np.float64)

    def made(self, random: np.random.Generator) -> np.ndarray:
        return (self.draw(random, self.n) * self.scale + self.shift).astype(np.float32).astype(np.float64)


EASY = Setting(n=100, real=150, dimensions=4, scale=0.6, shift=0.3)
SETTINGS = (
    EASY,
    Setting(n=100, real=150, dimensions=4, scale=1.0, shift=0.0),
    Setting(n=100, real=150, dimensions=4, scale=2.0, shift=0.0),
    Setting(n=100, real=150, dimensions=4, scale=0.3, shift=0.0),
    Setting(n=200, real=200, dimensions=16, scale=1.0, shift=0.3),
    Setting(n=200, real=200, dimensions=8, scale=1.2, shift=0.2, heavy=True),
)


def batch_with(made: np.ndarray, real: np.ndarray) -> Batch:
    """A batch whose features are the given vectors: images are numbers, and the extractor a table."""
    shape = (1, 1, 2)

    def images(start: int, count: int) -> torch.Tensor:
        places = torch.arange(start, start + count)
        made = numbered([0] * count, shape)
        made[:, 0, 0, 0], made[:, 0, 0, 1] = places % 256, places // 256
        return made

    class Table(Lookup):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            levels = images[:, 0, 0].mul(255).round().long()
            return self.table[levels[:, 0] + 256 * levels[:, 1]]

    reference = Images(images(len(made), len(real)), torch.ones(len(real), dtype=torch.int64))
    judges = judges_of(
        member("extractor", Table(np.concatenate([made, real]).tolist())), classes=2, image_shape=shape,
        reference=reference, verdicts="given",
    )  # fmt: skip
    counterfactuals = images(0, len(made))
    return batch_of(judges, counterfactuals, counterfactuals, given=[1] * len(made))


def scored(made: np.ndarray, real: np.ndarray) -> Iterator:
    """The scores of the four metrics."""
    batch = batch_with(made, real)
    for kind in METRICS:
        metric = kind.instances(batch.judges)[0]
        metric.update(batch)
        yield metric.compute()["all"]


def covered(setting: Setting, *, runs: int, draws: int) -> dict[str, float]:
    """Share of ``runs`` whose interval holds the mean of ``draws`` sets of as many vectors, the real ones fixed."""
    random = np.random.default_rng(0)
    real = setting.draw(random, setting.real)
    names = [kind.name for kind in METRICS]
    figures = [neighbourhoods(setting.made(random), real) for _ in range(draws)]
    expected = [np.mean([getattr(figure, name) for figure in figures]) for name in names]
    hits = np.zeros(len(names))
    for _ in range(runs):
        for index, score in enumerate(scored(setting.made(random), real)):
            hits[index] += score.ci95[0] <= expected[index] <= score.ci95[1]
    return dict(zip(names, hits / runs, strict=True))
