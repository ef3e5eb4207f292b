"""CLIP image embeddings, in which CMMD compares sets of images."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from io import BytesIO

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench import weights
from cfbench.imagenet import INSTALL
from cfbench.spaces import Space

ARCHITECTURE = "vit_large_patch14_clip_quickgelu_336"
"""timm's name of the image tower of ViT-L/14@336."""

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the images that CLIP was trained on, as its package has them."""

BATCH = 8
"""Images a pass."""


def clip_space(device: torch.device) -> Space:
    """The space of CLIP's image embeddings, scaled to unit length; its network loads when first used."""
    network = cache(lambda: image_tower(ARCHITECTURE, weights.CLIP).to(device))

    def embed(images: Tensor) -> Tensor:
        return torch.cat([embedded(network(), part) for part in images.split(BATCH)])

    identity = f"clip-vit-l-14-336@{weights.CLIP.sha256[:12]} unit length"
    return Space("clip", identity, embed, problem=problem, published=True)


def problem() -> str | None:
    """Why CLIP cannot be used here, or None."""
    if find_spec("timm") is None:
        return f"timm is not installed; run: {INSTALL}"
    return weights.CLIP.problem()


def image_tower(architecture: str, official: weights.OfficialWeights) -> nn.Module:
    """A vision transformer of timm with the image tower of an OpenAI archive, whose hash is checked.

    Raises:
        MissingResource: no such file. CorruptFile: another one.
    """
    import timm
    from timm.models.vision_transformer import checkpoint_filter_fn

    state = torch.jit.load(BytesIO(official.read()), map_location="cpu").state_dict()
    outputs = state["visual.proj"].shape[1]
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = timm.create_model(architecture, num_classes=outputs)
    network.load_state_dict(checkpoint_filter_fn({name: part.float() for name, part in state.items()}, network))
    return network.eval().requires_grad_(False)


def embedded(network: nn.Module, images: Tensor) -> Tensor:
    """Embeddings of unit length ``[N, D]`` of ``images`` [N, C, H, W] in [0, 1]; gray ones are repeated to RGB.

    Images are resized to the square that the network takes, bicubically with antialiasing as CLIP's own preprocessing
    does, but in floats and, as CMMD's code does, without cutting off the longer side.
    """
    side: tuple[int, int] = network.patch_embed.img_size  # type: ignore[assignment, union-attr]
    rgb = images.expand(-1, 3, -1, -1)
    resized = F.interpolate(rgb, size=side, mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (resized.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return F.normalize(network((resized - mean) / std))
