"""The classical baseline: the closest image that flips, in pixel space."""

from __future__ import annotations

import torch
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.method import Method
from cfbench.needs import Needs


class Wachter(Method):
    """Counterfactuals without opening the black box (arXiv 1711.00399, equations 1 and 2).

    Minimises ``weight * (p_t(x') - 1)^2 + |x' - x|_1``, the l1 norm summed over pixels, by Adam on the pixels.
    The weight of each image starts at ``weight`` and is adapted over ``rounds``: raised tenfold until the target
    reaches ``confidence``, then bisected (on a log scale) towards the smallest change that keeps it. Our reading:
    Adam, the schedule of the weight, and an unscaled l1 norm (the paper divides by each feature's spread).

    Args:
        confidence: probability of the target class that counts as reached, in (0, 1).
        weight: first weight of the prediction term. rounds: adaptations of the weight, at least 1.
        steps: Adam steps a round, at least 1. rate: learning rate, above 0.
    """

    name = "wachter"
    family = "pixel optimisation"
    citation = (
        "Wachter, Mittelstadt, Russell: Counterfactual explanations without opening the black box: automated decisions "
        "and the GDPR, Harvard Journal of Law & Technology 31(2), 2018, arXiv 1711.00399"
    )
    needs = Needs(gradients=True)
    batch_size = 250
    quick = {"rounds": 2, "steps": 5}

    def __init__(
        self, *, confidence: float = 0.6, weight: float = 10.0, rounds: int = 6, steps: int = 60, rate: float = 0.02
    ) -> None:
        if not 0 < confidence < 1 or weight <= 0 or rounds < 1 or steps < 1 or rate <= 0:
            raise InvalidParameter(
                f"confidence is {confidence}, weight {weight}, rounds {rounds}, steps {steps}, rate {rate}; expected "
                "0 < confidence < 1 and the others above 0"
            )
        self.confidence = confidence
        self.weight = weight
        self.rounds = rounds
        self.steps = steps
        self.rate = rate

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        count = len(images)
        weight = images.new_full((count,), self.weight)
        low, high = torch.zeros_like(weight), torch.full_like(weight, torch.inf)
        best, best_distance = images.clone(), torch.full_like(weight, torch.inf)
        best_weight = torch.full_like(weight, torch.nan)
        final = images
        for _ in range(self.rounds):
            final, reached = self._descend(images, targets, weight)
            distance = (final - images).abs().flatten(1).sum(1)
            better = reached & (distance < best_distance)
            best[better], best_distance[better] = final[better], distance[better]
            best_weight[better] = weight[better]
            high = torch.where(reached, weight, high)
            low = torch.where(reached, low, weight)
            bisected = torch.where(low > 0, (low * high).sqrt(), high / 10)
            weight = torch.where(high.isinf(), weight * 10, bisected)
        found = best_distance.isfinite()
        self.log(weight=best_weight)
        return torch.where(found[:, None, None, None], best, final)

    def _descend(self, images: Tensor, targets: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The end of one descent and whether its target probability reaches the confidence."""
        current = images.clone().requires_grad_()
        optimiser = torch.optim.Adam([current], lr=self.rate)
        for _ in range(self.steps):
            probability = self._target_probability(current, targets)
            loss = (weight * (probability - 1).square()).sum() + (current - images).abs().sum()
            (current.grad,) = torch.autograd.grad(loss, current)
            optimiser.step()
            with torch.no_grad():
                current.clamp_(0, 1)
        final = current.detach()
        with torch.no_grad():
            return final, self._target_probability(final, targets) >= self.confidence

    def _target_probability(self, images: Tensor, targets: Tensor) -> Tensor:
        return self.task.classifier.probabilities(images).gather(1, targets[:, None])[:, 0]
