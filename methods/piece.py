"""Make normal what would be exceptional in the target class, and find the image that looks so."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from cfbench.errors import InvalidParameter
from cfbench.images import dequantise
from cfbench.latent_search import descend
from cfbench.method import Method
from cfbench.needs import Needs
from cfbench.networks import VAE
from cfbench.view import MethodView

PART = 250
"""Training images whose features are read at once."""


class PIECE(Method):
    """Give the query's exceptional features their expected values and look for the latent that has them (2009.06399).

    The features f are those that the classifier's last layer reads. Among the training images that the classifier puts
    in the target class, each feature has a distribution with an atom at zero where it is silent (a hurdle model). A
    feature of the query with ``min(P(X <= f), P(X >= f)) < threshold`` is exceptional there and gets its expected
    value; the others stay. From the encoder's mean of the query, z minimises the squared distance of the features of
    G(z) to these, over that of the query's features to nothing, and ``proximity * (1 - k / steps) * |G(z) - x|_1 /
    size`` in step k. An image is taken at the first step at which its target probability, rounded to 8 bits, reaches
    ``confidence``, or else at the last.

    Logs, a query: the step at which it was taken (``steps``), the share of exceptional features (``exceptional``).

    Our reading: the values other than zero have the distribution that they have among the training images, rather than
    the best of several families; both tails; features averaged over space, which are seldom silent; the scale of the
    distance; a VAE in place of a GAN; the proximity, and the confidence.

    Args:
        threshold: probability below which a feature is exceptional, in (0, 1].
        proximity: weight of the distance to the query at first, at least 0.
        confidence: target probability at which an image is taken, in (0, 1).
        steps: of the search, at least 1. rate: Adam's learning rate.
    """

    name = "piece"
    family = "VAE latent search"
    citation = (
        "Kenny, Keane: On generating plausible counterfactual and semi-factual explanations for deep learning, "
        "AAAI 2021, arXiv 2009.06399"
    )
    needs = Needs(gradients=True, training_data=True, networks=("vae",))
    batch_size = 100
    quick = {"steps": 5}

    def __init__(
        self,
        *,
        threshold: float = 0.2,
        proximity: float = 1.0,
        confidence: float = 0.99,
        steps: int = 300,
        rate: float = 0.05,
    ) -> None:
        if not 0 < threshold <= 1 or proximity < 0 or not 0 < confidence < 1 or steps < 1 or rate <= 0:
            raise InvalidParameter(
                f"threshold is {threshold}, proximity {proximity}, confidence {confidence}, steps {steps}, rate "
                f"{rate}; expected 0 < threshold <= 1, proximity >= 0, 0 < confidence < 1, steps >= 1, rate above 0"
            )
        self.threshold = threshold
        self.proximity = proximity
        self.confidence = confidence
        self.steps = steps
        self.rate = rate

    def prepare(self, task: MethodView) -> None:
        self._vae = cast(VAE, task.network("vae"))
        with torch.no_grad():
            read = [self._read(dequantise(part)) for part in task.training_data().images.split(PART)]
        features = torch.cat([part for part, _ in read])
        classes = torch.cat([logits.argmax(1) for _, logits in read])
        self._known = [features[classes == label] for label in range(task.num_classes)]

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            start, _ = self._vae.encode(images)
            features, _ = self._read(images)
        wanted = torch.stack([self._normal(*each) for each in zip(features, targets.tolist(), strict=True)])
        size = features.square().sum(1)

        def objective(made: Tensor, codes: Tensor, places: Tensor, left: float) -> tuple[Tensor, Tensor]:
            found, logits = self._read(made)
            distance = (made - images[places]).abs().flatten(1).mean(1)
            missed = (found - wanted[places]).square().sum(1) / size[places]
            return missed + self.proximity * left * distance, logits

        found = descend(
            self._vae.decode,
            start,
            objective,
            self.task.classifier,
            targets,
            steps=self.steps,
            rate=self.rate,
            confidence=self.confidence,
        )
        self.log(steps=found.steps, exceptional=(wanted != features).float().mean(1))
        return found.images

    def _read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[B, F]`` and logits."""
        maps, logits = self.task.classifier.outputs(images)
        return maps[-1].mean(dim=(2, 3)), logits

    def _normal(self, features: Tensor, target: int) -> Tensor:
        """The features ``[F]`` of a query, those that are exceptional in a class replaced; NaN in an unseen class."""
        known = self._known[target]
        rarity = torch.minimum((known <= features).float().mean(0), (known >= features).float().mean(0))
        return torch.where(rarity >= self.threshold, features, known.mean(0))
