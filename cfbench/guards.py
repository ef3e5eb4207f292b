"""Holding adapters to the contract: what they were lent must come back unchanged."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cfbench.errors import ContractViolation


class Untouched:
    """Context in which an adapter may not change lent tensors, the classifier or the global random state.

    Whatever it changed is restored, so that later batches are not affected, before the error is raised. Python's own
    random state is left out off the main thread: there, as in a dask worker, other threads draw from it meanwhile.

    Raises:
        ContractViolation: on leaving, naming what was changed and what to do instead.
    """

    def __init__(self, method: str, *, classifier: nn.Module, tensors: Sequence[Tensor] = ()) -> None:
        self.method = method
        self.classifier = classifier
        self.tensors = tensors

    def __enter__(self) -> None:
        self._copies = [tensor.clone() for tensor in self.tensors]
        self._state = {key: value.clone() for key, value in self.classifier.state_dict().items()}
        self._modes = {name: module.training for name, module in self.classifier.named_modules()}
        self._flags = {name: weight.requires_grad for name, weight in self.classifier.named_parameters()}
        self._torch = torch.get_rng_state()
        self._numpy: Any = np.random.get_state(legacy=False)
        self._python = random.getstate() if threading.current_thread() is threading.main_thread() else None
        self._cuda = _cuda_states()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        changed = self._restore()
        if changed and (error is None or isinstance(error, Exception)):
            raise ContractViolation(f"method {self.method} changed {'; it also changed '.join(changed)}") from error

    def _restore(self) -> list[str]:
        changed = []
        if not all(map(torch.equal, self.tensors, self._copies)):
            for tensor, copy in zip(self.tensors, self._copies, strict=True):
                tensor.copy_(copy)
            changed.append("its input in place: work on a clone")
        now = self.classifier.state_dict()
        if not all(torch.equal(now[key], value) for key, value in self._state.items()):
            self.classifier.load_state_dict(self._state)
            changed.append("the classifier's weights: work on a copy of the network")
        if any(module.training != self._modes[name] for name, module in self.classifier.named_modules()):
            for name, module in self.classifier.named_modules():
                module.training = self._modes[name]
            changed.append("the classifier's train mode: leave it in evaluation mode")
        if any(weight.requires_grad != self._flags[name] for name, weight in self.classifier.named_parameters()):
            for name, weight in self.classifier.named_parameters():
                weight.requires_grad_(self._flags[name])
            changed.append("which of the classifier's weights require gradients: leave them frozen")
        if self._random_changed():
            torch.set_rng_state(self._torch)
            np.random.set_state(self._numpy)
            if self._python is not None:
                random.setstate(self._python)
            if self._cuda:
                torch.cuda.set_rng_state_all(self._cuda)
            changed.append("the global random state: draw from self.random or a generator of your own")
        return changed

    def _random_changed(self) -> bool:
        now: Any = np.random.get_state(legacy=False)
        numpy_same = all(np.array_equal(now["state"][part], self._numpy["state"][part]) for part in ("key", "pos"))
        torch_same = torch.equal(torch.get_rng_state(), self._torch)
        cuda_same = all(map(torch.equal, _cuda_states(), self._cuda))
        python_same = self._python in (None, random.getstate())
        return not (numpy_same and torch_same and cuda_same and python_same)


def _cuda_states() -> list[Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
