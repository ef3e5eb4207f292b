"""Heads on feature maps: their formulas, written out."""

from __future__ import annotations

import math

import pytest
import torch

from cfbench.networks import DUQHead, JointClassifier, LossEstimator, PlainCNN


def classifier() -> PlainCNN:
    return PlainCNN(channels=1, classes=3, widths=(4, 6), depth=1, mean=(0.5,), std=(0.5,)).eval()


def test_the_loss_estimator_reads_every_map_averaged_over_space() -> None:
    torch.manual_seed(0)
    estimator = LossEstimator((2, 3), hidden=4)
    maps = [torch.rand(5, 2, 6, 6), torch.rand(5, 3, 2, 2)]
    read = [
        (each.mean((2, 3)) @ reader.weight.T + reader.bias).clamp_min(0)
        for each, reader in zip(maps, estimator.readers, strict=True)
    ]
    expected = torch.cat(read, 1) @ estimator.join.weight[0] + estimator.join.bias
    torch.testing.assert_close(estimator(maps), expected)
    assert estimator(maps).shape == (5,)
    assert "threshold" in estimator.state_dict()
    with pytest.raises(ValueError, match="zip"):
        estimator(maps[:1])


def test_a_joint_classifier_answers_like_its_classifier_and_keeps_all_weights_once() -> None:
    torch.manual_seed(0)
    plain = classifier()
    joint = JointClassifier(plain, LossEstimator((4, 6))).eval()
    images = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(joint(images), plain(images))
    maps, logits = joint.outputs(images)
    assert joint.estimator(maps).shape == (3,)
    torch.testing.assert_close(logits, plain(images))
    estimators = {key for key in joint.state_dict() if key.startswith("estimator.")}
    assert {*plain.state_dict(), *estimators} == {*joint.state_dict()}


def test_duq_kernels_are_gaussian_in_the_distance_to_each_centroid() -> None:
    torch.manual_seed(0)
    head = DUQHead(width=3, classes=2, size=4, sigma=0.5)
    maps = [torch.rand(6, 3, 2, 2)]
    head.update(head.embed(maps), torch.tensor([0, 1, 0, 1, 1, 1]))
    found = head(maps)
    features = maps[-1].mean((2, 3))
    for label, members in enumerate(([0, 2], [1, 3, 4, 5])):
        embedded = features @ head.weight[label].T
        centroid = embedded[members].mean(0)
        expected = torch.exp(-(embedded - centroid).square().mean(1) / (2 * 0.5**2))
        torch.testing.assert_close(found[:, label], expected)


def test_centroids_are_moving_averages_weighted_by_members() -> None:
    """Two batches: the later weighs 1 - m, the earlier m (1 - m), each by its number of members."""
    head = DUQHead(width=1, classes=1, size=1, sigma=1.0, momentum=0.9)
    for values in ([[1.0], [1.0], [1.0]], [[5.0]]):
        embedded = torch.tensor(values)[:, None]
        head.update(embedded, torch.zeros(len(values), dtype=torch.int64))
    centroid = (0.9 * 0.1 * 3 * 1 + 0.1 * 1 * 5) / (0.9 * 0.1 * 3 + 0.1 * 1)
    found = head.kernels(torch.tensor([[[centroid]], [[centroid + 1]]]))
    assert found[0, 0].item() == pytest.approx(1)
    assert found[1, 0].item() == pytest.approx(math.exp(-0.5))
