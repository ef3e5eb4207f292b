"""What an adapter declares that it uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What an adapter may use; the harness hands over this and refuses the rest.

    Attributes:
        gradients: gradients and feature maps of the classifier; without, only its predictions.
        training_data: the training pool with its labels.
        networks: roles of further frozen networks of the task, such as ``"vae"``.
    """

    gradients: bool = False
    training_data: bool = False
    networks: tuple[str, ...] = ()

    @property
    def access(self) -> str:
        """``white-box`` or ``black-box``."""
        return "white-box" if self.gradients else "black-box"

    @property
    def track(self) -> str:
        """The board's track: ``generator-based``, ``training-data`` or ``data-free``."""
        if self.networks:
            return "generator-based"
        return "training-data" if self.training_data else "data-free"
