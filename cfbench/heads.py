"""Training recipes of heads on a classifier's features: loss estimators and deterministic uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.dataset import Images, Networks
from cfbench.errors import InvalidParameter
from cfbench.images import dequantise
from cfbench.networks import DUQHead, FeatureNetwork, JointClassifier, LossEstimator
from cfbench.session import Session
from cfbench.stats import roc_auc
from cfbench.training import AugmentedRecipe, share

PART = 500
"""Images a pass in measuring."""


def ranking_loss(estimates: Tensor, losses: Tensor, *, margin: float) -> Tensor:
    """Mean of max(0, margin - I_ij (s^_i - s^_j)) over all pairs of a batch, I_ij the sign of s_i - s_j.

    The contrastive loss of arXiv 2009.14454, after arXiv 1905.03677. Our reading: all pairs, and none of equal losses.

    Args:
        estimates: s^ ``[B]``. losses: s ``[B]``, which get no gradient. margin: by which pairs should differ.
    """
    order = (losses[:, None] - losses[None, :]).detach().sign()
    hinge = (margin - order * (estimates[:, None] - estimates[None, :])).clamp_min(0)
    return (hinge * order.abs()).sum() / order.abs().sum().clamp_min(1)


def losses_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each image ``[B]``, float64, so that those of sure answers differ."""
    return F.cross_entropy(logits.double(), labels, reduction="none")


def readable(network: nn.Module) -> FeatureNetwork:
    """A network whose feature maps a head can read.

    Raises:
        InvalidParameter: it has none.
    """
    if not isinstance(network, FeatureNetwork):
        raise InvalidParameter(f"{type(network).__name__} has no readable stages; a head needs a FeatureNetwork")
    return network


@torch.inference_mode()
def _estimated(classifier: FeatureNetwork, estimator: nn.Module, data: Images) -> tuple[Tensor, Tensor, Tensor]:
    """Estimate, loss and whether the classifier is right, of every image, each ``[N]``."""
    parts = []
    device = next(estimator.parameters()).device
    for part in zip(data.images.split(PART), data.labels.split(PART), strict=True):
        images, labels = (each.to(device) for each in part)
        maps, logits = classifier.outputs(dequantise(images))
        parts.append((estimator(maps), losses_of(logits, labels), logits.argmax(1) == labels))
    estimates, losses, right = (torch.cat(column) for column in zip(*parts, strict=True))
    return estimates, losses, right


def _set_threshold(classifier: FeatureNetwork, estimator: LossEstimator, data: Images) -> None:
    estimates, _, right = _estimated(classifier, estimator, data)
    estimator.threshold.copy_(estimates[right].median())


def _quality(classifier: FeatureNetwork, estimator: nn.Module, data: Images) -> dict[str, float]:
    from scipy.stats import spearmanr

    estimates, losses, right = _estimated(classifier, estimator, data)
    found = {"spearman": float(spearmanr(estimates.numpy(), losses.numpy()).statistic)}
    if not right.all():
        found["auc_errors"] = roc_auc(estimates.double().numpy(), ~right.numpy())
    return found


@dataclass(frozen=True)
class LossEstimatorRecipe(AugmentedRecipe):
    """Fit a loss estimator to a frozen classifier ("post-hoc"), by ranking its losses on augmented images.

    Quality on test images: the rank correlation of estimate and loss, and where there are errors the area under the
    ROC curve of the estimate as a predictor of them.

    Attributes:
        classifier: name of the frozen network. margin: of the ranking loss.
    """

    classifier: str = "classifier"
    margin: float = 1.0

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        classifier, estimator = readable(networks(self.classifier)), cast(LossEstimator, network)

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            with torch.no_grad():
                maps, logits = classifier.outputs(images)
            return ranking_loss(estimator(maps), losses_of(logits, labels), margin=self.margin)

        self.run(network, data, loss, seed, session)
        _set_threshold(classifier, estimator, data)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        return _quality(readable(networks(self.classifier)), network, data)


@dataclass(frozen=True)
class JointRecipe(AugmentedRecipe):
    """Train a classifier and its loss estimator together: cross-entropy plus ``weight`` times the ranking loss.

    Gradients of both reach the classifier; the losses that are ranked are constants. Quality is that of the estimator
    and the classifier's accuracy.

    Attributes:
        weight: of the ranking loss. margin: of the ranking loss.
    """

    weight: float = 1.0
    margin: float = 1.0

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        joint = cast(JointClassifier, network)

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            maps, logits = joint.outputs(images)
            ranked = ranking_loss(joint.estimator(maps), losses_of(logits, labels), margin=self.margin)
            session.note(accuracy=share(logits.argmax(1) == labels))
            return F.cross_entropy(logits, labels) + self.weight * ranked

        self.run(network, data, loss, seed, session)
        _set_threshold(joint, joint.estimator, data)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        joint = cast(JointClassifier, network)
        right = _estimated(joint, joint.estimator, data)[2]
        return {"accuracy": share(right), **_quality(joint, joint.estimator, data)}


@dataclass(frozen=True)
class DUQRecipe(AugmentedRecipe):
    """Fit a DUQ head to a frozen classifier ("post-hoc"): binary cross-entropy of every K_c, and a gradient penalty.

    The penalty is (|grad_x sum_c K_c| - 1)^2 with respect to the pixels, through the frozen classifier. Our reading:
    centroids take in a batch before its loss. Quality on test images is the accuracy of the nearest centroid, and the
    area under the ROC curve of max_c K_c as a sign of test images against others: the same with their quarters
    exchanged, uniform noise, and the reference images of another data set.

    Attributes:
        classifier: name of the frozen network. penalty: weight of the gradient penalty.
        outside: name of a packaged data set with images of the same shape; none if empty.
    """

    classifier: str = "classifier"
    penalty: float = 0.0
    outside: str = ""

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        classifier, head = readable(networks(self.classifier)), cast(DUQHead, network)

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            images = images.requires_grad_(self.penalty > 0)
            embedded = head.embed(classifier.blocks(images))
            head.update(embedded, labels)
            kernels = head.kernels(embedded)
            session.note(accuracy=share(kernels.argmax(1) == labels))
            found = F.binary_cross_entropy(kernels, F.one_hot(labels, kernels.shape[1]).to(kernels.dtype))
            if self.penalty:
                (slope,) = torch.autograd.grad(kernels.sum(), images, create_graph=True)
                found = found + self.penalty * (slope.flatten(1).norm(dim=1) - 1).square().mean()
            return found

        self.run(network, data, loss, seed, session)

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        classifier = readable(networks(self.classifier))

        def kernels(images: Tensor) -> Tensor:
            with torch.inference_mode():
                return torch.cat([network(classifier.blocks(dequantise(part))) for part in images.split(PART)])

        inside = kernels(data.images)
        found = {"accuracy": share(inside.argmax(1) == data.labels)}
        for name, images in self._others(data.images).items():
            found[f"auroc_{name}"] = _told_apart(inside.amax(1), kernels(images).amax(1))
        return found

    def _others(self, images: Tensor) -> dict[str, Tensor]:
        """8-bit images of the same shape that are not of the data set."""
        from cfbench.registry import load_dataset

        height, width = images.shape[2:]
        noise = torch.randint(256, images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        others = {"quartered": images.roll((height // 2, width // 2), (2, 3)), "noise": noise}
        if self.outside:
            others[self.outside] = load_dataset(self.outside).split("reference").images
        return others


def _told_apart(inside: Tensor, outside: Tensor) -> float:
    scores = torch.cat([inside, outside]).double().numpy()
    return roc_auc(scores, (torch.arange(len(scores)) < len(inside)).numpy())
