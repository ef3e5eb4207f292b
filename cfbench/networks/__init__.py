"""Network architectures that data sets and adapters build on; weights live with the data sets."""

from cfbench.networks.attributes import OneAttribute
from cfbench.networks.autoencoder import Autoencoder
from cfbench.networks.base import FeatureNetwork, Normalise
from cfbench.networks.classifiers import ConvMixer, DenseNet, MobileNet, PlainCNN, ResNet
from cfbench.networks.diffusion import Diffusion
from cfbench.networks.efficientnet import EfficientNetLite
from cfbench.networks.folding import fold
from cfbench.networks.gan import GAN
from cfbench.networks.heads import DUQHead, JointClassifier, LossEstimator
from cfbench.networks.vae import VAE

__all__ = [
    "GAN",
    "VAE",
    "Autoencoder",
    "ConvMixer",
    "DUQHead",
    "DenseNet",
    "Diffusion",
    "EfficientNetLite",
    "FeatureNetwork",
    "JointClassifier",
    "LossEstimator",
    "MobileNet",
    "Normalise",
    "OneAttribute",
    "PlainCNN",
    "ResNet",
    "fold",
]
