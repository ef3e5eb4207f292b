"""A device that is not there: tensors that say they lie elsewhere, though the CPU computes their values.

They behave as on an accelerator: an operation that mixes them with tensors of the CPU fails, save for single numbers
and indices, and so does reading their memory by NumPy. Code that forgets where its images are is found without a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.optim import optimizer as optimizers
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("meta")
"""What they say: torch runs the gradients of this device without a driver."""

CROSSING = ("aten::_to_copy", "aten::copy_", "aten::_copy_from")
"""Operations that take tensors of two devices."""

INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_", "aten::_unsafe_index")
"""Operations whose indices may lie on the CPU."""


class Elsewhere(Tensor):
    """A tensor that holds its values in ``held``, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Elsewhere:
        made: Elsewhere = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
            requires_grad=False,
        )
        made.held = held
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Elsewhere({self.held!r})"

    def tolist(self) -> Any:
        return self.held.tolist()

    def __format__(self, layout: str) -> str:
        return format(self.held, layout)

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("numpy() of a tensor that is not on the CPU")

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return computed(function, args, dict(kwargs or {}))


class Pretending(TorchDispatchMode):
    """Has torch know the device: what is made on it or moved to it is :class:`Elsewhere`."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return computed(function, args, dict(kwargs or {}))


class _FromLists(TorchFunctionMode):
    """Lists become tensors on the CPU first: torch would not fill them in on a device that is not there."""

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return function(*args, **kwargs).to(device)
        if function in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[1], list):
            args = [args[0], torch.tensor(args[1]), *args[2:]]
        return function(*args, **kwargs)


@contextmanager
def pretending() -> Iterator[None]:
    """Have torch know the device; inference mode, which wrapped tensors do not work in, only stops gradients."""
    fused = [*optimizers._get_fused_kernels_supported_devices(), DEVICE.type]
    with (
        patch.object(optimizers, "_get_fused_kernels_supported_devices", lambda: fused),
        patch.object(torch._C, "_InferenceMode", lambda mode: torch.no_grad() if mode else nullcontext()),
        Pretending(),
        _FromLists(),
    ):
        yield


def computed(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The operation on the values; its result lies where the device of the arguments asks for."""
    name = function._schema.name
    tensors = [part for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)]
    away = any(isinstance(part, Elsewhere) for part in tensors)
    if away and name not in CROSSING:
        checked = [args[0], *args[2:]] if name in INDEXING else [args, kwargs]
        for part in tree_leaves(checked):
            if isinstance(part, Tensor) and not isinstance(part, Elsewhere) and part.ndim:
                raise RuntimeError(f"{name}: expected all tensors on one device, found one on the CPU")
    asked = kwargs.get("device")
    if asked is not None:
        away = torch.device(asked).type == DEVICE.type
        kwargs["device"] = torch.device("cpu") if away else asked
    elif name in CROSSING and isinstance(args[0], Tensor):
        away = isinstance(args[0], Elsewhere)
    made = function(*bare(args), **bare(kwargs))
    if function._schema.is_mutable and name.endswith("_"):
        return None if made is None else args[0]
    return tree_map_only(Tensor, Elsewhere, made) if away else made


def bare(parts: Any) -> Any:
    return tree_map_only(Elsewhere, lambda part: part.held, parts)
