"""Training heads: ranking, thresholds, centroids; the frozen classifier stays as it is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import mannwhitneyu, spearmanr
from torch import nn

from cfbench.dataset import Images
from cfbench.errors import InvalidParameter
from cfbench.heads import DUQRecipe, JointRecipe, LossEstimatorRecipe, ranking_loss
from cfbench.images import dequantise
from cfbench.networks import DUQHead, FeatureNetwork, JointClassifier, LossEstimator
from cfbench.session import Session
from cfbench.testing import Toy

WIDTHS = (4, 8)
QUICK = {"epochs": 6, "batch": 50, "rate": 1e-2}


def faint(seed: int) -> Images:
    """Toy squares so faint that the classifier errs on some."""
    data = Toy().raw(None).train
    stream = torch.Generator().manual_seed(seed)
    contrast = 0.2 + 0.8 * torch.rand(len(data), 1, 1, 1, generator=stream)
    noise = 60 * torch.rand(data.images.shape, generator=stream)
    return Images((data.images * contrast + noise).clamp(0, 255).to(torch.uint8), data.labels)


def losses_on(network: FeatureNetwork, data: Images) -> torch.Tensor:
    with torch.inference_mode():
        return F.cross_entropy(network(dequantise(data.images)).double(), data.labels, reduction="none")


def test_the_ranking_loss_is_torchs_over_all_pairs_that_differ() -> None:
    stream = torch.Generator().manual_seed(0)
    estimates, losses = torch.randn(7, generator=stream), torch.rand(7, generator=stream)
    losses[3] = losses[5]
    pairs = torch.combinations(torch.arange(7))
    pairs = pairs[losses[pairs[:, 0]] != losses[pairs[:, 1]]]
    first, second = pairs.T
    order = (losses[first] - losses[second]).sign()
    expected = F.margin_ranking_loss(estimates[first], estimates[second], order, margin=0.5)
    torch.testing.assert_close(ranking_loss(estimates, losses, margin=0.5), expected)
    assert ranking_loss(estimates, torch.ones(7), margin=0.5) == 0, "nothing to rank"


def test_a_loss_estimator_ranks_the_losses_of_a_classifier_that_stays_frozen(toy: Toy) -> None:
    classifier = toy.network("classifier")
    assert isinstance(classifier, FeatureNetwork)
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    torch.manual_seed(1)
    estimator, recipe = LossEstimator(WIDTHS), LossEstimatorRecipe(**QUICK)
    recipe.fit(estimator, faint(1), seed=1, networks=lambda name: classifier, session=Session())
    assert all(torch.equal(value, before[key]) for key, value in classifier.state_dict().items())

    test = faint(2)
    quality = recipe.quality(estimator, test, networks=lambda name: classifier)
    with torch.inference_mode():
        maps, logits = classifier.outputs(dequantise(test.images))
        estimates = estimator(maps).numpy()
    wrong = (logits.argmax(1) != test.labels).numpy()
    losses = losses_on(classifier, test).numpy()
    assert quality["spearman"] == pytest.approx(spearmanr(estimates, losses).statistic, abs=1e-6)
    above = mannwhitneyu(estimates[wrong], estimates[~wrong]).statistic / (wrong.sum() * (~wrong).sum())
    assert quality["auc_errors"] == pytest.approx(above, abs=1e-6)
    assert quality["spearman"] > 0.3
    assert quality["auc_errors"] > 0.7


def test_the_threshold_is_the_median_estimate_of_what_the_classifier_gets_right(toy: Toy) -> None:
    classifier, train = toy.network("classifier"), faint(1)
    estimator = LossEstimator(WIDTHS)
    recipe = LossEstimatorRecipe(epochs=1, batch=50)
    recipe.fit(estimator, train, seed=1, networks=lambda name: classifier, session=Session())
    assert isinstance(classifier, FeatureNetwork)
    with torch.inference_mode():
        maps, logits = classifier.outputs(dequantise(train.images))
        below = estimator(maps)[logits.argmax(1) == train.labels] <= estimator.threshold
    assert float(below.float().mean()) == pytest.approx(0.5, abs=0.01)


def test_without_errors_there_is_no_area_to_report(toy: Toy) -> None:
    data, classifier = toy.raw(None).test, toy.network("classifier")
    right = classifier(dequantise(data.images)).argmax(1) == data.labels
    chosen = Images(data.images[right], data.labels[right])
    quality = LossEstimatorRecipe(epochs=1).quality(LossEstimator(WIDTHS), chosen, networks=lambda name: classifier)
    assert set(quality) == {"spearman"}


def test_joint_training_moves_the_classifier_by_both_losses(toy: Toy) -> None:
    """With the same seed and no weight on the ranking, the classifier is another."""
    found = {}
    for weight in (0.0, 1.0):
        torch.manual_seed(3)
        joint = JointClassifier.of(toy.networks["classifier"].build, WIDTHS)  # type: ignore[arg-type]
        recipe = JointRecipe(**QUICK, weight=weight)
        recipe.fit(joint, faint(1), seed=3, networks=toy.network, session=Session())
        found[weight] = (joint.head.weight.detach(), recipe.quality(joint, faint(2), networks=toy.network))
        assert joint.estimator.threshold != 0
    assert not torch.equal(found[0.0][0], found[1.0][0])
    assert found[1.0][1]["accuracy"] > found[0.0][1]["accuracy"] - 0.1
    assert found[1.0][1]["spearman"] > max(0.3, found[0.0][1]["spearman"]), "without its loss it ranks nothing"


@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_a_duq_head_finds_the_class_and_tells_noise_apart(toy: Toy, penalty: float) -> None:
    raw = toy.raw(None)
    torch.manual_seed(4)
    head = DUQHead(width=WIDTHS[-1], classes=3, size=8, sigma=0.3)
    recipe = DUQRecipe(**QUICK, penalty=penalty)
    recipe.fit(head, raw.train, seed=4, networks=toy.network, session=Session())
    quality = recipe.quality(head, raw.test, networks=toy.network)
    assert quality["accuracy"] > toy.entry("classifier").quality["accuracy"] - 0.05
    assert quality["auroc_noise"] > 0.9
    assert set(quality) == {"accuracy", "auroc_quartered", "auroc_noise"}


def test_the_penalty_pulls_the_slope_of_the_kernels_towards_one(toy: Toy) -> None:
    raw, classifier = toy.raw(None), toy.network("classifier")
    assert isinstance(classifier, FeatureNetwork)
    distances = []
    for penalty in (0.0, 1.0):
        torch.manual_seed(4)
        head = DUQHead(width=WIDTHS[-1], classes=3, size=8, sigma=0.3)
        DUQRecipe(**QUICK, penalty=penalty).fit(head, raw.train, seed=4, networks=toy.network, session=Session())
        images = dequantise(raw.test.images).requires_grad_()
        (slope,) = torch.autograd.grad(head(classifier.blocks(images)).sum(), images)
        distances.append(float((slope.flatten(1).norm(dim=1) - 1).square().mean()))
    assert distances[1] < distances[0]


def test_a_head_on_a_network_without_stages_is_refused() -> None:
    data = Toy().raw(None).test
    with pytest.raises(InvalidParameter, match="Identity has no readable stages; a head needs a FeatureNetwork"):
        DUQRecipe(epochs=1).quality(nn.Identity(), data, networks=lambda name: nn.Identity())
