"""Reference: the true answer, where it is known."""

from __future__ import annotations

from torch import Tensor

from cfbench.images import dequantise, quantise
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.view import MethodView


class TrueCounterfactual(Method):
    """The renderer's own minimal counterfactual, on synthetic tasks alone: what a perfect explanation scores.

    The image is rendered again with only the factors changed that define the class. The classifier is never asked, so
    that the answer may fail to flip one that relies on something else.
    """

    name = "truth"
    family = "sentinel"
    citation = "none; a reference row of cfbench"
    needs = Needs(truth=True)
    batch_size = 250

    def prepare(self, task: MethodView) -> None:
        self._truth = task.truth

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        rendered = self._truth.minimal(quantise(images).cpu(), targets.cpu())
        return dequantise(rendered).to(images.device)
