"""Image priors for per-image optimisation: a batch of images, each with network weights of its own."""

from cfbench.priors.base import Prior
from cfbench.priors.coordinates import FourierNet, Siren
from cfbench.priors.pixels import Pixels
from cfbench.priors.skipnet import SkipNet

__all__ = ["FourierNet", "Pixels", "Prior", "Siren", "SkipNet"]
