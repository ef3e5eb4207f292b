"""Networks that an adapter fits to a task in ``prepare``, kept between runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from cfbench.files import content_hash, sha256_file
from cfbench.identity import described
from cfbench.seeds import derive_seed
from cfbench.tensor_cache import kept_tensors

Network = TypeVar("Network", bound=nn.Module)


def fitted(
    name: str, build: Callable[[], Network], fit: Callable[[Network], object], key: Mapping[str, object]
) -> Network:
    """A network that is built and fitted, or has the weights that were kept of the last time; frozen.

    What it is kept under is ``key``, the form of the network, the source files of its class and of ``fit``, and the
    version of torch. ``build`` and ``fit`` find torch's random numbers at the same seed each time, and leave them as
    they were.

    Args:
        name: of the network, as in messages; it makes the seed. build: makes it, with random weights, on the CPU.
        fit: trains it in place, where its weights are.
        key: what else the weights depend on, of numbers, text, tensors, and mappings and lists of these: the images,
            other networks' ``state_dict()``, parameters.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(name))
        network = build()
        sources = {sha256_file(Path(inspect.getfile(part))) for part in (type(network), fit)}
        depends = {
            "network": name,
            "form": str(network),
            "key": content_hash(described(key)),
            "code": content_hash(sorted(sources)),
            "torch": str(torch.__version__),
        }

        def make() -> dict[str, Tensor]:
            fit(network)
            return {part: value.detach().cpu() for part, value in network.state_dict().items()}

        network.load_state_dict(kept_tensors("fitted", depends, make))
    return network.eval().requires_grad_(False)
