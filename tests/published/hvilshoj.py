"""The published counterfactuals of arXiv 2111.00177 in the form that ``cfbench score --images`` reads.

``python tests/published/hvilshoj.py FOLDER OUT`` writes, from the authors' files in FOLDER, for each method the npz
files of all rows (``METHOD-all``, for the untargeted validity: the class reached is the target) and of the rows that
the paper keeps (``METHOD``: a prediction, and no empty image). ``autoencoders`` gives the authors' autoencoders to
``--network autoencoder=tests/published/hvilshoj.py:autoencoders``, from the folder in ``CFBENCH_DATA`` or its subfolder
``hvilshoj``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

METHODS = ("GB", "GL", "GEN")
CONVOLUTIONS = (("model", ("conv2d", "conv2d_1", "conv2d_2")), ("model_1", ("conv2d_3", "conv2d_4", "conv2d_5")))


def published_folder() -> Path | None:
    """The folder of the authors' files that ``CFBENCH_DATA`` names, or its subfolder ``hvilshoj``; None if absent."""
    named = os.environ.get("CFBENCH_DATA")
    places = [Path(named), Path(named) / "hvilshoj"] if named else []
    return next((place for place in places if (place / "GB_mnist.npz").is_file()), None)


class KerasAutoencoder(nn.Module):
    """The authors' autoencoder with its Keras weights; images in [0, 1] are shifted to [-0.5, 0.5] and back."""

    def __init__(self, path: Path) -> None:
        import h5py

        super().__init__()
        self.layers = nn.ModuleList()
        with h5py.File(path) as file:
            for part, names in CONVOLUTIONS:
                for name in names:
                    stored = file["model_weights"][part][name]
                    kernel = torch.from_numpy(stored["kernel:0"][()]).permute(3, 2, 0, 1)
                    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
                    layer.load_state_dict({"weight": kernel, "bias": torch.from_numpy(stored["bias:0"][()])})
                    self.layers.append(layer)

    def forward(self, images: Tensor) -> Tensor:
        one, two, code, three, four, out = self.layers
        hidden = torch.relu(two(torch.relu(one(images - 0.5))))
        hidden = torch.relu(three(code(torch.max_pool2d(hidden, 2))))
        rebuilt: Tensor = out(torch.relu(four(nn.functional.interpolate(hidden, scale_factor=2)))) + 0.5
        return rebuilt


def autoencoders() -> dict[str, nn.Module]:
    """The autoencoders of all and of each class."""
    folder = published_folder()
    if folder is None:
        raise FileNotFoundError("CFBENCH_DATA names no folder that holds GB_mnist.npz")
    return {name: KerasAutoencoder(folder / f"ae_{name}.h5") for name in ("all", *map(str, range(10)))}


def convert(folder: Path, out: Path) -> None:
    """Write the npz files of all three methods."""
    out.mkdir(parents=True, exist_ok=True)
    real = np.load(folder / "Real_mnist.npz")["x"]
    for method in METHODS:
        with np.load(folder / f"{method}_mnist.npz") as arrays:
            made, source, asked, reached = (arrays[name] for name in ("cfs", "orig_pred", "q", "cf_pred"))
        kept = (reached != -1) & (made.reshape(len(made), -1).max(axis=1) > 0)
        targets = np.where(reached == -1, (source + 1) % 10, reached)
        np.savez(out / f"{method}-all.npz", images=made, predictions=reached, failed=reached == -1)
        np.savez(out / f"{method}-all-queries.npz", images=real, predictions=source, targets=targets)
        np.savez(out / f"{method}.npz", images=made[kept], predictions=reached[kept])
        np.savez(out / f"{method}-queries.npz", images=real[kept], predictions=source[kept], targets=asked[kept])


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
