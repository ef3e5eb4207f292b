"""LPIPS and FID: computed only with the official weights, verified by sha256, from torch's own cache folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench.distances.frechet import Floats
from cfbench.errors import CfbenchError, CorruptFile
from cfbench.files import read_verified
from cfbench.images import dequantise
from cfbench.metrics.base import QueryMetric
from cfbench.metrics.realism import FrechetDistance

if TYPE_CHECKING:
    from cfbench.judges import Batch


@dataclass(frozen=True)
class OfficialWeights:
    """A published weight file that gives a metric its name."""

    file: str
    sha256: str
    url: str

    @property
    def path(self) -> Path:
        """Where torch's hub and torchvision keep the file."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file

    def problem(self) -> str | None:
        """Why the file cannot be used, or None; the whole file is hashed."""
        try:
            self.read()
        except CfbenchError as error:
            return str(error)
        return None

    def read(self) -> bytes:
        """The verified bytes.

        Raises:
            MissingResource: not in the cache. CorruptFile: not the official file.
        """
        return read_verified(self.path, sha256=self.sha256, remedy="get it with: cfbench prepare --official")

    def state(self) -> dict[str, Tensor]:
        """The tensors of the verified file, read without unpickling objects."""
        loaded: dict[str, Tensor] = torch.load(BytesIO(self.read()), map_location="cpu", weights_only=True)
        return loaded

    def download(self) -> Path:
        """Fetch the file into torch's cache, with a progress bar, unless it is there.

        Raises:
            CorruptFile: it cannot be downloaded or has another hash.
        """
        import pooch

        try:
            pooch.retrieve(
                self.url,
                known_hash=f"sha256:{self.sha256}",
                fname=self.file,
                path=self.path.parent,
                progressbar=True,
            )
        except (OSError, ValueError) as error:
            raise CorruptFile(f"{self.url} cannot be downloaded: {error}; copy it to {self.path}") from error
        return self.path


INCEPTION = OfficialWeights(
    file="pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
)
ALEXNET = OfficialWeights(
    file="alexnet-owt-7be5be79.pth",
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
)
OFFICIAL = (INCEPTION, ALEXNET)


def _rgb(images: Tensor) -> Tensor:
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


class LPIPS(QueryMetric):
    """Learned perceptual distance of each counterfactual to its query: LPIPS 0.1 on the official AlexNet.

    Rewards perceptual closeness. Fooled by doing nothing. Gray images are repeated to RGB; images below 64 pixels
    are enlarged bilinearly to 64, which the network id says.
    """

    name = "lpips"
    family = "proximity"
    unit = "LPIPS"
    direction = "lower"
    bounds = (0.0, float("inf"))
    citation = "Zhang et al., arXiv 1801.03924"

    SIDE = 64

    def blocked(self) -> str | None:
        return ALEXNET.problem()

    @property
    def network(self) -> str:
        enlarged = f" at {self.SIDE} px" if min(self.judges.task.dataset.image_shape[1:]) < self.SIDE else ""
        return f"lpips-0.1-alex@{ALEXNET.sha256[:12]}{enlarged}"

    @cached_property
    def _network(self) -> nn.Module:
        import lpips

        with torch.random.fork_rng(devices=[]):
            network: nn.Module = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
        state = ALEXNET.state()
        for part in network.net.children():  # type: ignore[union-attr]
            for index, layer in part.named_children():
                if isinstance(layer, nn.Conv2d):
                    layer.load_state_dict({key: state[f"features.{index}.{key}"] for key in ("weight", "bias")})
        return network.eval().requires_grad_(False).to(self.judges.task.device)

    def values(self, batch: Batch) -> Tensor:
        pair = [_rgb(images) * 2 - 1 for images in (batch.counterfactuals, batch.queries)]
        if min(pair[0].shape[2:]) < self.SIDE:
            pair = [F.interpolate(images, size=(self.SIDE, self.SIDE), mode="bilinear") for images in pair]
        distance: Tensor = self._network(*pair)
        return distance.flatten()


class FID(FrechetDistance):
    """Frechet Inception distance between counterfactuals and their queries, on the official Inception weights.

    The figure other papers print. Needs thousands of images to mean much; inherits the bias of unchanged images, see
    ``fd``. Computed as pytorch-fid does: 2048 pooled features, images enlarged bilinearly to 299, 2x - 1.
    """

    name = "fid"
    family = "realism"
    unit = "squared Inception feature distance"
    citation = "Heusel et al., arXiv 1706.08500; pytorch-fid's port of the weights"
    groups = 5

    MINIMUM = 1000

    def blocked(self) -> str | None:
        return INCEPTION.problem()

    def minimum(self, dimensions: int) -> int:
        return self.MINIMUM

    @property
    def network(self) -> str:
        return f"inception-2015-12-05@{INCEPTION.sha256[:12]} pytorch-fid"

    @cached_property
    def _network(self) -> nn.Module:
        from pytorch_fid import inception

        def verified(*arguments: Any, **options: Any) -> dict[str, Tensor]:
            return INCEPTION.state()

        original = inception.load_state_dict_from_url
        inception.load_state_dict_from_url = verified
        try:
            with torch.random.fork_rng(devices=[]):
                network: nn.Module = inception.InceptionV3([3])
        finally:
            inception.load_state_dict_from_url = original
        return network.eval().requires_grad_(False).to(self.judges.task.device)

    def _features(self, images: Tensor) -> Floats:
        features = [self._network(_rgb(part))[0].flatten(1).to("cpu", torch.float64) for part in images.split(50)]
        return torch.cat(features).numpy()

    def embed(self, batch: Batch, which: str) -> Floats:
        return self._features(getattr(batch, which))

    @torch.inference_mode()
    def reference(self) -> Floats:
        return self._features(dequantise(self.judges.reference.to(self.judges.task.device)))
