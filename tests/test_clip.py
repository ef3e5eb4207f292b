"""CMMD: CLIP's image tower out of an OpenAI archive, and the authors' formula on its embeddings."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cfbench import clip, imagenet, weights
from cfbench.dataset import Images
from cfbench.files import sha256_file
from cfbench.judges import Judges
from cfbench.metrics.kernels import CMMD
from cfbench.pieces import Piece
from cfbench.scoring import score
from cfbench.weights import CLIP, OfficialWeights

timm = pytest.importorskip("timm", reason="not installed: pip install 'cfbench-vision[imagenet]'")

SIDE, WIDTH, OUTPUTS = 32, 64, 12


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c_fc = nn.Linear(WIDTH, 4 * WIDTH)
        self.c_proj = nn.Linear(4 * WIDTH, WIDTH)


class Blocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList([Block(), Block()])


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(WIDTH, 2)
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.mlp = Layers()
        self.ln_2 = nn.LayerNorm(WIDTH)


class Tower(nn.Module):
    """Parameters under the names of OpenAI's archive; ``embed`` is CLIP's image tower written out."""

    def __init__(self) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(WIDTH) / 4)
        self.positional_embedding = nn.Parameter(torch.randn((SIDE // 16) ** 2 + 1, WIDTH) / 4)
        self.proj = nn.Parameter(torch.randn(WIDTH, OUTPUTS) / 8)
        self.conv1 = nn.Conv2d(3, WIDTH, 16, 16, bias=False)
        self.ln_pre = nn.LayerNorm(WIDTH)
        self.transformer = Blocks()
        self.ln_post = nn.LayerNorm(WIDTH)

    def embed(self, images: Tensor) -> Tensor:
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(images), 1, -1)
        tokens = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)
        for block in self.transformer.resblocks:
            seen = block.ln_1(tokens).transpose(0, 1)
            tokens = tokens + block.attn(seen, seen, seen, need_weights=False)[0].transpose(0, 1)
            hidden = block.mlp.c_fc(block.ln_2(tokens))
            tokens = tokens + block.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden))
        return self.ln_post(tokens[:, 0]) @ self.proj


class Archive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visual = Tower()
        self.register_buffer("input_resolution", torch.tensor(SIDE))
        self.logit_scale = nn.Parameter(torch.ones([]))

    def forward(self, images: Tensor) -> Tensor:
        return images


@pytest.fixture
def tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tower:
    """A small CLIP in half precision, stored as OpenAI's is, which stands in for it; its tower in float32."""
    torch.manual_seed(0)
    archive = Archive().half().eval()
    torch.jit.script(archive).save(str(tmp_path / CLIP.file))
    stand_in = OfficialWeights(CLIP.file, sha256_file(tmp_path / CLIP.file), CLIP.url, folder=str(tmp_path))
    monkeypatch.setattr(weights, "CLIP", stand_in)
    small = partial(
        timm.models.vision_transformer.VisionTransformer,
        img_size=SIDE,
        patch_size=16,
        embed_dim=WIDTH,
        depth=2,
        num_heads=2,
        pre_norm=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-5),
        act_layer="quick_gelu",
    )
    create = timm.create_model

    def created(name: str, **options: int) -> nn.Module:
        return small(**options) if name == clip.ARCHITECTURE else create(name, **options)

    monkeypatch.setattr(timm, "create_model", created)
    return archive.visual.float()


def by_hand(tower: Tower, stored: Tensor) -> Tensor:
    rgb = stored.float().div(255).repeat(1, 3 // stored.shape[1], 1, 1)
    resized = F.interpolate(rgb, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    normal = (resized - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    made = tower.embed(normal)
    return made / made.norm(dim=1, keepdim=True)


def test_the_official_file_is_openais_where_its_package_keeps_it() -> None:
    assert CLIP.sha256 in CLIP.url
    assert CLIP.path == Path.home() / ".cache" / "clip" / "ViT-L-14-336px.pt"


@pytest.mark.parametrize("channels", [1, 3])
def test_embeddings_are_those_of_the_tower_written_out(tower: Tower, channels: int) -> None:
    stored = torch.randint(0, 256, (3, channels, 40, 28), dtype=torch.uint8)
    with torch.inference_mode():
        found = clip.clip_space(torch.device("cpu")).embed(stored.float() / 255)
        expected = by_hand(tower, stored)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (expected[0] - expected[1]).norm() > 1e-3


def test_cmmd_is_the_authors_formula_on_counterfactuals_and_real_images_of_the_target(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet, "find_spec", lambda name: None)
    torch.manual_seed(1)
    real = torch.randint(0, 256, (80, 3, 16, 16), dtype=torch.uint8)
    made = torch.randint(0, 128, (120, 3, 16, 16), dtype=torch.uint8)
    labels, target = torch.arange(80) % 2, torch.ones(120, dtype=torch.int64)
    judges = Judges(
        [], classes=2, image_shape=(3, 16, 16), reference=lambda: Images(real, labels), verdicts="given", costs=False
    )
    piece = Piece(0, made, 1 - target, target, made, [""] * 120, given=target)
    found = score([piece], judges).scores["cmmd"]["all"]

    with torch.inference_mode():
        x, y = (by_hand(tower, part).double().numpy() for part in (made, real[labels == 1]))

    def mean_kernel(a: np.ndarray, b: np.ndarray) -> float:
        gamma = 1 / (2 * 10**2)
        squares = np.diag(a @ a.T)[:, None] + np.diag(b @ b.T)[None]
        return float(np.mean(np.exp(-gamma * (squares - 2 * a @ b.T))))

    expected = 1000 * (mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y))
    assert found.value == pytest.approx(expected, rel=1e-3)
    assert found.n == 120
    assert found.network == f"clip-vit-l-14-336@{weights.CLIP.sha256[:12]} unit length"
    assert found.floor is not None
    assert found.value > found.floor > 0


def test_blank_without_the_file_or_without_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judges = Judges([], classes=2, image_shape=(3, 16, 16), reference=lambda: Images(torch.zeros(0), torch.zeros(0)))
    monkeypatch.setattr(weights, "CLIP", OfficialWeights(CLIP.file, CLIP.sha256, CLIP.url, folder=str(tmp_path)))
    [metric] = CMMD.instances(judges)
    reason = f"{tmp_path / CLIP.file} is missing; get it with: cfbench prepare --official"
    assert metric.blocked() == reason
    (tmp_path / CLIP.file).write_bytes(b"another file")
    assert f"expected {CLIP.sha256}" in str(metric.blocked())
    monkeypatch.setattr(clip, "find_spec", lambda name: None)
    assert metric.blocked() == "timm is not installed; run: pip install 'cfbench-vision[imagenet]'"
