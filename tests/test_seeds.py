"""Random numbers belong to queries, not to batches."""

from __future__ import annotations

import torch

from cfbench.seeds import QueryRandom, derive_seed


def test_seeds_differ_by_every_part_and_are_stable() -> None:
    seeds = {derive_seed(*parts) for parts in ((0, "t", "a"), (1, "t", "a"), (0, "u", "a"), (0, "t", "b"))}
    assert len(seeds) == 4
    assert derive_seed(0, "t", "a") == derive_seed(0, "t", "a")
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_query_gets_its_numbers_in_any_batch() -> None:
    together, alone = QueryRandom([1, 2, 3]), QueryRandom([2])
    torch.testing.assert_close(together.normal(4, 5)[1], alone.normal(4, 5)[0], rtol=0, atol=0)
    torch.testing.assert_close(
        together.uniform(6, low=-2, high=3)[1], alone.uniform(6, low=-2, high=3)[0], rtol=0, atol=0
    )


def test_uniform_range_and_untouched_global_state() -> None:
    before = torch.get_rng_state()
    drawn = QueryRandom(range(4)).uniform(10_000, low=-1, high=2)
    assert -1 <= float(drawn.min()) < -0.99
    assert 1.99 < float(drawn.max()) < 2
    assert torch.equal(before, torch.get_rng_state())
