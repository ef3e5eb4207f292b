"""The renderer of shapes and its inverse; the confounded classifiers."""

from __future__ import annotations

import colorsys

import pytest
import torch

from cfbench.datasets.shapes.renderer import MARK, SHAPES, Renderer, colours
from cfbench.datasets.shapes_confounded import with_mark
from cfbench.errors import InvalidParameter
from cfbench.registry import load_dataset
from cfbench.truth import factor_changes


def some(renderer: Renderer, count: int) -> torch.Tensor:
    numbers = torch.randperm(renderer.combinations, generator=torch.Generator().manual_seed(7))[:count]
    return renderer.numbered(numbers)


@pytest.mark.parametrize("marked", [False, True])
def test_reading_what_was_rendered_is_exact(marked: bool) -> None:
    renderer = Renderer(marked=marked)
    factors = some(renderer, 600)
    assert torch.equal(renderer.read(renderer.render(factors)), factors)
    assert set(factors[:, 0].tolist()) == {0.0, 1.0, 2.0, 3.0}


def test_reading_survives_noise() -> None:
    renderer = Renderer(marked=True)
    factors = some(renderer, 200)
    noise = 10 * torch.randn(200, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    noisy = (renderer.render(factors) + noise).clamp(0, 255).round().to(torch.uint8)
    assert (renderer.read(noisy) == factors).float().mean() > 0.99


def test_the_minimal_counterfactual_changes_the_shape_and_nothing_else() -> None:
    renderer = Renderer(marked=True)
    factors = some(renderer, 200)
    targets = (renderer.labels(factors) + 1) % len(SHAPES)
    changed = renderer.read(renderer.minimal(renderer.render(factors), targets))
    assert torch.equal(renderer.labels(changed), targets)
    moved = factor_changes(renderer, factors, changed)
    assert torch.equal(moved[:, 0], torch.ones(200)), "categories have no distance"
    assert not moved[:, 1:].any()


def test_changes_are_shares_of_the_range() -> None:
    renderer = Renderer()
    before = some(renderer, 1)
    after = before.clone()
    before[0, 2], after[0, 2] = 5.0, 8.0
    before[0, 3], after[0, 3] = 11.0, 14.0
    expected = torch.tensor([0, 0, 1, 1 / 3, 0, 0, 0])
    torch.testing.assert_close(factor_changes(renderer, before, after)[0], expected)


def test_areas_and_colours_are_those_of_geometry() -> None:
    renderer = Renderer()
    rows = torch.tensor([[shape, 0.0, 8.0, 15.0, 15.0, 0.0, 0.0] for shape in range(4)])
    area = renderer._cover(rows[:, 0], rows[:, 2], rows[:, 3], rows[:, 4]).sum((1, 2))
    radius = 0.95 * 8
    side = 2 * 0.85 * 8
    inradius = 0.575 * 8
    arm = 2 * 0.35 * 8
    exact = [3.14159265 * radius**2, side**2, 3 * 3**0.5 * inradius**2, 2 * 16 * arm - arm**2]
    torch.testing.assert_close(area, torch.tensor(exact), rtol=0.03, atol=0)
    hues = torch.linspace(0, 1, 25)
    wanted = torch.tensor([colorsys.hsv_to_rgb(hue, 0.8, 0.95) for hue in hues.tolist()])
    torch.testing.assert_close(colours(hues), wanted)


def test_factors_outside_their_range_are_named() -> None:
    factors = some(Renderer(), 2)
    factors[1, 3] = 25
    with pytest.raises(InvalidParameter, match="factor x is 25, expected a number from 11 to 20"):
        Renderer().render(factors)
    factors[1, 3], factors[0, 5] = 12.5, 0.5
    with pytest.raises(InvalidParameter, match=r"factor texture is 0.5, expected a whole number from 0 to 2"):
        Renderer().render(factors)


def test_the_mark_is_set_and_removed_exactly() -> None:
    renderer = Renderer(marked=True)
    factors = some(renderer, 50)
    images = renderer.render(factors)
    on, off = (with_mark(images, torch.full((50,), present)) for present in (1, 0))
    assert (on[:, :, -MARK:, -MARK:] == 255).all()
    differs = (on != off).any(1).any(0)
    assert differs[-MARK:, -MARK:].all()
    assert int(differs.sum()) == MARK**2
    assert torch.equal(torch.where((factors[:, 7] == 1)[:, None, None, None], on, off), images)


def test_tables_hold_the_factors_of_their_images() -> None:
    dataset = load_dataset("shapes")
    table, images = dataset.table("test"), dataset.split("test").images
    stated = torch.tensor(table[list(dataset.truth.factors)].to_numpy(), dtype=torch.float32)
    torch.testing.assert_close(dataset.truth.read(images), stated, atol=1e-6, rtol=0)
    assert (table["shape"].astype(int) == table["label"]).all()
    for split in ("validation", "reference", "pool"):
        assert table.merge(dataset.table(split), on=list(dataset.truth.factors)).empty


def test_classifiers_and_oracles_of_shapes_reach_99_percent() -> None:
    dataset = load_dataset("shapes")
    for name in ("classifier", *dataset.names("oracle")):
        assert dataset.entry(name).quality["accuracy"] >= 0.99


def test_reliance_on_the_mark_rises_with_its_strength() -> None:
    qualities = [
        load_dataset(f"shapes-confounded-{strength}").entry("classifier").quality for strength in (0, 50, 90, 99)
    ]
    reliances = [quality["reliance"] for quality in qualities]
    assert reliances == sorted(reliances)
    assert reliances[0] < 0.01
    assert reliances[-1] > 0.1
    dataset = load_dataset("shapes-confounded-99")
    images = dataset.split("reference").images
    network = dataset.network("classifier")
    with torch.inference_mode():
        on, off = (
            network(with_mark(images, torch.full((len(images),), present)).float() / 255).softmax(1)[:, 0].mean()
            for present in (1, 0)
        )
    assert float(on - off) == pytest.approx(reliances[-1], abs=0.05)
