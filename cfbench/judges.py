"""Who judges a run: frozen networks by role, held-out real images, and the renderer where one knows the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from cfbench.collector import Collector
from cfbench.dataset import Dataset, Images
from cfbench.errors import MissingResource
from cfbench.files import sha256_bytes
from cfbench.imagenet import imagenet_space
from cfbench.images import dequantise
from cfbench.networks import FeatureNetwork, fold
from cfbench.objects import Objects
from cfbench.spaces import Space, space_of
from cfbench.tensor_cache import kept_tensors
from cfbench.truth import Truth

if TYPE_CHECKING:
    from cfbench.task import Task

T = TypeVar("T")

BATCH = 250
"""Images a scoring batch; fixed, so that scoring again gives the same bits."""

WITHOUT_FLOAT64 = ("mps",)
"""Types of devices on which no score can be computed, as all are in float64."""

WORTH_KEEPING = BATCH
"""Real images from which their features by published networks are kept on disk."""

REQUIRED = ("classifier", "oracle", "extractor")
"""Roles whose networks must be there before a task is run."""

ABSENT = {
    "verdicts": "there is no classifier",
    "stages": "the extractor has no readable stages",
    "reference": "there are no held-out real images",
    "truth": "there is no renderer that knows the true factors",
    "objects": "the data set does not say where the object is",
    "costs": "the images were made elsewhere",
    "autoencoder": "there are no autoencoders of all and of each class",
}
"""What is said where something that a metric needs is not there; other needs are roles of networks."""


@dataclass(frozen=True)
class Member:
    """A network that judges: its name, role, the identity that scores carry, how it is loaded, its clean accuracy."""

    name: str
    role: str
    identity: str
    load: Callable[[], nn.Module]
    accuracy: float | None = None


def members_of(dataset: Dataset) -> list[Member]:
    """The networks of a data set that are built."""
    found = []
    for name in dataset.built():
        entry = dataset.entry(name)
        identity, load = f"{name}@{entry.sha256[:12]}", partial(dataset.network, name)
        found.append(Member(name, dataset.networks[name].role, identity, load, entry.quality.get("accuracy")))
    return found


class Judges:
    """The networks that judge, each loaded once, and what else a metric may ask for.

    Args:
        members: the networks. classes: number of classes. image_shape: (C, H, W).
        device: where networks and images are put; the CPU instead of one of ``WITHOUT_FLOAT64``.
        reference: gives held-out real images; None where there are none.
        truth: the renderer of a synthetic data set; None for real images.
        objects: finds the object in images; None where nobody does.
        attributes: names of the attributes that networks of role ``attribute-oracle`` judge.
        target_attributes: the attributes that define the classes.
        verdicts: identity of predictions that are given instead of a classifier. costs: whether costs are known.
    """

    def __init__(
        self,
        members: Iterable[Member],
        *,
        classes: int,
        image_shape: tuple[int, int, int],
        device: torch.device | str = "cpu",
        reference: Callable[[], Images] | None = None,
        truth: Truth | None = None,
        objects: Objects | None = None,
        attributes: tuple[str, ...] = (),
        target_attributes: tuple[str, ...] = (),
        verdicts: str | None = None,
        costs: bool = True,
    ) -> None:
        self._members = {member.name: member for member in members}
        self._loaded: dict[str, nn.Module] = {}
        self._reference = reference
        self.num_classes = classes
        self.image_shape = image_shape
        self.device = torch.device("cpu" if torch.device(device).type in WITHOUT_FLOAT64 else device)
        self.truth = truth
        self.objects = objects
        self.attributes = attributes
        self.target_attributes = target_attributes
        self.verdicts = verdicts
        self.costs = costs
        self.protocols: tuple[str, ...] = ()
        self.several = False
        self._shared: dict[str, Any] = {}

    @classmethod
    def of(cls, task: Task, given: Iterable[Member] = ()) -> Judges:
        """The judges of a task; ``given`` ones take the place of the task's of the same role."""
        dataset, given = task.dataset, [*given]
        if not task.explains_own:
            [explained] = [member for member in members_of(dataset) if member.name == task.classifier]
            given.append(replace(explained, role="classifier"))
        replaced = {member.role for member in given}
        if "classifier" in replaced:
            replaced.add("distilled")
        named = {member.name for member in given}
        kept = [member for member in members_of(dataset) if member.role not in replaced and member.name not in named]
        return cls(
            [*given, *kept],
            classes=task.num_classes,
            image_shape=dataset.image_shape,
            device=task.device,
            reference=partial(dataset.split, "reference"),
            truth=dataset.truth,
            objects=dataset.objects,
            attributes=dataset.attributes,
            target_attributes=dataset.target_attributes,
        )

    def names(self, role: str) -> list[str]:
        """Names of the networks that play ``role``, sorted."""
        return sorted(name for name, member in self._members.items() if member.role == role)

    def identity(self, *names: str) -> str:
        """Name and content of networks, as in ``extractor@3fa9c1d20b7e``."""
        return " ".join(self._members[name].identity for name in names)

    @property
    def accuracies(self) -> dict[str, float]:
        """Clean test accuracy of those networks of which it is known, by name."""
        return {name: member.accuracy for name, member in self._members.items() if member.accuracy is not None}

    def network(self, name: str) -> nn.Module:
        """A network, loaded once."""
        if name not in self._loaded:
            self._loaded[name] = self._members[name].load().to(self.device)
        return self._loaded[name]

    def fresh(self, name: str) -> nn.Module:
        """A copy of a network of its own."""
        return self._members[name].load().to(self.device)

    def folded(self, name: str) -> nn.Module:
        """A copy of a network that is faster by the time of its batch norms, and differs by rounding."""
        return self.once(f"folded {name}", lambda: fold(self.fresh(name)))

    @property
    def classifier(self) -> str:
        """Name of the network explained."""
        return self.names("classifier")[0]

    @property
    def oracles(self) -> list[str]:
        """Names of the independent classifiers."""
        return self.names("oracle")

    @property
    def extractor(self) -> str:
        """Name of the network whose features realism metrics use."""
        return self.names("extractor")[0]

    def autoencoder(self, label: int | None) -> str:
        """Name of the autoencoder of one class, or of all classes."""
        return f"autoencoder-{'all' if label is None else label}"

    @property
    def explained(self) -> str:
        """Identity of the network explained, or of the predictions given in its place."""
        return self.verdicts if self.verdicts else self.identity(self.classifier)

    @cached_property
    def spaces(self) -> list[Space]:
        """Feature spaces in which sets are compared: the extractors', that of the autoencoder of all classes, and for
        RGB images that of an ImageNet network."""
        names = self.names("extractor")
        if self.autoencoder(None) in self._members:
            names.append(self.autoencoder(None))
        spaces = [space_of(name, self.identity(name), self.network(name)) for name in names]
        return [*spaces, imagenet_space(self.device)] if self.image_shape[0] == 3 else spaces

    def missing(self, need: str) -> str | None:
        """Why a metric is blank that needs a role or one of ``ABSENT``; None if what it needs is there."""
        return None if self._has(need) else ABSENT.get(need, f"there is no network of role {need}")

    def _has(self, need: str) -> bool:
        match need:
            case "verdicts":
                there = bool(self.verdicts or self.names("classifier"))
            case "stages":
                there = isinstance(self.network(self.extractor), FeatureNetwork)
            case "reference":
                there = self._reference is not None
            case "truth":
                there = self.truth is not None
            case "objects":
                there = self.objects is not None
            case "costs":
                there = self.costs
            case "autoencoder":
                there = all(self.autoencoder(label) in self._members for label in (None, *range(self.num_classes)))
            case _:
                there = bool(self.names(need))
        return there

    @cached_property
    def reference(self) -> Images:
        """Held-out real images and their labels."""
        if self._reference is None:
            raise MissingResource("there are no held-out real images; score against a task that has them")
        return self._reference()

    @torch.inference_mode()
    def reference_features(self, space: Space) -> Tensor:
        """Features of the held-out real images in a space, computed once, ``[N, D]`` float64 on the CPU."""
        return self.once(f"reference {space.name}", lambda: self.real_features(space, self.reference.images).double())

    def real_features(self, space: Space, images: Tensor) -> Tensor:
        """Features of 8-bit real images ``[N, C, H, W]`` in a space, ``[N, D]`` on the CPU.

        Those of published networks, which are slow and meet the same images in every run, are kept on disk.
        """
        embed = partial(self._embed, space, images)
        if not space.published or len(images) < WORTH_KEEPING:
            return embed()
        key = {
            "space": space.identity,
            "images": f"{list(images.shape)} {sha256_bytes(images.cpu().numpy().tobytes())}",
            "torch": torch.__version__,
            "device": self.device.type,
        }
        return kept_tensors("features", key, lambda: {"features": embed()})["features"]

    def _embed(self, space: Space, images: Tensor) -> Tensor:
        return torch.cat([space.embed(dequantise(part.to(self.device))).cpu() for part in images.split(BATCH)])

    def once(self, key: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once for all metrics that ask under ``key``."""
        if key not in self._shared:
            self._shared[key] = make()
        shared: T = self._shared[key]
        return shared

    def collect(self, space: Space) -> Collector:
        """The collector of features in ``space``, shared by all metrics that ask for it."""
        return self.once(f"features {space.name}", lambda: Collector(space, self.num_classes))


def verify(dataset: Dataset) -> None:
    """Check that the images are here, and every network that must judge, with its hash, before anything is computed.

    Raises:
        MissingResource: the user has to bring the images first, or a network is not built. CorruptFile: one is damaged.
    """
    if (remedy := dataset.absent()) is not None:
        raise MissingResource(remedy)
    for role in REQUIRED:
        for name in dataset.names(role):
            dataset.verify(dataset.entry(name))
