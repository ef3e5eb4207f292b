"""Published weight files that give metrics their names: verified by sha256, in the folders where others keep them."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from cfbench.download import fetch
from cfbench.errors import CfbenchError
from cfbench.files import read_verified


@dataclass(frozen=True)
class OfficialWeights:
    """A published weight file that gives a metric its name; ``folder`` is where its own package keeps it, if not in
    torch's cache."""

    file: str
    sha256: str
    url: str
    folder: str | None = None

    @property
    def path(self) -> Path:
        """Where the file's own package keeps it, or else torch's hub and torchvision."""
        folder = Path(torch.hub.get_dir()) / "checkpoints" if self.folder is None else Path(self.folder).expanduser()
        return folder / self.file

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
        """Fetch the file into its cache folder, unless it is there; raises as :func:`cfbench.download.fetch` does."""
        return fetch(self.url, self.path, sha256=self.sha256)


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
VGG = OfficialWeights(
    file="vgg16-397923af.pth",
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
)
SQUEEZENET = OfficialWeights(
    file="squeezenet1_1-b8a52dc0.pth",
    sha256="b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
    url="https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
)
CLIP = OfficialWeights(
    file="ViT-L-14-336px.pt",
    sha256="3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    url="https://openaipublic.azureedge.net/clip/models/"
    "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02/ViT-L-14-336px.pt",
    folder="~/.cache/clip",
)
OFFICIAL = (INCEPTION, ALEXNET, VGG, SQUEEZENET, CLIP)
