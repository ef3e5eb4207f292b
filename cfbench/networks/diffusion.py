"""A small class-conditional diffusion model of pixels, built on diffusers' U-Net and schedulers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.errors import InvalidParameter, MissingResource

if TYPE_CHECKING:
    from diffusers import DDIMInverseScheduler, DDIMScheduler

INSTALL = "pip install 'cfbench-vision[diffusion]'"
STEPS = 1000
"""Steps of the forward process."""


class Diffusion(nn.Module):
    """Denoises [0, 1] images given their class; the U-Net works on blocks of ``patch`` x ``patch`` pixels.

    The forward process q(x_t | x_0) = N(sqrt(a_t) x_0, (1 - a_t) I) (Ho et al., arXiv 2006.11239, equation 4) acts on
    images scaled to [-1, 1], with the cosine schedule of Nichol and Dhariwal (arXiv 2102.09672, section 3.2). The
    network predicts v = sqrt(a_t) noise - sqrt(1 - a_t) x_0 (Salimans and Ho, arXiv 2202.00512, section 4). Class
    number ``classes`` stands for no class, so that predictions can be guided (Ho and Salimans, arXiv 2207.12598).
    Folding pixels into channels, one way and back, makes the U-Net ``patch**2`` times cheaper.

    Args:
        channels, side, classes: of the images. widths: channels of the U-Net at each resolution.
        depth: residual blocks at each resolution.

    Raises:
        MissingResource: diffusers is not installed.
    """

    cumulative: Tensor

    def __init__(
        self, *, channels: int, side: int, classes: int, widths: Sequence[int], depth: int = 1, patch: int = 2
    ) -> None:
        super().__init__()
        try:
            from diffusers import DDPMScheduler, UNet2DModel
        except ImportError as error:
            raise MissingResource(f"diffusion models need diffusers; run: {INSTALL}") from error
        self.channels, self.side, self.classes, self.patch = channels, side, classes, patch
        self.unet = UNet2DModel(
            sample_size=side // patch,
            in_channels=channels * patch**2,
            out_channels=channels * patch**2,
            block_out_channels=tuple(widths),
            layers_per_block=depth,
            down_block_types=("DownBlock2D",) * len(widths),
            up_block_types=("UpBlock2D",) * len(widths),
            norm_num_groups=8,
            add_attention=False,
            num_class_embeds=classes + 1,
        )
        self.noising = DDPMScheduler(
            num_train_timesteps=STEPS, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction"
        )
        self.register_buffer("cumulative", self.noising.alphas_cumprod.clone(), persistent=False)

    def noised(self, images: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """x_t of [0, 1] images ``[B, C, H, W]`` at ``steps`` ``[B]`` in 0..999, for standard normal ``noise``."""
        out: Tensor = self.noising.add_noise(images * 2 - 1, noise, steps)
        return out

    def velocity(self, images: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """v of [0, 1] images, what the network is to predict from ``noised`` images."""
        out: Tensor = self.noising.get_velocity(images * 2 - 1, noise, steps)
        return out

    def forward(self, noised: Tensor, steps: Tensor, classes: Tensor, *, guidance: float = 1.0) -> Tensor:
        """Predicted v ``[B, C, H, W]`` of noised images at ``steps`` ``[B]``, given ``classes`` ``[B]``.

        Args:
            guidance: weight of the class: 0 is none, 1 the conditional model, more exaggerates it.
        """
        if guidance == 1:
            return self._predict(noised, steps, classes)
        without = torch.full_like(classes, self.classes)
        both = self._predict(noised.repeat(2, 1, 1, 1), steps.repeat(2), torch.cat([classes, without]))
        given, free = both.chunk(2)
        return free + guidance * (given - free)

    def _predict(self, noised: Tensor, steps: Tensor, classes: Tensor) -> Tensor:
        folded = F.pixel_unshuffle(noised, self.patch)
        return F.pixel_shuffle(self.unet(folded, steps, class_labels=classes).sample, self.patch)

    def _weights(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.cumulative[steps].view(-1, 1, 1, 1)
        return kept.sqrt(), (1 - kept).sqrt()

    def clean(self, noised: Tensor, velocity: Tensor, steps: Tensor) -> Tensor:
        """The estimate of x_0 in one step, as images of about [0, 1]."""
        signal, spread = self._weights(steps)
        return (signal * noised - spread * velocity + 1) / 2

    def noise(self, noised: Tensor, velocity: Tensor, steps: Tensor) -> Tensor:
        """The estimate of the noise, -sqrt(1 - a_t) times the score."""
        signal, spread = self._weights(steps)
        return spread * noised + signal * velocity

    def _ddim(self, kind: type[DDIMScheduler] | type[DDIMInverseScheduler], count: int) -> DDIMScheduler:
        if not 1 <= count <= STEPS:
            raise InvalidParameter(f"sampling takes 1 to {STEPS} steps, got {count}")
        scheduler = kind.from_config(self.noising.config, timestep_spacing="trailing", clip_sample=True)
        scheduler.set_timesteps(count)
        return scheduler

    def decode(self, latents: Tensor, classes: Tensor, *, steps: int = 30, guidance: float = 1.0) -> Tensor:
        """Images ``[B, C, H, W]`` in [0, 1] from x_T, without further noise (DDIM, arXiv 2010.02502, eta = 0).

        Raises:
            InvalidParameter: ``steps`` is not in 1..1000.
        """
        from diffusers import DDIMScheduler

        scheduler = self._ddim(DDIMScheduler, steps)
        for step in scheduler.timesteps:
            velocity = self(latents, step.expand(len(latents)), classes, guidance=guidance)
            latents = scheduler.step(velocity, step, latents).prev_sample
        return ((latents + 1) / 2).clamp(0, 1)

    def encode(self, images: Tensor, classes: Tensor, *, steps: int = 30) -> Tensor:
        """x_T ``[B, C, H, W]`` that :meth:`decode` turns back into about these [0, 1] images: DDIM run backwards.

        Raises:
            InvalidParameter: ``steps`` is not in 1..1000.
        """
        from diffusers import DDIMInverseScheduler

        scheduler = self._ddim(DDIMInverseScheduler, steps)
        latents = images * 2 - 1
        for step in scheduler.timesteps:
            velocity = self(latents, step.expand(len(latents)), classes)
            latents = scheduler.step(velocity, step, latents).prev_sample
        return latents

    def sample(self, classes: Tensor, *, generator: torch.Generator, steps: int = 30, guidance: float = 2.0) -> Tensor:
        """An image in [0, 1] of each of ``classes`` ``[B]``; raises as :meth:`decode` does."""
        latents = torch.randn(len(classes), self.channels, self.side, self.side, generator=generator)
        return self.decode(latents, classes, steps=steps, guidance=guidance)
