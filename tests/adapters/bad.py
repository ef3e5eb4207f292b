"""Adapters that break the contract, each in one way."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor

from cfbench.method import Method
from cfbench.needs import Needs


class _Bad(Method):
    family = "test"
    citation = "none"
    needs = Needs(gradients=True)
    batch_size = 4

    def spoil(self, images: Tensor) -> Tensor:
        return images

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        return self.spoil(images.clone())


class WrongShape(_Bad):
    name = "wrong-shape"

    def spoil(self, images: Tensor) -> Tensor:
        return images[:, :, :5]


class WrongType(_Bad):
    name = "wrong-type"

    def spoil(self, images: Tensor) -> Tensor:
        return images.double()


class NotATensor(_Bad):
    name = "not-a-tensor"

    def spoil(self, images: Tensor) -> Tensor:
        return images.numpy()  # type: ignore[return-value]


class OtherDevice(_Bad):
    name = "other-device"

    def spoil(self, images: Tensor) -> Tensor:
        return images.to("meta")


class ChangesInput(_Bad):
    name = "changes-input"

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        return images.mul_(0.5)


class ChangesWeights(_Bad):
    name = "changes-weights"

    def spoil(self, images: Tensor) -> Tensor:
        self.task.classifier.network.head.bias.data.add_(1)  # type: ignore[union-attr, operator]
        return images


class ChangesMode(_Bad):
    name = "changes-mode"

    def spoil(self, images: Tensor) -> Tensor:
        self.task.classifier.network.train()
        return images


class ChangesModeInPrepare(_Bad):
    name = "changes-mode-in-prepare"

    def prepare(self, task: object) -> None:
        self.task.classifier.network.train()


class TorchRandom(_Bad):
    name = "torch-random"

    def spoil(self, images: Tensor) -> Tensor:
        return torch.rand_like(images)


class NumpyRandom(_Bad):
    name = "numpy-random"

    def spoil(self, images: Tensor) -> Tensor:
        np.random.rand()
        return images


class PythonRandom(_Bad):
    name = "python-random"

    def spoil(self, images: Tensor) -> Tensor:
        random.random()
        return images


class NeverFinite(_Bad):
    name = "never-finite"

    def spoil(self, images: Tensor) -> Tensor:
        return images * torch.nan


class NeverInRange(_Bad):
    name = "never-in-range"

    def spoil(self, images: Tensor) -> Tensor:
        return images * 255


class AlwaysRaises(_Bad):
    name = "always-raises"

    def spoil(self, images: Tensor) -> Tensor:
        raise ValueError("no idea")


class LogsTooMuch(_Bad):
    name = "logs-too-much"

    def spoil(self, images: Tensor) -> Tensor:
        self.log(steps=torch.zeros(len(images) + 1))
        return images


class _Picky(_Bad):
    """Fails on the queries whose first pixel is among the darker half."""

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        self.log(brightness=images.flatten(1).mean(1))
        return self.spoil(images.clone())


def dark(images: Tensor) -> Tensor:
    """Which queries the picky adapters fail on."""
    return images[:, 0, 0, 0] < 0.1


class SometimesRaises(_Picky):
    name = "sometimes-raises"

    def spoil(self, images: Tensor) -> Tensor:
        if dark(images).any():
            raise ValueError("too dark")
        return images


class SometimesNaN(_Picky):
    name = "sometimes-nan"

    def spoil(self, images: Tensor) -> Tensor:
        images[dark(images), 0, 0, 0] = torch.nan
        return images


class SometimesOutside(_Picky):
    name = "sometimes-outside"

    def spoil(self, images: Tensor) -> Tensor:
        images[dark(images), 0, 0, 0] = 1.5
        return images
