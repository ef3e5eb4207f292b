"""What an adapter declares that it uses."""

from __future__ import annotations

from dataclasses import dataclass

READERS = ("loss-estimator", "duq", "joint-classifier", "robust", "attributes")
"""Roles of networks that read images, or the classifier's own feature maps; they generate nothing."""


@dataclass(frozen=True)
class Needs:
    """What an adapter may use; the harness hands over this and refuses the rest.

    Attributes:
        gradients: gradients and feature maps of the classifier; without, only its predictions.
        training_data: the training pool with its labels.
        networks: roles of further frozen networks of the task, such as ``"vae"``.
        truth: the renderer of a synthetic task. What uses it knows the answer: it is a reference, no competitor.
    """

    gradients: bool = False
    training_data: bool = False
    networks: tuple[str, ...] = ()
    truth: bool = False

    @property
    def access(self) -> str:
        """``white-box``, ``black-box``, or ``renderer`` where the answer is known."""
        if self.truth:
            return "renderer"
        return "white-box" if self.gradients else "black-box"

    @property
    def track(self) -> str:
        """The board's track: ``generator-based``, ``training-data``, ``data-free``, or ``reference`` outside them."""
        if self.truth:
            return "reference"
        if set(self.networks) - set(READERS):
            return "generator-based"
        return "training-data" if self.training_data else "data-free"
