"""A small conditional diffusion model, built on diffusers' U-Net and schedulers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cfbench.errors import InvalidParameter, MissingResource
from cfbench.networks.codecs import Compressor, PixelBlocks
from cfbench.networks.conditions import as_weights

if TYPE_CHECKING:
    from diffusers import DDIMInverseScheduler, DDIMScheduler

INSTALL = "pip install 'cfbench-vision[diffusion]'"
STEPS = 1000
"""Steps of the forward process."""


class Diffusion(nn.Module):
    """Denoises x_t, in the space of its ``codec``, given a class or weights of several classes or attributes.

    The forward process is q(x_t | x_0) = N(sqrt(a_t) x_0, (1 - a_t) I) (Ho et al., arXiv 2006.11239, equation 4) with
    the cosine schedule of Nichol and Dhariwal (arXiv 2102.09672, section 3.2); x_0 are the codec's values of an image.
    The network predicts v = sqrt(a_t) noise - sqrt(1 - a_t) x_0 (Salimans and Ho, arXiv 2202.00512, section 4).
    Weights of zero stand for no condition, so that predictions can be guided (Ho and Salimans, arXiv 2207.12598).

    Args:
        codec: turns [0, 1] images ``[B, C, side, side]`` into x_0 ``[B, c, s, s]`` and back. side: of the images.
        classes: number of classes, or of attributes. widths: channels of the U-Net at each resolution.
        depth: residual blocks at each resolution.

    Raises:
        MissingResource: diffusers is not installed.
    """

    cumulative: Tensor

    def __init__(
        self, *, codec: PixelBlocks | Compressor, side: int, classes: int, widths: Sequence[int], depth: int = 1
    ) -> None:
        super().__init__()
        try:
            from diffusers import DDPMScheduler, UNet2DModel
        except ImportError as error:
            raise MissingResource(f"diffusion models need diffusers; run: {INSTALL}") from error
        self.codec, self.classes = codec, classes
        self.shape = (codec.channels, side // codec.scale, side // codec.scale)
        self.condition = nn.Linear(classes, 4 * widths[0], bias=False)
        nn.init.normal_(self.condition.weight, std=0.5)
        self.unet = UNet2DModel(
            sample_size=self.shape[1],
            in_channels=codec.channels,
            out_channels=codec.channels,
            block_out_channels=tuple(widths),
            layers_per_block=depth,
            down_block_types=("DownBlock2D",) * len(widths),
            up_block_types=("UpBlock2D",) * len(widths),
            norm_num_groups=8,
            add_attention=False,
            class_embed_type="identity",
        )
        self.noising = DDPMScheduler(
            num_train_timesteps=STEPS, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction"
        )
        self.register_buffer("cumulative", self.noising.alphas_cumprod.clone(), persistent=False)

    @classmethod
    def of_pixels(cls, *, channels: int, patch: int = 2, **sizes: Any) -> Diffusion:
        """A model of blocks of pixels of images with ``channels``; ``sizes`` are the other arguments."""
        return cls(codec=PixelBlocks(channels=channels, patch=patch), **sizes)

    @classmethod
    def of_latents(cls, *, channels: int, **sizes: Any) -> Diffusion:
        """A model of the latents of a :class:`Compressor` of images with ``channels``."""
        return cls(codec=Compressor(channels=channels), **sizes)

    def noised(self, values: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """x_t of x_0 ``[B, c, s, s]`` at ``steps`` ``[B]`` in 0..999, for standard normal ``noise``."""
        out: Tensor = self.noising.add_noise(values, noise, steps)
        return out

    def velocity(self, values: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """v of x_0, what the network is to predict from ``noised`` values."""
        out: Tensor = self.noising.get_velocity(values, noise, steps)
        return out

    def forward(self, noised: Tensor, steps: Tensor, classes: Tensor, *, guidance: float = 1.0) -> Tensor:
        """Predicted v ``[B, c, s, s]`` of x_t at ``steps`` ``[B]``, given classes ``[B]`` or weights ``[B, classes]``.

        Args:
            guidance: weight of the condition: 0 is none, 1 the conditional model, more exaggerates it.
        """
        weights = as_weights(classes, self.classes)
        if guidance == 1:
            return self._predict(noised, steps, weights)
        both = self._predict(
            noised.repeat(2, 1, 1, 1), steps.repeat(2), torch.cat([weights, torch.zeros_like(weights)])
        )
        given, free = both.chunk(2)
        return free + guidance * (given - free)

    def _predict(self, noised: Tensor, steps: Tensor, weights: Tensor) -> Tensor:
        out: Tensor = self.unet(noised, steps, class_labels=self.condition(weights)).sample
        return out

    def _weights(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.cumulative[steps].view(-1, 1, 1, 1)
        return kept.sqrt(), (1 - kept).sqrt()

    def clean(self, noised: Tensor, velocity: Tensor, steps: Tensor) -> Tensor:
        """The estimate of x_0 in one step."""
        signal, spread = self._weights(steps)
        return signal * noised - spread * velocity

    def noise(self, noised: Tensor, velocity: Tensor, steps: Tensor) -> Tensor:
        """The estimate of the noise, -sqrt(1 - a_t) times the score."""
        signal, spread = self._weights(steps)
        return spread * noised + signal * velocity

    def _ddim(self, kind: type[DDIMScheduler] | type[DDIMInverseScheduler], count: int) -> DDIMScheduler:
        if not 1 <= count <= STEPS:
            raise InvalidParameter(f"sampling takes 1 to {STEPS} steps, got {count}")
        clipped = {"clip_sample": True, "clip_sample_range": self.codec.bound}
        scheduler = kind.from_config(self.noising.config, timestep_spacing="trailing", **clipped)
        scheduler.set_timesteps(count)
        return scheduler

    def decode(self, latents: Tensor, classes: Tensor, *, steps: int = 30, guidance: float = 1.0) -> Tensor:
        """Images ``[B, C, side, side]`` in [0, 1] from x_T, without further noise (DDIM, arXiv 2010.02502, eta = 0).

        Raises:
            InvalidParameter: ``steps`` is not in 1..1000.
        """
        from diffusers import DDIMScheduler

        scheduler = self._ddim(DDIMScheduler, steps)
        for step in scheduler.timesteps:
            velocity = self(latents, step.expand(len(latents)), classes, guidance=guidance)
            latents = scheduler.step(velocity, step, latents, use_clipped_model_output=True).prev_sample
        return self.codec.decode(latents).clamp(0, 1)

    def encode(self, images: Tensor, classes: Tensor, *, steps: int = 30) -> Tensor:
        """x_T ``[B, c, s, s]`` that :meth:`decode` turns back into about these [0, 1] images: DDIM run backwards.

        Raises:
            InvalidParameter: ``steps`` is not in 1..1000.
        """
        from diffusers import DDIMInverseScheduler

        scheduler = self._ddim(DDIMInverseScheduler, steps)
        latents = self.codec.encode(images)
        for step in scheduler.timesteps:
            velocity = self(latents, step.expand(len(latents)), classes)
            latents = scheduler.step(velocity, step, latents).prev_sample
        return latents

    def reconstruct(self, images: Tensor, classes: Tensor) -> Tensor:
        """Reconstructions ``[B, C, H, W]`` of [0, 1] images of ``classes``: encoded and decoded, each in 30 steps."""
        return self.decode(self.encode(images, classes), classes)

    def sample(self, classes: Tensor, *, generator: torch.Generator, steps: int = 30, guidance: float = 2.0) -> Tensor:
        """An image in [0, 1] of each of ``classes``, ``[B]`` or weights; raises as :meth:`decode` does."""
        latents = torch.randn(len(classes), *self.shape, generator=generator)
        return self.decode(latents, classes, steps=steps, guidance=guidance)
