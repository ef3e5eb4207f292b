"""Networks that a user brings to judge: TorchScript files, or factories in a Python file."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cfbench.errors import CorruptFile, InvalidParameter, MissingResource, UnknownName
from cfbench.files import sha256_file
from cfbench.judges import Member
from cfbench.registry import import_file

SCRIPT_SUFFIXES = (".pt", ".pth", ".ts", ".torchscript")

VOTING = ("classifier", "oracle", "distilled")
"""Roles of networks that give logits of the task's classes."""

ROLES = (*VOTING, "extractor", "autoencoder", "attribute-oracle")
"""Roles of networks that judge."""


def user_networks(role: str, spec: str, *, taken: Iterable[str] = ()) -> list[Member]:
    """The networks of one ``role`` that ``spec`` names.

    Args:
        role: one of ``ROLES``.
        spec: a TorchScript file, or ``file.py:factory``. The factory takes no argument and gives a module that maps
            images ``[B, C, H, W]`` in [0, 1] to its output, or a mapping from names to such modules, in which ``"all"``
            and ``"3"`` become ``autoencoder-all`` and ``autoencoder-3``.
        taken: names that are used already.

    Raises:
        UnknownName: no such role. MissingResource: the file is not there. CorruptFile: not TorchScript.
        InvalidParameter: the factory is not there or fails, or gives something else.
    """
    if role not in ROLES:
        raise UnknownName(f"unknown role {role!r} of network {spec}; choose from {', '.join(ROLES)}")
    path, separator, attribute = spec.rpartition(":")
    if separator and path.endswith(".py"):
        modules = _made(Path(path), attribute)
        identities = {key: state_hash(module) for key, module in modules.items()}
    elif Path(spec).suffix in SCRIPT_SUFFIXES:
        modules = {"": _scripted(Path(spec))}
        identities = {"": sha256_file(Path(spec))}
    else:
        raise InvalidParameter(
            f"{role} {spec!r} is neither a TorchScript file ({', '.join(SCRIPT_SUFFIXES)}) nor file.py:factory"
        )
    used = set(taken)
    members = []
    for key, module in modules.items():
        stem = f"{role}-{key}" if key else role
        name = next(name for name in _numbered(stem) if name not in used)
        used.add(name)
        for weight in module.parameters():
            weight.requires_grad_(False)
        members.append(Member(name, role, f"{name}@{identities[key][:12]}", _Keep(module.eval())))
    return members


class _Keep:
    """Gives a network that is loaded already."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self) -> nn.Module:
        return self.network


def _numbered(stem: str) -> Iterable[str]:
    yield stem
    index = 2
    while True:
        yield f"{stem}-{index}"
        index += 1


def _scripted(path: Path) -> nn.Module:
    if not path.is_file():
        raise MissingResource(f"{path} is missing; give a TorchScript file saved with torch.jit.save")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            module: nn.Module = torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise CorruptFile(
            f"{path} is not a TorchScript file ({reason}); save the network by torch.jit.save, or give file.py:factory"
        ) from error
    return module


def _made(path: Path, attribute: str) -> dict[str, nn.Module]:
    factory: Callable[[], object] | None = getattr(import_file(path, "file.py:factory"), attribute, None)
    if not callable(factory):
        raise InvalidParameter(f"{path} has no function {attribute}; give file.py:factory")
    try:
        made = factory()
    except Exception as error:
        raise InvalidParameter(f"{path}:{attribute} fails: {type(error).__name__}: {error}") from error
    found = {str(key): module for key, module in made.items()} if isinstance(made, Mapping) else {"": made}
    for key, module in found.items():
        if not isinstance(module, nn.Module):
            kind = type(module).__name__
            raise InvalidParameter(
                f"{path}:{attribute} gives {kind} {key}; expected a torch.nn.Module or a mapping of them"
            )
    return found  # type: ignore[return-value]


def state_hash(module: nn.Module) -> str:
    """sha256 of the weights and statistics of a network, with their names."""
    digest = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        digest.update(f"{key} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def count_classes(member: Member, images: Tensor) -> int:
    """Number of logits that a classifier gives for ``images`` [B, C, H, W] in [0, 1].

    Raises:
        InvalidParameter: it fails on such images, or does not give ``[B, classes]`` with two or more classes.
    """
    logits = _output(member, images)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InvalidParameter(
            f"{member.role} {member.name} gives {list(logits.shape)} for images {list(images.shape)}; expected logits "
            "[B, classes] of two or more classes (give a single logit z as [0, z])"
        )
    return int(logits.shape[1])


def check_judge(member: Member, images: Tensor) -> None:
    """A network that does not vote must take such images [B, C, H, W]; an autoencoder gives as many, of their shape.

    Raises:
        InvalidParameter: it does not.
    """
    output = _output(member, images)
    if member.role == "autoencoder" and output.shape != images.shape:
        raise InvalidParameter(
            f"{member.name} gives {list(output.shape)} for images {list(images.shape)}; expected images of that shape"
        )


@torch.inference_mode()
def _output(member: Member, images: Tensor) -> Tensor:
    """What a network gives for images, one row each."""
    network = f"{member.role} {member.name}"
    try:
        output = member.load()(images)
    except Exception as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise InvalidParameter(f"{network} fails on images {list(images.shape)} in [0, 1]: {reason}") from error
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) != len(images):
        found = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InvalidParameter(f"{network} gives {found} for images {list(images.shape)}; expected a row an image")
    return output
