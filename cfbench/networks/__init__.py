"""Network architectures that data sets and adapters build on; weights live with the data sets."""

from cfbench.networks.autoencoder import Autoencoder
from cfbench.networks.base import FeatureNetwork, Normalise
from cfbench.networks.classifiers import ConvMixer, DenseNet, MobileNet, PlainCNN, ResNet
from cfbench.networks.diffusion import Diffusion
from cfbench.networks.efficientnet import EfficientNetLite
from cfbench.networks.gan import GAN
from cfbench.networks.vae import VAE

__all__ = [
    "GAN",
    "VAE",
    "Autoencoder",
    "ConvMixer",
    "DenseNet",
    "Diffusion",
    "EfficientNetLite",
    "FeatureNetwork",
    "MobileNet",
    "Normalise",
    "PlainCNN",
    "ResNet",
]
