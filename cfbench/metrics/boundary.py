"""What a student learns of the classifier from its counterfactuals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cfbench.boundary import Teaching, agreement
from cfbench.metrics.base import Metric, Scores
from cfbench.record import Score
from cfbench.stats import crossed_difference

if TYPE_CHECKING:
    from cfbench.batch import Batch
    from cfbench.judges import Judges


class BoundaryGain(Metric):
    """How much oftener students agree with the classifier when counterfactuals, labelled with their targets, are added.

    Small networks are trained on the queries as the classifier labels them, and on queries and counterfactuals; the
    gain is that of the share of held-out real images on which they say what the classifier says. ``details`` holds the
    shares, also with noise and with attacks of the same norm in place of counterfactuals. The interval is about other
    students and other real images, not about other queries. Rewards images that lie
    where the classifier's classes are. Fooled by real images of the target class, which teach well without explaining.
    """

    name = "boundary_gain"
    family = "stability"
    unit = "difference of shares of images"
    direction = "higher"
    bounds = (-1.0, 1.0)
    minimum = 50
    needs = ("classifier", "reference")
    protocol = "boundary"
    citation = "boundary learning of Thiagarajan et al., arXiv 2109.14274; students and baselines ours"
    subsets = ("all",)

    def __init__(self, judges: Judges) -> None:
        super().__init__(judges)
        self._batches: list[tuple[Tensor, ...]] = []

    @property
    def network(self) -> str:
        return self.judges.explained

    def update(self, batch: Batch) -> dict[str, Tensor]:
        self._batches.append((batch.stored_queries, batch.sources, batch.stored, batch.targets, ~batch.failed))
        return {}

    @torch.inference_mode(False)
    @torch.enable_grad()
    def compute(self) -> Scores:
        queries, sources, made, targets, kept = (
            torch.cat([part.cpu().clone() for part in parts]) for parts in zip(*self._batches, strict=True)
        )
        n = len(queries)
        if (explained := int(kept.sum())) < self.minimum:
            return {"all": self.blank(f"needs at least {self.minimum} queries that did not fail, has {explained}", n)}
        teaching = Teaching(queries[kept], sources[kept], made[kept], targets[kept])
        classifier = self.judges.fresh(self.judges.classifier).cpu()
        held_out = self.judges.reference.images.cpu().clone()
        shares = {
            name: agreement(classifier, data, held_out, classes=self.judges.num_classes)
            for name, data in teaching.sets(classifier).items()
        }
        gain = crossed_difference(shares["counterfactuals"].numpy(), shares["queries"].numpy())
        score = Score(
            value=gain.value,
            ci95=gain.interval,
            n=explained,
            version=self.version,
            network=self.network,
            details={name: float(share.mean()) for name, share in shares.items()},
        )
        return {"all": score}
