"""Deep image prior counterfactuals with a loss estimator."""

from __future__ import annotations

from typing import Any

from cfbench.consistency import ErrorPrediction
from cfbench.errors import InvalidParameter
from cfbench.inversion import Consistency
from cfbench.methods.dip import DIP
from cfbench.needs import Needs
from cfbench.view import MethodView


class DIPLoss(DIP):
    """``dip`` with the hinge of a loss estimator, ``guidance * max(0, E(g) - tau + margin)`` (arXiv 2010.12046).

    E ranks images by the loss that the classifier has on them; tau is its median over training images that the
    classifier gets right. The paper trains E together with the classifier: explain such a one with ``--classifier
    joint``. For a task's frozen classifier E was fitted afterwards on its features ("post-hoc").

    Our reading: the hinge, its threshold, its weight, besides those of ``dip``.

    Args:
        guidance: weight of the hinge, at least 0. margin: how far below tau an estimate costs nothing.
        parameters: those of ``dip``.
    """

    name = "dip-loss"
    needs = Needs(gradients=True, networks=("loss-estimator",))

    def __init__(
        self,
        *,
        guidance: float = 30.0,
        margin: float = 0.0,
        warmup: int = 100,
        steps: int = 100,
        warmup_rate: float = 0.02,
        rate: float = 0.002,
        weight: float = 100.0,
        confidence: float = 0.99,
        layers: tuple[int, ...] | None = None,
        widths: tuple[int, ...] = (16, 16, 32),
    ) -> None:
        if guidance < 0:
            raise InvalidParameter(f"guidance is {guidance}; expected at least 0")
        super().__init__(
            warmup=warmup,
            steps=steps,
            warmup_rate=warmup_rate,
            rate=rate,
            weight=weight,
            confidence=confidence,
            layers=layers,
            widths=widths,
        )
        self.guidance = guidance
        self.margin = margin

    def prepare(self, task: MethodView) -> None:
        self._estimator: Any = task.network("loss-estimator")

    def consistency(self) -> tuple[Consistency, float] | None:
        return ErrorPrediction(self._estimator, self.margin), self.guidance
