"""Attacks of the foolbox package, by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cfbench.classifier import Classifier
from cfbench.errors import InvalidParameter, MissingResource
from cfbench.images import dequantise, quantise
from cfbench.method import Method
from cfbench.needs import Needs

if TYPE_CHECKING:
    from foolbox.attacks import Attack

INSTALL = "pip install 'cfbench-vision[foolbox]'"


class Foolbox(Method):
    """Attacks of foolbox 3 (Rauber et al., 2020) that can be aimed at a class: flip the classifier, explain nothing.

    The attack sees the classifier through 8-bit rounding, of which the gradient is that of no rounding (ours): what it
    takes for a success still is one when stored. It explains one image at a time, with random numbers of the query's
    own, because attacks of foolbox stop, and draw, for a batch as a whole.

    Args:
        attack: name of a class in ``foolbox.attacks``, such as ``L2CarliniWagnerAttack``, ``EADAttack`` or ``LinfPGD``.
        epsilon: largest change in the attack's own norm, in pixel values; needed by attacks of a fixed size. Without,
            the others look for the smallest change that flips.
        settings: further parameters of the attack by name, such as ``{"steps": 100}``.
    """

    name = "foolbox"
    family = "sentinel"
    citation = (
        "Rauber, Zimmermann, Bethge, Brendel: Foolbox Native: fast adversarial attacks to benchmark the robustness of "
        "machine learning models in PyTorch, TensorFlow, and JAX, Journal of Open Source Software 5(53), 2020; and the "
        "attack's own; by default Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger: Decoupling direction and norm "
        "for efficient gradient-based L2 adversarial attacks and defenses, CVPR 2019, arXiv 1811.09600"
    )
    needs = Needs(gradients=True)
    quick = {"settings": {"steps": 5}}

    def __init__(
        self, *, attack: str = "DDNAttack", epsilon: float | None = None, settings: dict[str, Any] | None = None
    ) -> None:
        self.attack = attack
        self.epsilon = epsilon
        self.settings = settings
        self._attack = make_attack(attack, settings or {})
        from foolbox.attacks.base import FixedEpsilonAttack

        if isinstance(self._attack, FixedEpsilonAttack) and epsilon is None:
            raise InvalidParameter(f"attack {attack} makes changes of a fixed size; give epsilon, such as epsilon=0.1")
        if epsilon is not None and epsilon <= 0:
            raise InvalidParameter(f"epsilon is {epsilon}; expected above 0, or none")

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        from foolbox import PyTorchModel
        from foolbox.criteria import TargetedMisclassification

        model = PyTorchModel(Rounded(self.task.classifier).eval(), bounds=(0, 1), device=images.device)
        seeds = (self.random.uniform(1)[:, 0] * 2**24).long().tolist()
        made = []
        for image, target, seed in zip(images.split(1), targets.split(1), seeds, strict=True):
            try:
                with drawn_from(seed):
                    _, found, _ = self._attack(model, image, TargetedMisclassification(target), epsilons=self.epsilon)
            except ValueError as error:
                if str(error) != "unsupported criterion":
                    raise
                raise InvalidParameter(f"attack {self.attack} cannot be aimed at a class; choose another") from error
            made.append(found.detach())
        return torch.cat(made)


class Rounded(nn.Module):
    """A classifier of images rounded to 8 bits, with the gradients of the classifier there.

    Args:
        classifier: of [0, 1] images.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images ``[B, C, H, W]`` in [0, 1]."""
        rounding = (dequantise(quantise(images)) - images).detach()
        return self.classifier(images + rounding)


def make_attack(name: str, settings: dict[str, Any]) -> Attack:
    """The attack of that name with its settings.

    Raises:
        MissingResource: foolbox, or a package that the attack needs, is not installed.
        InvalidParameter: no attack has this name, or it does not take these settings.
    """
    try:
        from foolbox import attacks
    except ImportError as error:
        raise MissingResource(f"foolbox is not installed; run: {INSTALL}") from error
    known = [
        each
        for each, found in vars(attacks).items()
        if inspect.isclass(found) and issubclass(found, attacks.Attack) and not inspect.isabstract(found)
    ]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise InvalidParameter(f"unknown attack {name!r} of foolbox; choose one of: {', '.join(near or sorted(known))}")
    kind = getattr(attacks, name)
    try:
        attack: Attack = kind(**settings)
    except ImportError as error:
        raise MissingResource(f"attack {name} needs {error.name}; run: pip install {error.name}") from error
    except (TypeError, ValueError) as error:
        takes = ", ".join(each for each in inspect.signature(kind).parameters)
        raise InvalidParameter(f"settings of attack {name}: {error}; it takes: {takes or 'none'}") from error
    return attack


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Seed the global random numbers of torch and numpy for a while, and leave them as they were."""
    numpy_state = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
