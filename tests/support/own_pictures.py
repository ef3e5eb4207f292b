"""A folder of toy pictures by class with classifiers beside it, for tasks of one's own pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import nn

from cfbench.testing.toy import render

CLASSES = ("left", "middle", "right")
FACTORY = """
import torch
from torch import nn

class Thirds(nn.Module):
    def __init__(self, order):
        super().__init__()
        self.order = nn.Parameter(torch.eye(3)[order])

    def forward(self, images):
        return 20 * images.mean(dim=(1, 2)).unflatten(1, (3, 4)).mean(2) @ self.order

def right_way():
    return Thirds([0, 1, 2])

def wrong_way():
    return Thirds([1, 2, 0])

def two_classes():
    return nn.Sequential(right_way(), nn.Linear(3, 2))
"""


class Thirds(nn.Module):
    """Tells by the brightness of its thirds where the square of a toy picture is: right on every one."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 20 * images.mean(dim=(1, 2)).unflatten(1, (3, 4)).mean(2)


def save_pictures(folder: Path, count: int, seed: int) -> None:
    data = render(count, seed)
    for index, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        path = folder / CLASSES[int(label)] / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(path)


def make(folder: Path, classifier: str = "net.pt") -> list[str]:
    found = ["prepare", "--from-folder", str(folder / "pictures"), "--size", "12", "--epochs", "1"]
    return [*found, "--classifier", str(folder / classifier)]
