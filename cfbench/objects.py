"""Where the object of an image is, by rules so simple that they need no network: data sets say which one fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


class Objects(Protocol):
    """Finds the object in images."""

    def __call__(self, images: Tensor) -> Tensor:
        """Masks ``[N, H, W]`` (bool, on the images' device) of 8-bit images ``[N, C, H, W]``; empty where none is."""


@dataclass(frozen=True)
class Brighter:
    """The pixels brighter than ``level`` in any channel: an object on black ground."""

    level: int

    def __call__(self, images: Tensor) -> Tensor:
        return (images > self.level).any(dim=1)


@dataclass(frozen=True)
class DarkerThanBorder:
    """The region that is darker than the ground around it and fills most of the middle, its holes filled: a dark spot.

    Smoothed luminance is compared with its median in a ring at the border; Otsu's threshold (IEEE Trans. Syst. Man
    Cybern. 9, 1979) on how much darker a pixel is parts spot and ground. The corners outside the inscribed circle, and
    black regions at the border that keep out of the middle, as round lenses and frames leave them, are ground. Of the
    connected regions the one with the largest area counts, each pixel weighed by a Gaussian about the image's middle.

    It is simple: of 40 test lesions of ISIC 2017 drawn at random, about 32 masks fit by eye. It fails on pale lesions,
    takes ink and dense hair for one, and finds a part only of lesions that fill the image.

    Attributes:
        smooth: standard deviation of the filter, middle: that of the weights; shares of the image's width.
        black: level below which luminance is black, of 255.
    """

    smooth: float = 0.02
    middle: float = 0.2
    black: int = 40

    def __call__(self, images: Tensor) -> Tensor:
        masks = [self._mask(image) for image in images.float().mean(dim=1).double().cpu().numpy()]
        return torch.from_numpy(np.stack(masks)).to(images.device)

    def _mask(self, luminance: Floats) -> NDArray[np.bool_]:
        from scipy.ndimage import binary_fill_holes, gaussian_filter, label

        height, width = luminance.shape
        smooth = gaussian_filter(luminance, self.smooth * width)
        rows, columns = np.ogrid[:height, :width]
        square = (rows - (height - 1) / 2) ** 2 + (columns - (width - 1) / 2) ** 2
        frame = self._frame(smooth) | (square > (width / 2) ** 2)
        if frame.all():
            return np.zeros_like(frame)
        edge = ~frame & (square > (3 * width / 8) ** 2)
        darker = np.clip(np.median(smooth[edge] if edge.any() else smooth) - smooth, 0, None)
        labels, count = label((darker > otsu(darker[~frame])) & ~frame)
        weights = np.exp(-square / (2 * (self.middle * width) ** 2))
        areas = np.bincount(labels.ravel(), weights.ravel(), minlength=count + 1)
        areas[0] = 0
        return np.asarray(binary_fill_holes(labels == areas.argmax()) if count else np.zeros_like(frame))

    def _frame(self, smooth: Floats) -> NDArray[np.bool_]:
        """Black regions that touch the border and keep out of the middle quarter, with their soft edge."""
        from scipy.ndimage import binary_dilation, label

        labels, _ = label(smooth < self.black)
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        rows, columns = (slice(3 * side // 8, side - 3 * side // 8) for side in smooth.shape)
        frame = np.isin(labels, np.setdiff1d(edge, [0, *np.unique(labels[rows, columns])]))
        return np.asarray(binary_dilation(frame, iterations=max(1, round(2 * self.smooth * smooth.shape[1]))))


def otsu(values: Floats) -> float:
    """Otsu's threshold of ``values`` [n] in 256 bins, at which those above and those below it vary least.

    Of equal values it is that value, above which there is none.
    """
    if values.min() == values.max():
        return float(values[0])
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * np.square(sums / below - (sums[-1] - sums) / above)
    return float(edges[1:][np.nanargmax(between[:-1])])
