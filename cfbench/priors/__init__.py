"""Image priors for per-image optimisation: a batch of images, each with network weights of its own."""

from cfbench.priors.skipnet import SkipNet

__all__ = ["SkipNet"]
