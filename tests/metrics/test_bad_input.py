"""Degenerate runs: every score is a number within bounds or a blank with a reason, and never an exception."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from checked_scores import check_scores
from judged import Formula, judges_of, member, piece_of, random_images
from torch import Tensor

from cfbench.dataset import Images
from cfbench.judges import Judges
from cfbench.metrics.official import LPIPS
from cfbench.metrics.realism import SetMetric
from cfbench.networks import FeatureNetwork
from cfbench.registry import METRICS
from cfbench.scoring import Scored, score

Shape = tuple[int, int, int]
Network = Callable[[Tensor], Tensor]


class Extractor(FeatureNetwork):
    """Means of quarters of the image; NaN where the first pixel is ``poison``."""

    def __init__(self, channels: int, poison: int = -1) -> None:
        pool = torch.nn.AdaptiveAvgPool2d(2)
        super().__init__(
            [torch.nn.Identity(), pool], width=channels, classes=3, mean=[0.0] * channels, std=[1.0] * channels
        )
        self.poison = poison

    def blocks(self, images: Tensor) -> list[Tensor]:
        maps = super().blocks(images)
        bad = (images[:, 0, 0, 0] * 255).round() == self.poison
        return [torch.where(bad[:, None, None, None], torch.nan, each) for each in maps]


def brightness(images: Tensor) -> Tensor:
    """Class 0 for dark images, 1 for bright ones, never 2."""
    mean = images.flatten(1).mean(dim=1)
    return torch.stack([0.5 - mean, mean - 0.5, torch.full_like(mean, -1.0)], dim=1) * 10


def nan_when_bright(images: Tensor) -> Tensor:
    logits = brightness(images)
    return torch.where(logits[:, 1:2] > 0, torch.nan, logits)


def judges_for(
    shape: Shape, classifier: Network = brightness, poison: int = -1, classes: tuple[int, ...] = (0, 1, 2)
) -> Judges:
    """Stub networks in every role, and 60 real images of the given classes."""
    reference = Images(random_images(60, shape, 9), torch.tensor(classes).repeat(60)[:60])
    again = ("classifier", "distilled", "oracle-1", "oracle-2")
    return judges_of(
        *(member(name, Formula(classifier)) for name in again),
        member("extractor", Extractor(shape[0], poison)),
        member("attribute-oracle-1", Formula(lambda images: classifier(images)[:, :2])),
        *(
            member(f"autoencoder-{label}", Formula(lambda images: images * 0.9), "autoencoder")
            for label in ("all", 0, 1, 2)
        ),
        image_shape=shape,
        reference=reference,
        attributes=("dark", "bright"),
        target_attributes=("bright",),
    )


def scored(queries: Tensor, made: Tensor, judges: Judges | None = None, **options: object) -> Scored:
    """Scores, after checking that each is a number within bounds or has a reason."""
    shape = tuple(queries.shape[1:])
    found = score([piece_of(queries, made, **options)], judges or judges_for(shape))
    check_scores(found)
    return found


def constant(count: int, shape: Shape, level: int) -> Tensor:
    return torch.full((count, *shape), level, dtype=torch.uint8)


SHAPE = (1, 12, 12)


@pytest.mark.parametrize("level", [0, 255])
def test_constant_images(level: int) -> None:
    found = scored(constant(120, SHAPE, 10), constant(120, SHAPE, level))
    assert found.scores["flip_rate"]["all"].value == (level == 255)
    assert found.scores["density"]["all"].value is not None


def test_no_change_anywhere() -> None:
    images = random_images(120, SHAPE)
    found = scored(images, images).scores
    assert found["l1"]["all"].value == found["cout"]["all"].value == found["fd"]["all"].value == 0
    assert found["gini"]["all"].reason == "undefined on every query"
    assert found["ssim"]["all"].value == pytest.approx(1)


def test_one_query() -> None:
    found = scored(constant(1, SHAPE, 0), constant(1, SHAPE, 255)).scores
    assert (found["flip_rate"]["all"].value, found["flip_rate"]["all"].n) == (1, 1)
    assert found["l1"]["all"].ci95 is None
    for name, least in (("fd", 10), ("split_fd", 10), ("kd", 100), ("precision", 100), ("correlation_difference", 100)):
        blank = found[name]["all"]
        assert (blank.value, blank.n) == (None, 1)
        assert f"needs at least {least} " in str(blank.reason)


def test_no_query_flipped_and_none_succeeded() -> None:
    images = constant(30, SHAPE, 20)
    found = scored(images, images, failed=range(30)).scores
    assert found["flip_rate"]["all"].value == found["oracle_agreement"]["all"].value == 0
    assert found["l1"]["flipped"].reason == found["non_adversarial_rate"]["flipped"].reason == "no query was flipped"
    assert found["fd"]["flipped"].n == 0


def test_features_of_one_image_are_not_finite() -> None:
    queries, made = random_images(120, SHAPE, 0), random_images(120, SHAPE, 1)
    queries[:, 0, 0, 0], made[:, 0, 0, 0] = 0, 0
    made[7, 0, 0, 0] = 77
    judges = judges_for(SHAPE, poison=77)
    judges.reference.images[:, 0, 0, 0] = 1
    found = scored(queries, made, judges).scores
    for name in ("fd", "split_fd", "kd", "precision", "coverage"):
        assert found[name]["all"].reason == "the features of 1 images in extractor are not finite"
    assert found["fd[autoencoder-all]"]["all"].reason != found["fd"]["all"].reason
    assert (found["feat_dist"]["all"].n, found["cld"]["all"].n, found["l1"]["all"].n) == (119, 119, 120)


def test_features_of_real_images_are_not_finite() -> None:
    queries, made = random_images(120, SHAPE, 0), random_images(120, SHAPE, 1)
    queries[:, 0, 0, 0], made[:, 0, 0, 0] = 0, 0
    judges = judges_for(SHAPE, poison=77)
    judges.reference.images[3, 0, 0, 0] = 77
    found = scored(queries, made, judges).scores
    for name in ("split_fd", "kd", "precision"):
        assert found[name]["all"].reason == "features of held-out real images in extractor are not finite"
    assert found["fd"]["all"].value is not None
    assert found["fd"]["all"].floor is None
    assert found["l1"]["all"].value is not None


def test_a_classifier_that_gives_nan_is_undecided() -> None:
    """It counts neither as a flip nor as having left the source class."""
    queries, made = constant(8, SHAPE, 10), constant(8, SHAPE, 250)
    found = scored(queries, made, judges_for(SHAPE, nan_when_bright), sources=[1] * 8, targets=[0] * 8).scores
    for name in ("flip_rate", "untargeted_flip_rate", "oracle_agreement", "oracle_agreed_flip"):
        assert found[name]["all"].value == 0
    for name in ("target_confidence", "lvs", "mnac"):
        assert found[name]["all"].reason == "undefined on every query"


def test_images_below_the_window_of_ssim() -> None:
    found = scored(random_images(4, (3, 6, 20), 0), random_images(4, (3, 6, 20), 1)).scores
    assert found["ssim"]["all"].reason == "its window is 11 pixels wide, images have 6"


def test_a_target_class_of_which_there_are_no_real_images() -> None:
    queries, made = random_images(120, SHAPE, 0), random_images(120, SHAPE, 1)
    found = scored(queries, made, judges_for(SHAPE, classes=(0, 2))).scores
    for name in ("split_fd", "split_fd_normalised", "kd", "coverage"):
        assert "undefined on these images" in str(found[name]["all"].reason)
    assert found["cld"]["all"].reason == "undefined on every query"
    assert found["fd"]["all"].value is not None


def test_real_images_without_variance() -> None:
    queries, made = random_images(120, SHAPE, 0), random_images(120, SHAPE, 1)
    judges = judges_for(SHAPE)
    judges.reference.images[:] = 7
    found = scored(queries, made, judges).scores
    assert "do not vary" in str(found["split_fd_normalised"]["all"].reason)
    assert found["split_fd"]["all"].value is not None


def test_gray_images_in_official_networks_of_rgb(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    network = Formula(lambda pair: pair)
    network.forward = lambda *images: seen.extend(images) or torch.zeros(len(images[0]), 1, 1, 1)  # type: ignore[method-assign]
    monkeypatch.setattr(LPIPS, "blocked", lambda self: None)
    monkeypatch.setattr(LPIPS, "_network", network)
    found = scored(random_images(3, SHAPE, 0), random_images(3, SHAPE, 1)).scores
    assert found["lpips"]["all"].value == 0
    assert {tuple(images.shape) for images in seen} == {(3, 3, 64, 64)}
    assert all(images.min() >= -1 and images.max() <= 1 for images in seen)


def test_set_metrics_are_blank_without_an_extractor() -> None:
    found = score(
        [piece_of(random_images(3, SHAPE, 0), random_images(3, SHAPE, 1), given=[1] * 3)], judges_of(verdicts="given")
    )
    for name in METRICS.names():
        kind = METRICS.load(name)
        if issubclass(kind, SetMetric) and name not in ("fid", "kid", "cmmd"):
            assert found.scores[name]["all"].reason == "there is no network of role extractor"
