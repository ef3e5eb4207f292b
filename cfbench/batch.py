"""A batch of queries and counterfactuals with what the judges say of them, each network run once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from cfbench.images import dequantise
from cfbench.insertion import insertion_curves
from cfbench.networks import FeatureNetwork

if TYPE_CHECKING:
    from cfbench.judges import Judges
    from cfbench.spaces import Space

Which = Literal["queries", "counterfactuals"]

KEPT = 5000
"""Queries, from the first on, whose features by published networks are kept on disk."""

UNDECIDED = -1
"""What a network predicts that gives NaN."""


def decided(logits: Tensor) -> Tensor:
    """Class of the greatest of ``logits`` [B, classes], or ``UNDECIDED`` where one is NaN, ``[B]``."""
    return torch.where(logits.isnan().any(dim=1), UNDECIDED, logits.argmax(dim=1))


@dataclass
class Batch:
    """Queries and stored counterfactuals at consecutive positions; caches what each network gives.

    Attributes:
        positions: place of each query in its split, ``[B]``.
        stored_queries, stored: queries and counterfactuals, uint8 ``[B, C, H, W]``.
        sources, targets: class of each query by the classifier, class asked for, ``[B]``.
        failed: queries that failed, ``[B]``; their counterfactual is the query.
        costs: figures of each query's share of the run, ``[B]``. given: predictions made elsewhere, ``[B]``, if any.
        reruns: the same queries in the runs on altered ones, by protocol.
        further: the same queries with other counterfactuals that the method handed in; the query where there is none.
    """

    judges: Judges
    positions: Tensor
    stored_queries: Tensor
    sources: Tensor
    targets: Tensor
    stored: Tensor
    failed: Tensor
    costs: Mapping[str, Tensor] = field(default_factory=dict)
    given: Tensor | None = None
    reruns: Mapping[str, Batch] = field(default_factory=dict)
    further: Sequence[Batch] = ()
    _logits: dict[tuple[str, Which], Tensor] = field(default_factory=dict, repr=False)
    _maps: dict[tuple[str, Which], list[Tensor]] = field(default_factory=dict, repr=False)
    _features: dict[tuple[str, Which], Tensor] = field(default_factory=dict, repr=False)
    _rebuilt: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _curves: dict[int, Tensor] = field(default_factory=dict, repr=False)
    _factors: dict[Which, Tensor] = field(default_factory=dict, repr=False)

    @cached_property
    def queries(self) -> Tensor:
        """Queries in [0, 1]."""
        return dequantise(self.stored_queries)

    @cached_property
    def counterfactuals(self) -> Tensor:
        """Counterfactuals in [0, 1]."""
        return dequantise(self.stored)

    @cached_property
    def levels(self) -> Tensor:
        """Change of each pixel in 8-bit levels, int16 ``[B, C, H, W]``."""
        return self.stored.short() - self.stored_queries.short()

    @cached_property
    def change(self) -> Tensor:
        """Change of each pixel in [-1, 1], exact to float64, ``[B, C, H, W]``."""
        return self.levels.double() / 255

    def logits(self, name: str, which: Which = "counterfactuals") -> Tensor:
        """Logits of a frozen network, ``[B, outputs]``."""
        if (name, which) not in self._logits:
            self._logits[name, which] = self.judges.network(name)(getattr(self, which))
        return self._logits[name, which]

    def probabilities(self, name: str, which: Which = "counterfactuals") -> Tensor:
        """Class probabilities by a frozen classifier, float64 ``[B, classes]``."""
        return self.logits(name, which).double().softmax(dim=1)

    def prediction(self, name: str, which: Which = "counterfactuals") -> Tensor:
        """Class by a frozen classifier, or ``UNDECIDED``, ``[B]``."""
        return decided(self.logits(name, which))

    def maps(self, name: str, which: Which) -> list[Tensor]:
        """Feature maps of a frozen network with readable stages."""
        if (name, which) not in self._maps:
            network = self.judges.network(name)
            assert isinstance(network, FeatureNetwork)
            self._maps[name, which] = network.blocks(getattr(self, which))
        return self._maps[name, which]

    def features(self, space: Space, which: Which) -> Tensor:
        """Features in a space, float64 on the CPU, ``[B, D]``."""
        if (space.name, which) not in self._features:
            if space.network is not None:
                made = self.maps(space.network, which)[-1].mean(dim=(2, 3))
            elif which == "queries" and self.positions[-1] < KEPT:
                made = self.judges.real_features(space, self.stored_queries)
            else:
                made = space.embed(getattr(self, which))
            self._features[space.name, which] = made.to("cpu", torch.float64)
        return self._features[space.name, which]

    def rebuilt(self, by: Literal["all", "source", "target"]) -> Tensor:
        """Counterfactuals after the autoencoder of all classes, or of each one's source or target class, float64."""
        if by not in self._rebuilt:
            self._rebuilt[by] = self._rebuild(by)
        return self._rebuilt[by]

    def _rebuild(self, by: Literal["all", "source", "target"]) -> Tensor:
        judges = self.judges
        if by == "all":
            whole: Tensor = judges.network(judges.autoencoder(None))(self.counterfactuals)
            return whole.double()
        classes = self.sources if by == "source" else self.targets
        made = torch.empty_like(self.counterfactuals, dtype=torch.float64)
        for label in classes.unique().tolist():
            chosen = classes == label
            made[chosen] = judges.network(judges.autoencoder(label))(self.counterfactuals[chosen]).double()
        return made

    def curves(self, step: int) -> Tensor:
        """Probabilities of target and source while the change is put in, ``[B, 2, S + 1]``; see the metric ``cout``."""
        if step not in self._curves:
            network = self.judges.folded(self.judges.classifier)
            classes = torch.stack([self.targets, self.sources], dim=1)
            sizes = self.levels.abs().sum(dim=1)
            self._curves[step] = insertion_curves(
                network, self.queries, self.counterfactuals, sizes, classes, step=step
            )
        return self._curves[step]

    def factors(self, which: Which) -> Tensor:
        """Factors of the images, read by the renderer of a synthetic task, on the CPU, ``[B, F]``."""
        assert self.judges.truth is not None
        if which not in self._factors:
            stored = self.stored_queries if which == "queries" else self.stored
            self._factors[which] = self.judges.truth.read(stored.cpu())
        return self._factors[which]

    @cached_property
    def truths(self) -> Tensor:
        """The renderer's own minimal counterfactuals, uint8 ``[B, C, H, W]``."""
        assert self.judges.truth is not None
        made = self.judges.truth.minimal(self.stored_queries.cpu(), self.targets.cpu())
        return made.to(self.stored.device)

    @cached_property
    def objects(self) -> Tensor:
        """Where the object of each query is, bool ``[B, H, W]``."""
        assert self.judges.objects is not None
        return self.judges.objects(self.stored_queries)

    @cached_property
    def verdicts(self) -> Tensor:
        """Class of each counterfactual by the network explained, or as given where there is no network, ``[B]``."""
        return self.prediction(self.judges.classifier) if self.given is None else self.given

    @cached_property
    def flipped(self) -> Tensor:
        """Whether the classifier gives the target class; failed queries count as not flipped, ``[B]``."""
        return (self.verdicts == self.targets) & ~self.failed
