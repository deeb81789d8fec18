"""Invariants of partitions of hundreds of random networks, and of all hand-made ones."""

from __future__ import annotations

import numpy as np
import pytest

import geomrelu as gr
from tests.networks import Case, degenerate_cases, integer_network, random_network
from tests.soundness import INTERPRETED, assert_locates, assert_sound

WIDTHS = [
    *[(n,) for n in (1, 2, 3, 5, 8, 13, 21, 33, 48, 63, 64)],
    *[(n, n) for n in (1, 2, 4, 8, 12, 16, 24)],
    *[(3, 20), (20, 3), (1, 30), (30, 1), (2, 64), (64, 2), (33, 9)],
    *[(n, n, n) for n in (2, 4, 8, 12, 16)],
    *[(10, 2, 10), (2, 10, 20), (17, 5, 3)],
    *[(n,) * 4 for n in (2, 5, 10, 14)],
    *[(n,) * 5 for n in (1, 3, 6, 12)],
    *[(12, 1, 12, 1, 12), (2, 4, 8, 16, 32), (20, 10, 5, 5, 5)],
]
LARGE = [(64, 64), (32, 32, 32), (64, 16, 16), (24, 24, 24, 24), (20,) * 5]
SEEDS = range(5)


def tractable(widths: tuple[int, ...]) -> bool:
    return not INTERPRETED or sum(widths) <= 24


@pytest.mark.parametrize("widths", [w for w in WIDTHS if tractable(w)], ids=str)
def test_random_networks(widths: tuple[int, ...]) -> None:
    for seed in SEEDS:
        network = random_network(widths, seed, np.float32 if seed % 2 else np.float64, n_outputs=1 + seed % 3)
        p = gr.partition(network, gr.Box(-1, 1))
        assert_sound(p)
        assert_locates(p, n=200, seed=seed)


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")
@pytest.mark.parametrize("widths", LARGE, ids=str)
def test_large_random_networks(widths: tuple[int, ...]) -> None:
    p = gr.partition(random_network(widths, 7, np.float32), gr.Box(-1, 1))
    assert p.n_regions > 1000
    assert_sound(p)
    assert_locates(p, n=5000)


@pytest.mark.parametrize("case", degenerate_cases(), ids=str)
def test_hand_made_networks(case: Case) -> None:
    p = gr.partition(case.network, case.domain)
    assert_sound(p)
    assert_locates(p, n=200)


@pytest.mark.parametrize("widths", [(16, 16), (12, 12, 12), (64,), (32, 32)], ids=str)
def test_ternary_and_bias_free_networks(widths: tuple[int, ...]) -> None:
    if INTERPRETED and sum(widths) > 32:
        pytest.skip("interpreted kernels take the smaller cases")
    assert_sound(gr.partition(integer_network(widths, 0), gr.Box(-1, 1)))
    assert_sound(gr.partition(integer_network(widths, 1, bias=False), gr.Box(-1, 1)))
    bias_free = gr.Network([layer.weight for layer in random_network(widths, 2, np.float32).layers])
    assert_sound(gr.partition(bias_free, gr.Box(-1, 1)))


@pytest.mark.parametrize("seed", range(3))
def test_samples_find_no_pattern_that_the_partition_misses(seed: int) -> None:
    """Region count = number of distinct patterns: sampling approaches it from below, and never leaves it."""
    network = random_network((8, 6), seed)
    p = gr.partition(network, gr.Box(-1, 1))
    points = np.random.default_rng(seed).uniform(-1, 1, (200_000, 2))
    sampled = np.unique(network.patterns(points).keys())
    listed = np.unique(p.patterns.keys())
    assert len(listed) == p.n_regions
    assert np.isin(sampled, listed).all()
    missed = ~np.isin(p.patterns.keys(), sampled)
    # What 200,000 points miss is small: a region of area a is missed with probability exp(-50,000 a).
    assert p.areas[missed].sum() < 1e-2
    assert (p.areas[missed] < 5e-4).all()
