"""The usual networks of a data set, said in few words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from torch import nn

from cfbench.attribute_training import AttributeRecipe, OneAttributeRecipe
from cfbench.dataset import NetworkSpec, Recipe
from cfbench.diffusion_training import DiffusionRecipe
from cfbench.gan_training import GANRecipe
from cfbench.generators import VAERecipe
from cfbench.heads import DUQRecipe, JointRecipe, LossEstimatorRecipe
from cfbench.networks import (
    GAN,
    VAE,
    Autoencoder,
    Diffusion,
    DUQHead,
    FeatureNetwork,
    JointClassifier,
    LossEstimator,
    OneAttribute,
)
from cfbench.robust import RobustRecipe
from cfbench.training import AutoencoderRecipe, ClassifierRecipe, DistilRecipe

Built = TypeVar("Built", bound=nn.Module)


@dataclass(frozen=True)
class Zoo:
    """What the networks of one data set share; its methods give their specifications.

    Attributes:
        channels, classes: of the images. mean, std: of each channel, for the built-in normalisation.
        training: fields of the recipes, such as ``shift`` and ``flip``. weighing: those of trained classifiers alone.
        half: whether classifiers and judges are stored in 16 bits; what helps methods always is.
    """

    channels: int
    classes: int
    mean: Sequence[float]
    std: Sequence[float]
    training: Mapping[str, Any]
    weighing: Mapping[str, Any] = field(default_factory=dict)
    half: bool = False

    def _build(self, architecture: Callable[..., Built], sizes: dict[str, Any]) -> Callable[[], Built]:
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
        half: bool | None = None,
        **sizes: Any,
    ) -> NetworkSpec:
        """A network trained to classify; ``recipe`` has fields of its recipe alone, ``sizes`` go to its constructor.

        ``half`` overrides that of the data set.
        """
        fields = {**self.training, **self.weighing, **(recipe or {})}
        build = self._build(architecture, sizes)
        return NetworkSpec(
            role,
            description,
            build,
            ClassifierRecipe(epochs=epochs, **fields),
            seed,
            half=self.half if half is None else half,
        )

    def distilled(
        self, description: str, architecture: Callable[..., nn.Module], *, epochs: int, seed: int, **sizes: Any
    ) -> NetworkSpec:
        """A copy of the classifier, distilled from its answers."""
        recipe = DistilRecipe(epochs=epochs, **self.training)
        return NetworkSpec("distilled", description, self._build(architecture, sizes), recipe, seed, half=self.half)

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
        architecture: Callable[..., FeatureNetwork],
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
        wide = self._build(architecture, {**sizes, "classes": len(names)})
        build = partial(OneAttribute.of, wide, names.index(target))
        description = f"{everything.description}, of which {target}"
        one = NetworkSpec("oracle", description, build, OneAttributeRecipe(source), seed, half=True)
        return {source: everything, f"oracle-{number}": one}

    def loss_estimator(self, widths: Sequence[int], *, epochs: int, seed: int, **recipe: Any) -> NetworkSpec:
        """A loss estimator of the frozen classifier, whose feature maps have ``widths`` channels."""
        fitted = LossEstimatorRecipe(epochs=epochs, **{**self.training, **recipe})
        description = "Loss estimator, 32 a map, post-hoc"
        return NetworkSpec(
            "loss-estimator", description, partial(LossEstimator, tuple(widths)), fitted, seed, half=True
        )

    def joint(
        self,
        description: str,
        architecture: Callable[..., FeatureNetwork],
        maps: Sequence[int],
        *,
        epochs: int,
        seed: int,
        **sizes: Any,
    ) -> NetworkSpec:
        """A classifier, whose feature maps have ``maps`` channels, trained together with its loss estimator."""
        build = partial(JointClassifier.of, self._build(architecture, sizes), tuple(maps))
        recipe = JointRecipe(epochs=epochs, **self.training)
        return NetworkSpec("joint-classifier", f"{description}, with a loss estimator", build, recipe, seed, half=True)

    def duq(self, width: int, *, epochs: int, seed: int, sigma: float, **recipe: Any) -> NetworkSpec:
        """A DUQ head on the frozen classifier's ``width`` pooled features."""
        build = partial(DUQHead, width=width, classes=self.classes, sigma=sigma)
        fitted = DUQRecipe(epochs=epochs, **{**self.training, **recipe})
        return NetworkSpec("duq", f"DUQ head, 32 a class, sigma {sigma:g}, post-hoc", build, fitted, seed, half=True)

    def robust(
        self,
        description: str,
        architecture: Callable[..., nn.Module],
        *,
        epsilon: float,
        epochs: int,
        seed: int,
        recipe: Mapping[str, Any] | None = None,
        **sizes: Any,
    ) -> NetworkSpec:
        """A classifier trained against attacks of l-infinity radius ``epsilon``."""
        fitted = RobustRecipe(epochs=epochs, epsilon=epsilon, **{**self.training, **(recipe or {})})
        return NetworkSpec("robust", description, self._build(architecture, sizes), fitted, seed, half=True)

    def autoencoders(
        self, *, epochs: int, class_epochs: int, seed: int, width: int = 16, least: int = 0
    ) -> dict[str, NetworkSpec]:
        """``autoencoder-all``, then ``autoencoder-<label>`` of each class with the seeds that follow.

        ``least`` is how many batches each class is trained for at least.
        """
        build = partial(Autoencoder, channels=self.channels, width=width)
        description = f"Autoencoder, width {width}"
        everything = NetworkSpec(
            "autoencoder", description, build, AutoencoderRecipe(epochs=epochs), seed, half=self.half
        )
        return {
            "autoencoder-all": everything,
            **{
                f"autoencoder-{label}": NetworkSpec(
                    "autoencoder",
                    description,
                    build,
                    AutoencoderRecipe(epochs=class_epochs, only_class=label, least=least),
                    seed + 1 + label,
                    half=self.half,
                )
                for label in range(self.classes)
            },
        }

    def generators(
        self,
        *,
        side: int,
        epochs: Mapping[str, int],
        seed: int,
        attributes: int = 0,
        held_by: str = "classifier",
        hold: float = 0.1,
    ) -> dict[str, NetworkSpec]:
        """Those of ``vae``, ``gan`` and ``diffusion`` that ``epochs`` names, with ``seed`` and the two that follow.

        Images of more than 32 pixels a side have a diffusion model of latents. With ``attributes`` GAN and diffusion
        model are conditioned on that many attributes rather than the class. The frozen network ``held_by`` holds the
        GAN's images to their class or attributes, with weight ``hold``.
        """
        small = side <= 32
        images: dict[str, Any] = {"channels": self.channels, "side": side}
        sizes = images | (
            {"latent": 32, "widths": (32, 64), "hidden": 96}
            if small
            else {"latent": 64, "widths": (16, 32, 32), "hidden": 96}
        )
        conditions = attributes or self.classes
        said = f"{'-'.join(map(str, sizes['widths']))}, z {sizes['latent']}"
        denoiser = Diffusion.of_pixels if small else Diffusion.of_latents
        space = "blocks of 2 x 2 pixels" if small else "latents of a quarter of the side"
        every: dict[str, tuple[str, Callable[[], nn.Module], Callable[..., Recipe]]] = {
            "vae": (f"VAE {said}", partial(VAE, **sizes), VAERecipe),
            "gan": (
                f"GAN {said}, with encoder",
                partial(GAN, **sizes, classes=conditions),
                partial(GANRecipe, attributes=attributes > 0, classifier=held_by, classes=hold),
            ),
            "diffusion": (
                f"UNet2DModel 32-64 on {space}",
                partial(denoiser, **images, classes=conditions, widths=(32, 64)),
                partial(DiffusionRecipe, attributes=attributes > 0),
            ),
        }
        return {
            name: NetworkSpec(name, description, build, recipe(epochs=epochs[name]), seed + offset, half=True)
            for offset, (name, (description, build, recipe)) in enumerate(every.items())
            if name in epochs
        }
