"""Boards made up for the page: as many methods and tasks as asked for, with pictures, and with hostile strings."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

QUERIES = 8

METRICS = {
    "oracle_agreed_flip": ("Oracle-agreed flip", "higher", "validity", (0.05, 0.95)),
    "flip_rate": ("Flip rate", "higher", "validity", (0.5, 1)),
    "oracle_agreement": ("Oracle agreement", "higher", "validity", (0.1, 0.97)),
    "target_confidence": ("Target confidence", "higher", "validity", (0.5, 1)),
    "l1": ("L1", "lower", "proximity", (0.01, 0.12)),
    "ssim": ("SSIM", "higher", "proximity", (0.4, 0.99)),
    "feat_dist": ("Feature distance", "lower", "proximity", (0.02, 0.8)),
    "sparsity": ("Sparsity", "lower", "sparsity", (0.1, 0.8)),
    "cout": ("COUT", "higher", "transition", (-0.2, 0.9)),
    "split_fd": ("Fréchet distance", "lower", "realism", (0.5, 7)),
    "kd": ("Kernel distance", "lower", "realism", (0.001, 0.4)),
    "im1": ("IM1", "lower", "realism", (0.7, 1.6)),
}

NAMES = (
    *("identity", "noise", "pgd", "nearest-unlike", "truth", "disc", "dip", "dip-loss", "deep-inversion", "wachter"),
    *("vae-latent", "gan-latent", "diffeomorphic", "gci", "dime", "dvce", "ace", "leapfactual", "steex", "octet"),
    *("revise", "c-chvae", "clue", "cem", "sedc", "cdeep3", "cogs", "tip", "growing-spheres", "face"),
)

TASKS = (
    ("fashion-mnist@v1", "Fashion-MNIST", (1, 28, 28), ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal")),
    ("celeba-smiling@v1", "CelebA, smiling", (3, 64, 64), ("not smiling", "smiling")),
    ("isic@v1", "ISIC 2017 skin lesions", (3, 64, 64), ("melanoma", "seborrheic keratosis", "nevus")),
    ("mnist@v1", "MNIST", (1, 28, 28), tuple("0123456789")),
    ("shapes@v1", "Shapes", (3, 64, 64), ("disc", "square", "triangle", "cross")),
    ("ham10000@v1", "HAM10000 skin lesions", (3, 64, 64), ("melanoma", "nevus", "dermatofibroma")),
)

RULES = {
    "headline": "oracle_agreed_flip",
    "statuses": {
        "ranked": "beats the attack pgd by oracle-agreed flip beyond chance",
        "adversarial": "does not beat the attack pgd by oracle-agreed flip beyond chance",
        "reference": "shows what the scores mean and wins nothing",
        "unranked": "cannot be compared with the attack pgd by oracle-agreed flip",
        "partial": "has not explained all queries",
    },
    "ranking": "Rows are told apart by paired tests of oracle-agreed flip on all queries, after Holm's correction.",
    "pareto_text": "No other ranked row is at least as good in all of oracle-agreed flip, L1, KD and seconds a query.",
    "aggregate": {
        "label": "convincing closeness",
        "definition": "Share of oracles that see the target class in a flip, times its closeness.",
        "direction": "higher",
        "unit": "share",
    },
}

UNSHAREABLE = ("celeba-smiling@v1", "ham10000@v1")

TRACKS = ("data-free", "training-data", "generator-based", "black-box")

PAYLOADS = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\"'><svg onload=alert(3)>",
    "<!--<script>alert(4)//",
    "javascript:alert(5)",
    "{{7*7}}${alert(6)}\u2028\u2029\x00",
    "<style>*{display:none}</style><base href=//evil.example>",
    '=HYPERLINK("http://evil.example")',
)


def board_data(methods: int = 50, tasks: int = 6, *, seed: int = 0) -> dict[str, Any]:
    """What the page is built from: every method on every task, most scores with intervals, some missing."""
    random = np.random.default_rng(seed)
    made = [_task(position, random) for position in range(tasks)]
    names = [NAMES[at % len(NAMES)] + (f"-{at // len(NAMES) + 1}" if at >= len(NAMES) else "") for at in range(methods)]
    return {
        "title": "cfbench leaderboard",
        "cfbench": "0.1.0",
        "built": "2026-11-26",
        "rules": RULES,
        "metrics": {name: _metric(*facts) for name, facts in METRICS.items()},
        "tasks": [task for task, _ in made],
        "rows": [row for task, queries in made for row in _rows(task, queries, names, random)],
    }


def hostile(data: dict[str, Any], *, everywhere: bool = False) -> dict[str, Any]:
    """The same board with an attack in every string and every key that is not the board's own.

    Equal strings stay equal, so that rows still belong to their tasks. With ``everywhere`` statuses, directions and
    pictures are attacked as well, which no board of the harness could be.
    """
    kept = {"higher", "lower", "ranked", "adversarial", "reference", "partial"}

    def attacked(text: str) -> str:
        if not everywhere and (text in kept or text.startswith("data:")):
            return text
        return PAYLOADS[sum(map(ord, text[:64])) % len(PAYLOADS)] + text[:400]

    return _mapped(data, attacked)


def _mapped(value: Any, attacked: Callable[[str], str], path: tuple[str, ...] = ()) -> Any:
    if isinstance(value, str):
        return attacked(value)
    if isinstance(value, list):
        return [_mapped(each, attacked, path) for each in value]
    if isinstance(value, dict):
        own = path and path[-1] in ("parameters", "metrics", "scores", "reported", "judges", "submission", "provenance")
        names = {name: attacked(name) if own else name for name in value}
        return {names[name]: _mapped(each, attacked, (*path, name)) for name, each in value.items()}
    return value


def _metric(label: str, direction: str, family: str, bounds: tuple[float, float]) -> dict[str, str]:
    return {
        "label": label,
        "definition": f"What {label} is, in a sentence as long as those of the metrics are in the harness.",
        "direction": direction,
        "unit": "share of queries" if bounds[1] <= 1 else "distance",
        "family": family,
        "how_fooled": f"Rewards a good {label}. Fooled by real images of the target class, which are far away.",
    }


def _task(position: int, random: np.random.Generator) -> tuple[dict[str, Any], np.ndarray]:
    key, title, shape, classes = TASKS[position % len(TASKS)]
    key, title = (key, title) if position < len(TASKS) else (f"{key}-{position}", f"{title} ({position})")
    queries = np.stack([_blob(shape, random) for _ in range(QUERIES)])
    shown = None
    if key not in UNSHAREABLE:
        sources = [at % len(classes) for at in range(QUERIES)]
        shown = {
            "queries": png(queries),
            "sources": sources,
            "targets": [(at + 1) % len(classes) for at in range(QUERIES)],
            "ids": [f"test-{at * 125:05}" for at in range(QUERIES)],
        }
    return {
        "id": f"{key}-near",
        "task": key,
        "rule": "near",
        "title": title,
        "licence": "MIT",
        "citation": "Xiao, Rasul, Vollgraf: Fashion-MNIST, arXiv 1708.07747",
        "n": 1000,
        "split": "test",
        "split_hash": random.bytes(32).hex(),
        "classifier": "classifier",
        "judges": {name: random.bytes(4).hex() for name in ("classifier", "oracle-1", "oracle-2", "oracle-3")},
        "classes": list(classes),
        "image_shape": list(shape),
        "gallery": shown,
    }, queries


def _rows(task: dict[str, Any], queries: np.ndarray, names: list[str], random: np.random.Generator) -> list[Any]:
    rows = [_row(task, queries, name, position, random) for position, name in enumerate(names)]
    ranked = [row for row in rows if row["status"] == "ranked"]
    ranked.sort(key=lambda row: -row["scores"]["oracle_agreed_flip"]["value"])
    for place, row in enumerate(ranked):
        group = place // 3
        row["rank"] = [1 + 3 * group, min(len(ranked), 3 * group + 4)]
        row["group"] = group + 1
        row["pareto"] = place % 5 == 0
    return rows


def _row(task: dict[str, Any], queries: np.ndarray, name: str, position: int, random: np.random.Generator) -> Any:
    quality = random.beta(3, 2)
    status = "reference" if position < 5 else ("ranked", "ranked", "ranked", "ranked", "adversarial")[position % 5]
    status = "partial" if position % 19 == 18 else status
    track = "reference" if status == "reference" else TRACKS[position % 4]
    parameters = {"steps": int(random.integers(20, 400)), "rate": 0.01, "prior": "dip", "widths": [16, 16, 32]}
    return {
        "id": f"{task['id']}/{name}",
        "task": task["id"],
        "method": name.rstrip("-2"),
        "label": f"{name} steps={parameters['steps']}" if position % 7 == 6 else name,
        "parameters": {} if position % 9 == 8 else parameters,
        "family": ("baseline", "inversion", "latent search", "diffusion", "gradient")[position % 5],
        "track": track,
        "access": "black-box" if track == "black-box" else "white-box",
        "citation": "Wachter, Mittelstadt, Russell: Counterfactuals without opening the black box, arXiv 1711.00399",
        "status": status,
        "reason": "" if status == "ranked" else RULES["statuses"][status],
        "verified": position % 3 == 0,
        "seeds": 1 + 2 * (position % 2),
        "n": 250 if status == "partial" else task["n"],
        "failed": 3 if position % 11 == 10 else 0,
        "rank": None,
        "group": None,
        "pareto": False,
        "aggregate": _score(quality * 0.8, random, 1, None),
        "scores": {
            metric: _missing()
            if column and (position + column) % 17 == 16
            else _score(
                low + (high - low) * _quality(quality, facts, random), random, 2, f"extractor@{random.bytes(32).hex()}"
            )
            for column, (metric, facts) in enumerate(METRICS.items())
            for low, high in [facts[3]]
        },
        "cost": {
            "setup_seconds": 0.5,
            "seconds": float(10 ** random.uniform(-2.5, 1)),
            "forwards": float(random.integers(0, 500)),
            "backwards": float(random.integers(0, 500)),
            "generated": float(random.integers(0, 100)) if track == "generator-based" else 0.0,
            "peak_mb": float(random.uniform(300, 2000)),
            "device": "cpu",
        },
        "reported": {"flip_rate": {"value": 0.93, "source": "table 2 of arXiv 1711.00399"}}
        if position % 6 == 5
        else {},
        "provenance": {
            "cfbench": "0.1.0",
            "commit": random.bytes(20).hex(),
            "torch": "2.14.1",
            "threads": 1,
            "device_name": "x86_64",
            "adapter": random.bytes(32).hex(),
        },
        "submission": {
            "author": "A. N. Author",
            "affiliation": "Some University",
            "code": "https://example.org/code",
            "licence": "MIT",
            "environment": "Python 3.11, torch 2.14.1",
            "date": "2026-11-20",
        }
        if position % 4 == 3
        else None,
        "gallery": png(_changed(queries, random)) if task["gallery"] and position % 17 != 16 else None,
    }


def _quality(quality: float, facts: tuple[str, str, str, tuple[float, float]], random: np.random.Generator) -> float:
    """Where between its bounds a score of a method lies: what convinces is further from the query."""
    convinced = facts[2] == "validity" or facts[0] in ("L1", "Feature distance")
    return float(np.clip((quality if convinced else random.uniform()) + random.normal(0, 0.12), 0, 1))


NOTHING = dict.fromkeys(("value", "low", "high", "network", "floor", "corrected", "reason"))


def _score(value: float, random: np.random.Generator, version: int, network: str | None) -> dict[str, Any]:
    half = abs(value) * random.uniform(0.01, 0.05)
    given = {"value": value, "low": value - half, "high": value + half, "network": network}
    return NOTHING | given | {"n": 1000, "version": version}


def _missing() -> dict[str, Any]:
    return NOTHING | {"n": 250, "version": 2, "reason": "needs ten images a feature, 250 are given"}


def png(images: np.ndarray) -> str:
    """8-bit images ``[N, H, W, C]`` side by side, as the data address of a PNG."""
    wide = np.concatenate(list(images), axis=1)
    buffer = BytesIO()
    Image.fromarray(wide[..., 0] if wide.shape[2] == 1 else wide).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _blob(shape: tuple[int, int, int], random: np.random.Generator) -> np.ndarray:
    """A smooth bright thing on dark ground with a little noise, uint8 ``[H, W, C]``."""
    channels, height, width = shape
    down, across = np.mgrid[0:height, 0:width] / height - 0.5
    angle, wide = random.uniform(0, np.pi), random.uniform(0.18, 0.36)
    along = (down * np.cos(angle) + across * np.sin(angle)) / wide
    aside = (across * np.cos(angle) - down * np.sin(angle)) / (0.6 * wide)
    thing = 1 / (1 + np.exp((9 * (along**4 + aside**4 - 1)).clip(max=50)))
    colours = random.uniform(0.45, 1, channels)
    pixels = thing[..., None] * colours * 235 + random.normal(0, 2, (height, width, channels))
    return pixels.clip(0, 255).round().astype(np.uint8)


def _changed(queries: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Queries after smooth local changes, as a method might make them."""
    height, width = queries.shape[1:3]
    down, across = np.mgrid[0:height, 0:width] / height
    changed = queries.astype(float)
    for image in changed:
        for _ in range(3):
            row, column, size = random.uniform(0.2, 0.8), random.uniform(0.2, 0.8), random.uniform(0.04, 0.16)
            spot = np.exp(-((down - row) ** 2 + (across - column) ** 2) / (2 * size**2))
            image[:] += random.uniform(-170, 170) * spot[..., None]
    changed += random.normal(0, 2, changed.shape)
    return changed.clip(0, 255).round().astype(np.uint8)
