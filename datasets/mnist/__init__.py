"""MNIST (LeCun et al. 1998): 70,000 handwritten digits, 28 x 28 gray, of ten classes; and its fours and nines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.dataset import Dataset, Images, Networks, NetworkSpec, RawData, Recipe
from cfbench.datasets.mnist.style import RANGES, style
from cfbench.idx import published_pairs
from cfbench.networks import ConvMixer, DenseNet, Diffusion, MobileNet, PlainCNN, ResNet
from cfbench.objects import Brighter
from cfbench.session import Session
from cfbench.zoo import Zoo

SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist"
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

CLASSES = tuple("0123456789")
ATTRIBUTES = (*CLASSES, *RANGES)
"""The classes, and how a digit is written."""

_ZOO = Zoo(channels=1, classes=len(CLASSES), mean=(0.1307,), std=(0.3081,), training={"shift": 1}, half=True)


def _joined(widths: Iterable[int]) -> str:
    return "-".join(map(str, widths))


def _networks(zoo: Zoo, *, narrower: int = 1, longer: int = 1) -> dict[str, NetworkSpec]:
    """Those that learn from a task's own classes.

    All but ConvMixer have ``narrower`` times fewer channels. What learns from every class does so for ``longer`` times
    more epochs.
    """

    def channels(*counts: int) -> tuple[int, ...]:
        return tuple(count // narrower for count in counts)

    widths, residual, inverted = channels(16, 32, 64), channels(12, 24, 48), channels(16, 24, 32)
    (stem,), growths = channels(16), channels(12, 16)
    sizes: dict[str, Any] = {"widths": widths, "depth": 2}
    plain = f"PlainCNN {_joined(widths)}, depth 2"
    return {
        "classifier": zoo.trained("classifier", plain, PlainCNN, epochs=6 * longer, seed=1, half=False, **sizes),
        "distilled": zoo.distilled(plain, PlainCNN, epochs=3 * longer, seed=2, **sizes),
        "oracle-1": zoo.trained(
            "oracle", f"ResNet {_joined(residual)}", ResNet, widths=residual, epochs=3 * longer, seed=11
        ),
        "oracle-2": zoo.trained(
            "oracle",
            "ConvMixer 32, depth 3, patch 2, kernel 5",
            ConvMixer,
            width=32,
            depth=3,
            patch=2,
            kernel=5,
            epochs=4 * longer,
            seed=12,
        ),
        "oracle-3": zoo.trained(
            "oracle",
            f"DenseNet {stem}, growth {_joined(growths)}",
            DenseNet,
            stem=stem,
            growths=growths,
            layers=3,
            epochs=3 * longer,
            seed=13,
        ),
        "extractor": zoo.trained(
            "extractor",
            f"MobileNet {_joined(inverted)}, 64 features",
            MobileNet,
            widths=inverted,
            expansion=2,
            features=64,
            epochs=3 * longer,
            seed=21,
        ),
        **zoo.autoencoders(epochs=2 * longer, class_epochs=20, seed=30),
        "loss-estimator": zoo.loss_estimator(widths, epochs=2 * longer, seed=41),
        "joint": zoo.joint(plain, PlainCNN, widths, epochs=3 * longer, seed=42, **sizes),
        "duq": zoo.duq(widths[-1], epochs=longer, seed=43, sigma=0.3, outside="fashion-mnist"),
        "robust": zoo.robust(plain, PlainCNN, epsilon=0.15, epochs=3 * longer, seed=44, **sizes),
    }


_OF_TEN: dict[str, NetworkSpec] = {
    "attributes": _ZOO.attributes(
        "attributes",
        "PlainCNN 16-32-48, depth 2, stride 2",
        PlainCNN,
        names=ATTRIBUTES,
        widths=(16, 32, 48),
        depth=2,
        stride=2,
        epochs=4,
        seed=3,
    ),
    **_ZOO.generators(side=28, epochs={"vae": 3, "diffusion": 4}, seed=70),
    **_ZOO.generators(side=28, epochs={"gan": 2}, seed=70, attributes=len(ATTRIBUTES), held_by="attributes", hold=1.0),
}
"""Networks that learn from all ten digits, whatever the task."""


class _SomeClasses(Diffusion):
    """A diffusion model that is told ``only`` some of the classes it learnt, with its weights under the same names."""

    def __init__(self, *, only: Sequence[int], **sizes: Any) -> None:
        super().__init__(**sizes)
        self.only, self.classes = list(only), len(only)

    def _predict(self, noised: Tensor, steps: Tensor, weights: Tensor) -> Tensor:
        every = weights.new_zeros(len(weights), self.condition.in_features)
        every[:, self.only] = weights
        return super()._predict(noised, steps, every)


@dataclass(frozen=True)
class OfTenRecipe:
    """The network ``name`` of ``mnist``; nothing is trained. Quality is that of ``recipe``, on images of the task."""

    name: str
    recipe: Recipe

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        network.load_state_dict(MNIST().network(self.name).state_dict())
        network.eval()
        session.progress(1.0, f"taken from {MNIST.name}")

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        return self.recipe.quality(network, data, networks=networks)


def _of_ten(classes: Sequence[str]) -> dict[str, NetworkSpec]:
    """``_OF_TEN`` for a task of some digits."""
    specs = {name: replace(spec, recipe=OfTenRecipe(name, spec.recipe)) for name, spec in _OF_TEN.items()}
    build = partial(
        _SomeClasses.of_pixels,
        channels=1,
        side=28,
        classes=len(CLASSES),
        only=[CLASSES.index(name) for name in classes],
        widths=(32, 64),
    )
    return {**specs, "diffusion": replace(specs["diffusion"], build=build)}


def _described(data: Images) -> Images:
    """With ``ATTRIBUTES``: 1 for the class of an image, 0 for others, and degrees of style."""
    classes = F.one_hot(data.labels, len(CLASSES))
    return replace(data, attributes=torch.cat([classes, style(data.images)], dim=1))


def _selected(data: Images, classes: Sequence[str]) -> Images:
    """Images of some digits, which are numbered in their order in ``data``; labels are positions in ``classes``."""
    labels = torch.stack([data.labels == CLASSES.index(name) for name in classes], dim=1)
    numbers = labels.any(1).nonzero()[:, 0]
    attributes = None if data.attributes is None else data.attributes[numbers]
    return Images(data.images[numbers], labels[numbers].long().argmax(1), numbers, attributes)


class _Digits(Dataset):
    version = "v1"
    image_shape = (1, 28, 28)
    objects = Brighter(25)
    licence = "CC BY-SA 3.0, (c) Yann LeCun and Corinna Cortes, derived from NIST's special databases 1 and 3"
    citation = (
        "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, "
        "Proceedings of the IEEE 86 (1998)"
    )
    homepage = "http://yann.lecun.com/exdb/mnist"
    attributes = ATTRIBUTES

    def raw(self, root: Path | None) -> RawData:
        folders = [] if root is None else [root, root / "MNIST" / "raw", root / "mnist"]
        raw = published_pairs("MNIST", FILES, folders, source=SOURCE)
        return RawData(_described(raw.train), _described(raw.test))


class MNIST(_Digits):
    """MNIST with frozen splits and networks; queries and references are official test images."""

    name = "mnist"
    title = "MNIST"
    classes = CLASSES
    target_attributes = CLASSES
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 1000, "validation": 500, "reference": 3000, "pool": 5000}
    networks: ClassVar[Mapping[str, NetworkSpec]] = {**_networks(_ZOO), **_OF_TEN}


class FourOrNine(_Digits):
    """Is this digit a four or a nine? Those of MNIST, whose attributes and generators are of all ten digits."""

    name = "mnist-4-9"
    title = "MNIST, 4 or 9"
    classes = ("4", "9")
    target_attributes = classes
    subfolder = "4-9"
    split_sizes: ClassVar[Mapping[str, int]] = {"test": 500, "validation": 200, "reference": 800, "pool": 1000}
    networks: ClassVar[Mapping[str, NetworkSpec]] = {
        **_networks(replace(_ZOO, classes=len(classes)), narrower=2, longer=3),
        **_of_ten(classes),
    }

    def raw(self, root: Path | None) -> RawData:
        raw = super().raw(root)
        return RawData(_selected(raw.train, self.classes), _selected(raw.test, self.classes))
