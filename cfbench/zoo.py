"""The usual networks of a data set, said in few words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from cfbench.attribute_training import AttributeRecipe, OneAttributeRecipe
from cfbench.dataset import NetworkSpec
from cfbench.networks import Autoencoder
from cfbench.training import AutoencoderRecipe, ClassifierRecipe, DistilRecipe


@dataclass(frozen=True)
class Zoo:
    """What the networks of one data set share; its methods give their specifications.

    Attributes:
        channels, classes: of the images. mean, std: of each channel, for the built-in normalisation.
        training: fields of the recipes, such as ``shift`` and ``flip``. weighing: those of trained classifiers alone.
    """

    channels: int
    classes: int
    mean: Sequence[float]
    std: Sequence[float]
    training: Mapping[str, Any]
    weighing: Mapping[str, Any] = field(default_factory=dict)

    def _build(self, architecture: Callable[..., nn.Module], sizes: dict[str, Any]) -> Callable[[], nn.Module]:
        shared = {"channels": self.channels, "classes": self.classes, "mean": self.mean, "std": self.std}
        return partial(architecture, **{**shared, **sizes})

    def trained(
        self,
        role: str,
        description: str,
        architecture: Callable[..., nn.Module],
        *,
        epochs: int,
        seed: int,
        recipe: Mapping[str, Any] | None = None,
        **sizes: Any,
    ) -> NetworkSpec:
        """A network trained to classify; ``recipe`` has fields of its recipe alone, ``sizes`` go to its constructor."""
        fields = {**self.training, **self.weighing, **(recipe or {})}
        build = self._build(architecture, sizes)
        return NetworkSpec(role, description, build, ClassifierRecipe(epochs=epochs, **fields), seed)

    def distilled(
        self,
        description: str,
        architecture: Callable[..., nn.Module],
        *,
        epochs: int,
        seed: int,
        recipe: Mapping[str, Any] | None = None,
        **sizes: Any,
    ) -> NetworkSpec:
        """A copy of the classifier, distilled from its answers; ``recipe`` has fields of its recipe alone."""
        fields = {**self.training, **(recipe or {})}
        build = self._build(architecture, sizes)
        return NetworkSpec("distilled", description, build, DistilRecipe(epochs=epochs, **fields), seed)

    def attributes(
        self,
        role: str,
        description: str,
        architecture: Callable[..., nn.Module],
        *,
        names: Sequence[str],
        epochs: int,
        seed: int,
        **sizes: Any,
    ) -> NetworkSpec:
        """A network trained to judge the attributes ``names``, one logit each."""
        recipe = AttributeRecipe(epochs=epochs, **self.training)
        build = self._build(architecture, {**sizes, "classes": len(names)})
        return NetworkSpec(role, f"{description}, {len(names)} attributes", build, recipe, seed, half=True)

    def attribute_oracle(
        self,
        number: int,
        description: str,
        architecture: Callable[..., nn.Module],
        *,
        names: Sequence[str],
        target: str,
        epochs: int,
        seed: int,
        **sizes: Any,
    ) -> dict[str, NetworkSpec]:
        """``attribute-oracle-<number>``, and ``oracle-<number>`` which is its output for ``target``."""
        source = f"attribute-oracle-{number}"
        everything = self.attributes(
            "attribute-oracle", description, architecture, names=names, epochs=epochs, seed=seed, **sizes
        )
        one = NetworkSpec(
            "oracle",
            f"{everything.description}, of which {target}",
            self._build(architecture, {**sizes, "classes": 2}),
            OneAttributeRecipe(source, names.index(target)),
            seed,
            half=True,
        )
        return {source: everything, f"oracle-{number}": one}

    def autoencoders(
        self, *, epochs: int, class_epochs: int, seed: int, width: int = 16, least: int = 0
    ) -> dict[str, NetworkSpec]:
        """``autoencoder-all``, then ``autoencoder-<label>`` of each class with the seeds that follow.

        ``least`` is how many batches each class is trained for at least.
        """
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
                    AutoencoderRecipe(epochs=class_epochs, only_class=label, least=least),
                    seed + 1 + label,
                )
                for label in range(self.classes)
            },
        }
