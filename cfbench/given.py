"""The classifier that a user brings for a task of his own: a file that is frozen, or an architecture to be trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from cfbench.dataset import Images, Networks
from cfbench.errors import CorruptFile, InvalidParameter, MissingResource, UnknownName
from cfbench.files import read_verified, sha256_file
from cfbench.imagenet import INSTALL
from cfbench.networks import Normalise
from cfbench.session import Session
from cfbench.training import predict
from cfbench.user_networks import SCRIPT_SUFFIXES, count_classes, state_hash, user_networks

TIMM = "timm:"


class Given(BaseModel):
    """What ``--classifier`` named.

    Attributes:
        kind: ``script`` (TorchScript file), ``factory`` (``file.py:factory``) or ``timm`` (an architecture by name).
        spec: as given, with the file's path from the root. file: its sha256. weights: sha256 of the weights.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["script", "factory", "timm"]
    spec: str
    file: str = ""
    weights: str = ""

    @property
    def path(self) -> Path:
        """The file of a script or factory."""
        return Path(self.spec.rpartition(":")[0] if self.kind == "factory" else self.spec)

    @property
    def identity(self) -> list[str]:
        """What it is, wherever its file lies."""
        return [self.kind, "" if self.kind == "script" else self.spec.rpartition(":")[2], self.file, self.weights]


def given(spec: str) -> Given:
    """What ``spec`` names: ``net.pt``, ``file.py:factory`` or ``timm:NAME``.

    Raises:
        UnknownName: timm has no such model. MissingResource: the file is not there, or timm is not installed.
        InvalidParameter, CorruptFile: it is no network; see :func:`cfbench.user_networks.user_networks`.
    """
    if spec.startswith(TIMM):
        _check_timm(spec.removeprefix(TIMM))
        return Given(kind="timm", spec=spec.removeprefix(TIMM))
    path, separator, factory = spec.rpartition(":")
    if separator and path.endswith(".py"):
        found = Given(kind="factory", spec=f"{Path(path).resolve()}:{factory}")
    elif Path(spec).suffix in SCRIPT_SUFFIXES:
        found = Given(kind="script", spec=str(Path(spec).resolve()))
    else:
        raise InvalidParameter(
            f"classifier {spec!r} is none of a TorchScript file ({', '.join(SCRIPT_SUFFIXES)}), file.py:factory and "
            f"{TIMM}NAME"
        )
    weights = state_hash(_load(found.spec))
    return found.model_copy(update={"file": sha256_file(found.path), "weights": weights})


def _load(spec: str) -> nn.Module:
    """The one network that a file gives, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        members = user_networks("classifier", spec)
    if len(members) != 1:
        raise InvalidParameter(f"classifier {spec} gives {len(members)} networks; expected one")
    network = members[0].load()
    return _Scripted(network) if isinstance(network, torch.jit.ScriptModule) else network


class _Scripted(nn.Module):
    """TorchScript with all that modules can do."""

    def __init__(self, script: nn.Module) -> None:
        super().__init__()
        self.script = script

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.script(images)
        return logits


def load_given(found: Given, path: Path) -> nn.Module:
    """The network of a script or factory whose file lies at ``path`` and has not changed.

    Raises:
        MissingResource: the file is gone. CorruptFile: it is another one than the task was made with.
    """
    remedy = "put back the file that the task was made with, or make another task of it"
    read_verified(path, sha256=found.file, remedy=remedy)
    return _load(f"{path}:{found.spec.rpartition(':')[2]}" if found.kind == "factory" else str(path))


def check_given(found: Given, images: Tensor, classes: tuple[str, ...]) -> None:
    """It takes such images ``[B, C, H, W]`` in [0, 1] and gives a logit for each class.

    Raises:
        InvalidParameter: it does not.
    """
    [member] = user_networks("classifier", found.spec)
    count = count_classes(member, images)
    if count != len(classes):
        raise InvalidParameter(
            f"classifier {found.spec} gives {count} logits; the folder has {len(classes)} classes, in the order "
            f"{', '.join(classes)}: give a classifier of these classes in this order"
        )


@dataclass(frozen=True)
class GivenRecipe:
    """A network that is taken as it is; quality is the accuracy on held-out images."""

    def fit(self, network: nn.Module, data: Images, *, seed: int, networks: Networks, session: Session) -> None:
        network.eval()

    def quality(self, network: nn.Module, data: Images, *, networks: Networks) -> dict[str, float]:
        return {"accuracy": float((predict(network, data.images) == data.labels).float().mean())}


class TimmClassifier(nn.Module):
    """A model of timm, by name, behind the usual normalisation."""

    def __init__(
        self, *, name: str, side: int, channels: int, classes: int, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.normalise = Normalise(mean, std)
        self.model = _timm_model(name, side, num_classes=classes, in_chans=channels)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[B, classes]`` of images ``[B, C, H, W]`` in [0, 1]."""
        logits: Tensor = self.model(self.normalise(images))
        return logits


def _check_timm(name: str) -> None:
    try:
        import timm
    except ModuleNotFoundError:
        raise MissingResource(f"timm is not installed; run: {INSTALL}") from None
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.partition('.')[0][:6]}*")[:5]
        hint = f"such as {', '.join(near)}" if near else "timm.list_models() names them"
        raise UnknownName(f"timm has no model {name!r}; choose another, {hint}")


def _timm_model(name: str, side: int, **options: object) -> nn.Module:
    """An architecture of timm; those that are made for one size of image are made for ``side``."""
    import timm

    try:
        model: nn.Module = timm.create_model(name, img_size=side, **options)
    except TypeError:
        model = timm.create_model(name, **options)
    return model


def start_from_timm(name: str, *, side: int, channels: int) -> partial[None] | None:
    """Sets the first weights of a :class:`TimmClassifier`, if ``name`` names pretrained ones: ``model.tag``."""
    return partial(_start, name=name, side=side, channels=channels) if "." in name else None


def _start(network: nn.Module, *, name: str, side: int, channels: int) -> None:
    own = network.get_submodule("model").state_dict()
    try:
        pretrained = _timm_model(name, side, pretrained=True, in_chans=channels).state_dict()
    except (OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise MissingResource(
            f"the weights timm:{name} cannot be had ({reason}); get them where there is a connection, or start from "
            f"random weights with timm:{name.partition('.')[0]}"
        ) from error
    fitting = {key: value for key, value in pretrained.items() if key in own and value.shape == own[key].shape}
    if not fitting:
        raise CorruptFile(f"the weights timm:{name} fit no layer of the model; choose other weights")
    network.get_submodule("model").load_state_dict(fitting, strict=False)
