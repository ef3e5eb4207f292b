"""Every metric at once on any run by any judges: a finite score within its bounds, or none and a reason."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from checked_scores import check_scores
from fuzzing import cases, refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from judged import Formula, judges_of, member, piece_of, random_images
from rendered import SquareRenderer
from torch import Tensor, nn

from cfbench.batch import UNDECIDED
from cfbench.dataset import Images
from cfbench.errors import InvalidParameter
from cfbench.judges import Judges
from cfbench.networks import FeatureNetwork
from cfbench.objects import Brighter, DarkerThanBorder
from cfbench.pieces import COSTS, Piece
from cfbench.protocols import PROTOCOLS
from cfbench.scoring import score

CLASSES = 3

ROLES = ("distilled", "oracle", "extractor", "autoencoder", "attributes", "reference")

EXTREMES = (0.0, 1.0, -1.0, 1e-45, 3e38, -3e38, float("nan"), float("inf"), -float("inf"))


class Odd(nn.Module):
    """A random linear network whose outputs are scaled, and extreme for images whose first pixel is below ``share``."""

    def __init__(self, outputs: int, *, seed: int, scale: float, extreme: float, share: float) -> None:
        super().__init__()
        self.outputs, self.seed = outputs, seed
        self.scale, self.extreme, self.share = scale, extreme, share

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        weights = torch.randn(flat.shape[1], self.outputs, generator=torch.Generator().manual_seed(self.seed))
        made = flat @ weights * self.scale
        hit = flat[:, 0] < self.share
        made[hit, self.seed % self.outputs] = self.extreme
        return made


class OddMaps(FeatureNetwork):
    """Feature maps of images as they are and halved, odd as those of :class:`Odd`."""

    def __init__(self, channels: int, odd: Odd) -> None:
        pool = nn.AdaptiveAvgPool2d(2)
        plain = {"mean": [0.0] * channels, "std": [1.0] * channels}
        super().__init__([nn.Identity(), pool], width=channels, classes=CLASSES, **plain)
        self.odd = odd

    def blocks(self, images: Tensor) -> list[Tensor]:
        hit = images[:, :1, :1, :1] < self.odd.share
        return [torch.where(hit, self.odd.extreme, maps * self.odd.scale) for maps in super().blocks(images)]


@st.composite
def odd_networks(draw: DrawFn, outputs: int) -> Odd:
    """Half of them are plain."""
    scale = draw(st.sampled_from([1.0, 1.0, 30.0, 0.0, 1e-40, 1e37]))
    share = draw(st.sampled_from([0.0, 0.0, 0.02, 0.5, 2.0]))
    seed = draw(st.integers(0, 99))
    return Odd(outputs, seed=seed, scale=scale, extreme=draw(st.sampled_from(EXTREMES)), share=share)


@st.composite
def shapes(draw: DrawFn) -> tuple[int, int, int]:
    side = st.integers(1, 16)
    return draw(st.sampled_from([1, 1, 3])), draw(side), draw(side)


@st.composite
def images(draw: DrawFn, count: int, shape: tuple[int, int, int]) -> Tensor:
    """Random, constant, few different ones, or black and white."""
    made = random_images(count, shape, draw(st.integers(0, 999)))
    match draw(st.sampled_from(["random", "random", "constant", "few", "binary"])):
        case "constant":
            made[:] = draw(st.integers(0, 255))
        case "few":
            made = made[torch.arange(count) % draw(st.integers(1, 4))] if count else made
        case "binary":
            made = made // 128 * 255
    return made


@st.composite
def judges(draw: DrawFn, shape: tuple[int, int, int]) -> Judges:
    """Any subset of the judges there can be, and real images of any of the classes."""
    have = set(ROLES) if draw(st.booleans()) else draw(st.sets(st.sampled_from(ROLES)))
    members = [member("classifier", draw(odd_networks(CLASSES)))]
    members += [member("distilled", draw(odd_networks(CLASSES)))] if "distilled" in have else []
    if "oracle" in have:
        members += [member(f"oracle-{i}", draw(odd_networks(CLASSES))) for i in range(draw(st.integers(1, 3)))]
    if "extractor" in have:
        odd = draw(odd_networks(4))
        members.append(member("extractor", odd if draw(st.booleans()) else OddMaps(shape[0], odd)))
    if "autoencoder" in have:
        for label in ("all", *range(CLASSES)):
            scale = draw(st.sampled_from([0.9, 1.0, 0.0, 1e38, float("nan")]))
            rebuilt = Formula(lambda made, scale=scale: made * scale)
            members.append(member(f"autoencoder-{label}", rebuilt, "autoencoder"))
    if "attributes" in have:
        members += [member(f"attribute-oracle-{i}", draw(odd_networks(3))) for i in range(draw(st.integers(1, 2)))]
    size = draw(st.sampled_from([1, 2, 11, 60, 150]))
    labels = torch.tensor(draw(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=4)))
    real = Images(draw(images(size, shape)), labels[torch.arange(size) % len(labels)])
    return judges_of(
        *members,
        classes=CLASSES,
        image_shape=shape,
        reference=real if "reference" in have else None,
        attributes=("a", "b", "c"),
        target_attributes=("b",),
        objects=draw(st.sampled_from([None, Brighter(100), DarkerThanBorder()])),
        truth=SquareRenderer() if shape == (1, 12, 12) else None,
    )


@st.composite
def pieces(draw: DrawFn, shape: tuple[int, int, int], first: int, count: int) -> Piece:
    """Queries, and counterfactuals that are the same, near to them, or others."""
    queries = draw(images(count, shape))
    share = draw(st.sampled_from([0.0, 0.02, 1.0]))
    stream = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    chosen = torch.rand(queries.shape, generator=stream) < share
    made = torch.where(chosen, draw(images(count, shape)), queries)
    sources = torch.randint(0, CLASSES, (count,), generator=stream)
    targets = (sources + torch.randint(1, CLASSES, (count,), generator=stream)) % CLASSES
    failed = np.flatnonzero((torch.rand(count, generator=stream) < draw(st.sampled_from([0.0, 0.1, 1.0]))).numpy())
    made[failed] = queries[failed]
    given = None
    if draw(st.integers(0, 4)) == 0:
        given = torch.randint(UNDECIDED, CLASSES, (count,), generator=stream).tolist()
    piece = piece_of(queries, made, sources=sources, targets=targets, failed=failed.tolist(), given=given, first=first)
    costs = {name: torch.full((count,), draw(st.sampled_from([0.0, 1.0, float("nan"), 1e30]))) for name in COSTS}
    return dataclasses.replace(piece, costs=costs)


@st.composite
def runs(draw: DrawFn) -> tuple[list[Piece], Judges, dict[str, list[Piece]], list[str]]:
    """One run in a piece or two, its judges, and sometimes the further runs of all protocols."""
    shape = draw(st.sampled_from([(1, 12, 12), (1, 12, 12)]) | shapes())
    sizes = [draw(st.sampled_from([1, 2, 7, 24, 60, 120]))]
    sizes += [draw(st.integers(1, 30))] if draw(st.integers(0, 3)) == 0 else []
    firsts = np.cumsum([0, *sizes])[:-1].tolist()
    run = [draw(pieces(shape, first, size)) for first, size in zip(firsts, sizes, strict=True)]
    if draw(st.integers(0, 4)) == 0:
        kinds = draw(st.integers(1, 3))
        run = [
            dataclasses.replace(
                each,
                further=torch.stack([draw(images(len(each.errors), shape)) for _ in range(kinds)], dim=1),
            )
            for each in run
        ]
    protocols: list[str] = []
    again: dict[str, list[Piece]] = {}
    if draw(st.integers(0, 3)) == 0:
        protocols = [name for name in PROTOCOLS if name != "boundary"]
        for name in ("composition", "reversibility", "stability", "seeds-1", "seeds-2", "noise-1", "jpeg-5"):
            again[name] = [draw(pieces(shape, first, size)) for first, size in zip(firsts, sizes, strict=True)]
    return run, draw(judges(shape)), again, protocols


@cases(40)
@given(run=runs())
def test_every_metric(run: tuple[list[Piece], Judges, dict[str, list[Piece]], list[str]]) -> None:
    made, who, again, protocols = run
    who.costs = True
    with refused(), np.errstate(all="ignore"):
        found = score(made, who, reruns=again, protocols=protocols)
        assert len(found.table) == sum(len(piece.errors) for piece in made)
        check_scores(found)


def test_no_queries() -> None:
    for nothing in ([], [piece_of(random_images(0, (1, 12, 12)), random_images(0, (1, 12, 12)))]):
        with pytest.raises(InvalidParameter, match="no images to score"):
            score(nothing, judges_of())
