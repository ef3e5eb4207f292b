"""Ground truth of a synthetic data set: the factors of an image, read and set exactly."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Truth(Protocol):
    """A renderer that can be read: images are made from factors, and factors are found in images, all on the CPU.

    Attributes:
        factors: name of each of the F factors. scales: range of each, ``[F]`` float32.
        categorical: whether a factor has no order, ``[F]`` bool.
        target_factors: indices of the factors that define the class.
        confounder: index of a factor that goes along with the class without defining it, if there is one.
    """

    factors: tuple[str, ...]
    scales: Tensor
    categorical: Tensor
    target_factors: tuple[int, ...]
    confounder: int | None

    def read(self, images: Tensor) -> Tensor:
        """Factors ``[B, F]`` (float32) of 8-bit images ``[B, C, H, W]``: exact where they were rendered.

        Other images get the factors of the rendering nearest to them.
        """

    def render(self, factors: Tensor) -> Tensor:
        """8-bit images ``[B, C, H, W]`` of ``factors`` ``[B, F]``.

        Raises:
            InvalidParameter: a factor is outside its range.
        """

    def labels(self, factors: Tensor) -> Tensor:
        """Class that ``factors`` ``[B, F]`` define, ``[B]`` int64."""

    def minimal(self, images: Tensor, targets: Tensor) -> Tensor:
        """The minimal true counterfactual of each image: as it is read, with only the factors of the class changed."""


def factor_changes(truth: Truth, before: Tensor, after: Tensor) -> Tensor:
    """How far each factor moved, as a share of its range ``[B, F]`` in [0, 1]; 0 or 1 where it has no order."""
    change = (after - before).abs()
    return (change / truth.scales).where(~truth.categorical, (change > 0).to(change.dtype))
