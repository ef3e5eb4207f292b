"""Feature inversion under a prior: the objective in closed form, images that leave, divergence, schedules."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cfbench import inversion
from cfbench.classifier import Classifier
from cfbench.errors import InvalidParameter
from cfbench.inversion import SCHEDULES, Objective, Stage, descend, reconstruct, total_variation
from cfbench.networks import PlainCNN
from cfbench.priors import FourierNet, Pixels, Prior, Siren, SkipNet
from cfbench.seeds import QueryRandom

SHAPE = (1, 12, 12)
CLASSES = 4


@pytest.fixture
def classifier() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = PlainCNN(channels=1, classes=CLASSES, widths=(4, 8), depth=1, mean=(0.5,), std=(0.2,))
    network.head.weight.data *= 30
    return Classifier(network.eval().requires_grad_(False), num_classes=CLASSES)


def images_of(count: int) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(count))


def priors(count: int) -> list[Prior]:
    random = QueryRandom(list(range(count)))
    return [
        Pixels(images_of(count)),
        SkipNet(random, SHAPE, widths=(4, 4), noise=4),
        Siren(random, SHAPE, width=8),
        FourierNet(random, SHAPE, width=8, frequencies=4),
    ]


@pytest.mark.parametrize("index", [[2, 0], [1], [0, 1, 2]])
@pytest.mark.parametrize("kind", range(4))
def test_images_that_stay_are_what_they_were(kind: int, index: list[int]) -> None:
    prior = priors(3)[kind]
    before = prior()
    prior.keep(torch.tensor(index))
    assert torch.allclose(prior(), before[index], atol=1e-6)


@pytest.mark.parametrize("kind", range(4))
def test_a_prior_fits_an_image(kind: int) -> None:
    prior, wanted = priors(2)[kind], images_of(7)[:2]
    before = (prior() - wanted).square().mean()
    reconstruct(prior, wanted, steps=100, rate=0.01)
    after = prior()
    assert (after - wanted).square().mean() < 0.7 * before
    assert after.min() >= 0
    assert after.max() <= 1


def test_sine_networks_are_those_of_the_paper() -> None:
    net = Siren(QueryRandom([5, 6]), SHAPE, width=16, depth=2, frequency=30.0)
    first, second = net.hidden
    rows, columns = torch.meshgrid(*([(torch.arange(12) + 0.5) / 6 - 1] * 2), indexing="ij")
    for image in range(2):
        features = torch.stack([rows, columns], dim=-1).view(-1, 2)
        for layer in (first, second):
            features = (30 * F.linear(features, layer.weight[image].T, layer.bias[image, 0])).sin()
        expected = F.linear(features, net.head.weight[image].T, net.head.bias[image, 0]).sigmoid()
        assert torch.allclose(net()[image, 0], expected.view(12, 12), atol=1e-5)
    assert second.weight.abs().max() <= (6 / 16) ** 0.5 / 30


def test_the_objective_is_the_sum_of_its_terms(classifier: Classifier) -> None:
    queries, present, targets = images_of(2), images_of(5)[:2], torch.tensor([1, 3])
    plain = Objective(
        classifier,
        queries,
        targets,
        matching=2.0,
        target=0.5,
        smooth=3.0,
        consistency=(lambda maps, asked: asked * maps[0].amax((1, 2, 3)), 0.25),
    )
    loss, probability = plain(present, Stage([1.0, 0.5], 0.1))
    have, logits = classifier.outputs(present)
    want, _ = classifier.outputs(queries)
    for image, target in enumerate(targets.tolist()):
        expected = 0.5 * 0.1 * -logits[image].log_softmax(0)[target]
        expected += 2 * sum(
            weight * F.mse_loss(have[level][image], want[level][image]) for level, weight in ((0, 1.0), (1, 0.5))
        )
        expected += 0.25 * target * have[0][image].max()
        picture = present[image, 0]
        expected += 3 * (picture.diff(dim=0).abs().mean() + picture.diff(dim=1).abs().mean())
        assert loss[image].item() == pytest.approx(expected.item(), rel=1e-5)
        assert probability[image].item() == pytest.approx(logits[image].softmax(0)[target].item(), rel=1e-5)


def test_only_the_layers_asked_for_are_matched(classifier: Classifier) -> None:
    queries, present, targets = images_of(2), images_of(5)[:2], torch.tensor([1, 3])
    every, deep, none = (
        Objective(classifier, queries, targets, target=1e-9, layers=layers) for layers in (None, [1], [])
    )
    have, want = classifier.outputs(present)[0], classifier.outputs(queries)[0]
    matches = [(a - b).square().flatten(1).mean(1) for a, b in zip(have, want, strict=True)]
    assert torch.allclose(every(present, every.stage(0.0))[0], matches[0] + matches[1], atol=1e-6)
    assert torch.allclose(deep(present, deep.stage(0.0))[0], matches[1], atol=1e-6)
    assert none(present, none.stage(0.0))[0].max() < 1e-6
    with pytest.raises(InvalidParameter, match="2 is not a feature map of the classifier; expected 0 to 1"):
        Objective(classifier, queries, targets, layers=[0, 2])


def test_total_variation_of_a_step_and_of_a_constant() -> None:
    image = torch.zeros(1, 1, 4, 5)
    image[..., 3:] = 1
    assert total_variation(image).item() == pytest.approx(1 / 4)
    assert total_variation(torch.ones(1, 3, 4, 4)).item() == 0


@pytest.mark.parametrize("kind", range(4))
def test_leaving_changes_nothing_but_the_work(
    kind: int, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = images_of(6)
    targets = classifier(queries).topk(2).indices[:, 1]
    found, calls = [], []
    for share in (0.0, 0.75):
        monkeypatch.setattr(inversion, "WORTH_LEAVING", share)
        prior = priors(6)[kind]
        reconstruct(prior, queries, steps=5, rate=0.01)
        objective = Objective(classifier, queries, targets, target=10.0)
        before = classifier.counter.forwards
        found.append(descend(prior, objective, steps=40, rate=0.001 if kind == 2 else 0.01, confidence=0.3))
        calls.append(classifier.counter.forwards - before)
    staying, leaving = found
    assert torch.equal(staying.steps, leaving.steps)
    assert torch.allclose(staying.images, leaving.images, atol=2e-3)
    assert len(set(leaving.steps.tolist())) > 1, "images finish at different steps"
    assert calls[1] < calls[0]
    reached = classifier.probabilities(leaving.images).gather(1, targets[:, None])[:, 0]
    assert torch.equal(reached >= 0.3, leaving.steps < 40)


def test_one_image_that_diverges_is_nan_alone(classifier: Classifier) -> None:
    def explodes(maps: Sequence[Tensor], targets: Tensor) -> Tensor:
        return torch.where(targets == 2, torch.inf, 0.0)

    queries, targets = images_of(3), torch.tensor([1, 2, 1])
    objective = Objective(classifier, queries, targets, consistency=(explodes, 1.0))
    found = descend(Pixels(queries), objective, steps=4, rate=0.01, confidence=0.999)
    assert found.images.isnan().flatten(1).any(1).tolist() == [False, True, False]


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_ends_with_everything(name: str) -> None:
    stages = [SCHEDULES[name](step / 100, 3) for step in range(100)]
    last = stages[-1]
    assert (list(last.maps), last.target, last.free) == ([1.0] * 3, 1.0, 1.0)
    assert stages[60] == last
    if name != "off":
        assert stages[0] != last
        amounts = [sum(stage.maps) + stage.target + stage.free for stage in stages]
        assert amounts == sorted(amounts)


def test_layers_that_are_not_free_yet_keep_their_weights(classifier: Classifier) -> None:
    queries = images_of(2)
    prior = Siren(QueryRandom([1, 2]), SHAPE, width=8)
    before = [layer.weight.detach().clone() for layer in prior.layers()]
    objective = Objective(classifier, queries, torch.tensor([0, 1]), schedule=SCHEDULES["weights"])
    descend(prior, objective, steps=8, rate=0.01, confidence=0.999)
    moved = [not torch.equal(old, layer.weight) for old, layer in zip(before, prior.layers(), strict=True)]
    assert moved == [True] * 4
    prior = Siren(QueryRandom([1, 2]), SHAPE, width=8)
    objective = Objective(
        classifier, queries, torch.tensor([0, 1]), schedule=lambda share, maps: Stage([1.0] * maps, 1.0, 0.5)
    )
    descend(prior, objective, steps=3, rate=0.01, confidence=0.999)
    moved = [not torch.equal(old, layer.weight) for old, layer in zip(before, prior.layers(), strict=True)]
    assert moved == [False, False, True, True]
