"""The usual networks of a data set, said in few words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from cfbench.dataset import NetworkSpec
from cfbench.networks import Autoencoder
from cfbench.training import AutoencoderRecipe, ClassifierRecipe, DistilRecipe


@dataclass(frozen=True)
class Zoo:
    """What the networks of one data set share; its methods give their specifications.

    Attributes:
        channels, classes: of the images. mean, std: of each channel, for the built-in normalisation.
        shift, flip: augmentation: pixels to move by at most, whether to mirror.
    """

    channels: int
    classes: int
    mean: Sequence[float]
    std: Sequence[float]
    shift: int
    flip: bool

    def _build(self, architecture: Callable[..., nn.Module], sizes: dict[str, Any]) -> Callable[[], nn.Module]:
        shared = {"channels": self.channels, "classes": self.classes, "mean": self.mean, "std": self.std}
        return partial(architecture, **shared, **sizes)

    def trained(
        self,
        role: str,
        description: str,
        architecture: Callable[..., nn.Module],
        *,
        epochs: int,
        seed: int,
        **sizes: Any,
    ) -> NetworkSpec:
        """A network trained to classify; ``sizes`` go to its constructor."""
        recipe = ClassifierRecipe(epochs=epochs, shift=self.shift, flip=self.flip)
        return NetworkSpec(role, description, self._build(architecture, sizes), recipe, seed)

    def distilled(
        self, description: str, architecture: Callable[..., nn.Module], *, epochs: int, seed: int, **sizes: Any
    ) -> NetworkSpec:
        """A copy of the classifier, distilled from its answers."""
        recipe = DistilRecipe(epochs=epochs, shift=self.shift, flip=self.flip)
        return NetworkSpec("distilled", description, self._build(architecture, sizes), recipe, seed)

    def autoencoders(self, *, epochs: int, class_epochs: int, seed: int, width: int = 16) -> dict[str, NetworkSpec]:
        """``autoencoder-all``, then ``autoencoder-<label>`` of each class with the seeds that follow."""
        build = partial(Autoencoder, channels=self.channels, width=width)
        description = f"Autoencoder, width {width}"
        everything = NetworkSpec("autoencoder", description, build, AutoencoderRecipe(epochs=epochs), seed)
        return {
            "autoencoder-all": everything,
            **{
                f"autoencoder-{label}": NetworkSpec(
                    "autoencoder",
                    description,
                    build,
                    AutoencoderRecipe(epochs=class_epochs, only_class=label),
                    seed + 1 + label,
                )
                for label in range(self.classes)
            },
        }
