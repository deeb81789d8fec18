"""Max pooling: cuts only where the winner changes, and the pattern is the winner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import geomrelu as gr
from tests.networks import SQUARE, random_network
from tests.oracles.fraction_enumerator import enumerate_regions
from tests.soundness import INTERPRETED

Windows = Sequence[Sequence[int]]


def pool(windows: Windows, n: int) -> list[gr.Layer]:
    """Layers that take n units to the windows' maxima: rounds of differences, byes in the first."""
    teams = []  # per window, per entrant: weights on the units before
    for window in windows:
        entrants = [np.eye(n)[k] for k in window]
        teams.append(entrants)
    layers: list[gr.Layer] = []
    first = True
    while any(len(team) > 1 for team in teams):
        rows, passing, after = [], [], []
        goal = max(len(team) for team in teams)
        size = 1 << ((goal - 1).bit_length() - 1)
        matches = []
        for team in teams:
            n_matches = len(team) - size if len(team) > size else 0
            pairs = [(team[2 * k], team[2 * k + 1]) for k in range(n_matches)]
            matches.append((pairs, team[2 * n_matches :]))
            rows += [a - b for a, b in pairs]
            passing += [b for _, b in pairs] + list(team[2 * n_matches :])
        width = len(rows) + len(passing)
        neuron = unit = 0
        for pairs, byes in matches:
            won = []
            for _ in pairs:
                e = np.zeros(width)
                e[neuron], e[len(rows) + unit] = 1, 1
                won.append(e)
                neuron, unit = neuron + 1, unit + 1
            for _ in byes:
                won.append(np.eye(width)[len(rows) + unit])
                unit += 1
            after.append(won)
        layers.append(gr.Layer(np.array(rows + passing), np.zeros(width), len(rows)))
        teams = after
        first = False
    assert not first
    layers.append(gr.Layer(np.array([team[0] for team in teams]), np.zeros(len(teams)), 0))
    return with_relevance(layers)


def with_relevance(layers: list[gr.Layer]) -> list[gr.Layer]:
    """Which neuron of the next round a neuron's winner plays, and on which side."""
    result = []
    for layer, after in pairwise(layers):
        relevant = np.full((layer.n_neurons, 2), [-1, 0])
        for j in range(layer.n_neurons):
            plays = np.flatnonzero(after.weight[: after.n_neurons, j])
            if len(plays):
                relevant[j] = plays[0], after.weight[plays[0], j] > 0
        result.append(gr.Layer(layer.weight, layer.bias, layer.n_neurons, relevant))
    return [*result, layers[-1]]


def exact_units(layers: Sequence[gr.Layer], x: Sequence[Fraction]) -> list[Fraction]:
    h = list(x)
    for layer in layers:
        u = [
            sum((Fraction(float(w)) * v for w, v in zip(row, h, strict=True)), Fraction(float(c)))
            for row, c in zip(layer.weight, layer.bias, strict=True)
        ]
        h = [max(v, Fraction(0)) if k < layer.n_neurons else v for k, v in enumerate(u)]
    return h


def build(before: gr.Network, windows: Windows, after: Sequence[int], seed: int) -> tuple[gr.Network, int]:
    """Hidden layers, their last one pooled, then further layers; and the number of layers before the pool."""
    rng = np.random.default_rng(seed)
    head = [*before.hidden, gr.Layer(np.eye(before.hidden[-1].n_units), np.zeros(before.hidden[-1].n_units), 0)]
    layers = [*head, *pool(windows, before.hidden[-1].n_units)]
    n = len(windows)
    for width in after:
        layers.append(gr.Layer(rng.standard_normal((width, n)), rng.uniform(-0.5, 0.5, width), width))
        n = width
    layers.append(gr.Layer(rng.standard_normal((1, n)), np.zeros(1), 0))
    return gr.Network.from_layers(layers), len(head)


def compare(before: gr.Network, windows: Windows, after: Sequence[int], seed: int = 0) -> None:
    network, n_head = build(before, windows, after, seed)
    n_pool = len(network.layers) - n_head - len(after) - 1
    # Independent: cut by all neurons, in fractions; then put together what has the same winners.
    areas: dict[tuple[object, ...], Fraction] = defaultdict(Fraction)
    values: dict[tuple[object, ...], tuple[object, ...]] = {}
    for cell in enumerate_regions(network, SQUARE.vertices).cells:
        units = exact_units(network.layers[:n_head], cell.inside)
        winners = tuple(max(window, key=lambda k: (units[k], -window.index(k))) for window in windows)
        widths = np.cumsum([0, *network.widths])
        others = cell.pattern[: widths[n_head]] + cell.pattern[widths[n_head + n_pool] :]
        areas[winners + others] += cell.area
        values[winners + others] = cell.map
    p = gr.partition(network, SQUARE)
    assert p.n_regions == len(areas)
    assert np.allclose(sorted(p.areas), sorted(float(a) for a in areas.values()), atol=1e-12)
    assert gr.count_regions(network, SQUARE) == len(areas)
    p.check()
    p.check(level="exact")
    degree = np.bincount(p.edges.ravel())
    assert ((degree > 2) | (p.vertex_lines < 0).all(axis=1)).all(), "a vertex without need"
    assert np.allclose(p(p.centroids), network(p.centroids), atol=1e-12)
    assert (p.locate(p.centroids) == np.arange(p.n_regions)).all()
    assert network.patterns(p.centroids) == p.patterns
    assert len(np.unique(p.patterns.keys())) == p.n_regions


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "windows", [[[0, 1]], [[0, 1, 2]], [[0, 1, 2, 3], [2, 3, 4, 5]], [[0, 1, 2, 3, 4, 5]], [[0, 1, 2, 3, 4], [5, 4]]],
    ids=str,
)  # fmt: skip
def test_winners(windows: Windows, seed: int) -> None:
    compare(random_network((6,), seed), windows, (), seed)
    compare(random_network((6,), seed + 10), windows, (4,), seed)


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")
def test_nine_entrants_and_two_pools() -> None:
    compare(random_network((9,), 3), [list(range(9))], (5, 4))
    compare(random_network((8, 8), 4), [[0, 1, 2, 3], [4, 5, 6, 7], [1, 3, 5, 7]], (6,))


def test_without_rectifiers_before() -> None:
    """The upper envelope of planes: as many regions as planes that win somewhere."""
    planes = gr.Layer(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1], [0, 0]]), np.array([0, 0, 0, 0, 0.5]), 0)
    end = gr.Layer(np.ones((1, 1)), np.zeros(1), 0)
    p = gr.partition(gr.Network.from_layers([planes, *pool([[0, 1, 2, 3, 4]], 5), end]), SQUARE)
    assert p.n_regions == 5
    assert sorted(np.round(p.areas, 12)) == [0.75, 0.75, 0.75, 0.75, 1.0]
    assert (p.n_vertices, p.n_edges) == (8, 12)
    p.check(level="exact")


def test_ties_of_whole_regions() -> None:
    """Inputs that are equal everywhere, or where rectifiers are off: one of them wins, no region is split."""
    units = gr.Layer(np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]]), np.zeros(4), 4)
    end = gr.Layer(np.ones((1, 1)), np.zeros(1), 0)
    p = gr.partition(
        gr.Network.from_layers([units, gr.Layer(np.eye(4), np.zeros(4), 0), *pool([[0, 1, 2, 3]], 4), end]), SQUARE
    )
    # Where both are off the winner is one of two zeros; x > y > 0, y > x > 0, x > 0 > y, y > 0 > x, both off.
    assert p.n_regions == 5
    p.check(level="exact")


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_blocks(n_jobs: int) -> None:
    from geomrelu.planar.build import build_complex

    network, _ = build(random_network((24,), 5), [list(range(k, k + 6)) for k in range(0, 18, 3)], (8, 6), 1)
    p = build_complex(network, SQUARE)
    q = build_complex(network, SQUARE, n_jobs=n_jobs, block_values=200)
    assert sorted(map(bytes, p.patterns.words)) == sorted(map(bytes, q.patterns.words))
    assert (p.n_vertices, p.n_edges) == (q.n_vertices, q.n_edges)
    q.check()
    q.check(level="exact")
