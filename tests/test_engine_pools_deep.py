"""Layers behind max pools: what is cut in faces that were put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.planar.build import build_complex
from tests.networks import SQUARE
from tests.oracles.fraction_enumerator import enumerate_regions
from tests.soundness import INTERPRETED
from tests.test_engine_pools import Windows, exact_units, pool, with_relevance

EXAMPLES = 2 if INTERPRETED else 25


class Pool(NamedTuple):
    """The layers ``first .. stop - 1`` of a network are a max pooling's rounds; layer `stop` may rectify its result."""

    first: int
    stop: int
    windows: Windows
    rectified: bool


class Stack:
    """A network that is put together step by step."""

    def __init__(self, planes: Any) -> None:
        table = np.asarray(planes, dtype=float)
        self.layers = [gr.Layer(table[:, :2], table[:, 2], 0)]
        self.pools: list[Pool] = []

    def pool(self, windows: Windows, rectified: bool = False) -> Stack:
        """Maxima over windows; if they are rectified, who wins matters where the winner is positive."""
        first = len(self.layers)
        *rounds, result = pool(windows, self.layers[-1].n_units)
        n = len(windows) if rectified else 0
        self.layers += with_relevance([*rounds, gr.Layer(result.weight, result.bias, n)])
        self.pools.append(Pool(first, len(self.layers) - 1, windows, rectified))
        return self

    def layer(self, weight: Any, bias: Any, rectified: bool = True) -> Stack:
        """Units, all of them rectified or none."""
        rows = np.asarray(weight, dtype=float)
        self.layers.append(gr.Layer(rows, np.asarray(bias, dtype=float), len(rows) if rectified else 0))
        return self

    @property
    def network(self) -> gr.Network:
        """The network whose output is the sum of all units."""
        end = gr.Layer(np.ones((1, self.layers[-1].n_units)), np.zeros(1), 0)
        return gr.Network.from_layers([*self.layers, end])


def winners(windows: Windows, units: Sequence[Fraction]) -> list[int]:
    """Who wins each tournament; of two that are equal the second."""
    teams = [list(window) for window in windows]
    while (largest := max(map(len, teams))) > 1:
        size = 1 << ((largest - 1).bit_length() - 1)
        played = [2 * max(0, len(team) - size) for team in teams]
        teams = [
            [a if units[a] > units[b] else b for a, b in zip(team[:n:2], team[1:n:2], strict=True)] + team[n:]
            for team, n in zip(teams, played, strict=True)
        ]
    return [team[0] for team in teams]


def merged_areas(stack: Stack) -> list[float]:
    """Areas of the regions: cut by all neurons, in fractions, then put together what has the same winners."""
    network = stack.network
    ends = np.cumsum([0, *network.widths]).tolist()
    areas: dict[tuple[object, ...], Fraction] = defaultdict(Fraction)
    for cell in enumerate_regions(network, SQUARE.vertices).cells:
        key: list[object] = []
        at = 0
        for first, stop, windows, rectified in stack.pools:
            key += cell.pattern[ends[at] : ends[first]]
            won = winners(windows, exact_units(network.layers[:first], cell.inside))
            on = cell.pattern[ends[stop] : ends[stop + 1]] if rectified else [1] * len(won)
            key += [k if bit else None for k, bit in zip(won, on, strict=True)]
            at = stop
        areas[(*key, *cell.pattern[ends[at] :])] += cell.area
    return sorted(float(area) for area in areas.values())


def compare(stack: Stack) -> None:
    """Against the oracle, with decisions by bounds, by balls and by integers."""
    expected = merged_areas(stack)
    found = [
        build_complex(stack.network, SQUARE, caution=caution, balls=balls)
        for caution, balls in ((1.0, True), (1e14, True), (np.inf, False))
    ]
    for p in found:
        assert p.n_regions == len(expected) == len(np.unique(p.patterns.keys()))
        assert np.allclose(sorted(p.areas), expected, atol=1e-12)
        assert (p.n_vertices, p.n_edges) == (found[0].n_vertices, found[0].n_edges)
        p.check()
    p = found[0]
    p.check(level="exact")
    degree = np.bincount(p.edges.ravel())
    assert ((degree > 2) | (p.vertex_lines < 0).all(axis=1)).all(), "a vertex without need"
    assert np.allclose(p(p.centroids), stack.network(p.centroids), rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------------- named cases

# Over y and w = |x| (the winner of x and -x, each of which has won a match against a constant before):
# y < -|x|, -|x| < y < |x|, y > |x|, all on both sides of x = 0, where both lines cross: they tie.
CROSS = [[1, -1], [1, 1]]


def assert_cross(stack: Stack) -> None:
    compare(stack)
    p = gr.partition(stack.network, SQUARE)
    assert (p.n_vertices, p.n_edges, p.n_regions) == (7, 12, 6)
    assert np.allclose(sorted(p.areas), [0.5, 0.5, 0.5, 0.5, 1.0, 1.0], atol=1e-15)


@pytest.mark.parametrize("sign", [1, -1])
def test_edge_between_two_winners(sign: int) -> None:
    """Neither side of x = 0 knows the matches of the other side's winner: nor the form that is zero there."""
    assert_cross(Stack([[sign, 0, 0], [0, 0, -3], [-sign, 0, 0], [0, 0, -4], [0, 1, 0]]).pool([[0, 1, 2, 3], [4]])
                 .layer(CROSS, [0, 0]))  # fmt: skip


def test_edge_between_losers() -> None:
    """The line x = 0 was drawn where x and -x played; both lose the next match, but it stays for another pool."""
    constants = [[0, 0, c] for c in range(-20, 9)]
    planes = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], *constants]
    low, high = range(3, 3 + 20), range(len(planes) - 4, len(planes))
    losers = [0, low[0], 1, low[1], *high]
    late = [0, *low[2:5], 1, *low[5:8]]
    assert_cross(Stack(planes).pool([losers, late, [2]]).layer([[0, *row] for row in CROSS], [0, 0]))


def test_ties_of_whole_faces_between_pools() -> None:
    """Both entrants off, or equal: no face is split, and the face is cut by what follows."""
    stack = Stack([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [1, 0, 0], [0, -1, 0], [0, 0, 0]])
    stack.layer(np.eye(6), np.zeros(6)).pool([[0, 3, 1, 5], [2, 4, 5, 3], [0, 3]])
    stack.layer([[1, -1, 0], [-1, 1, 0], [1, 1, -1], [0, -1, 1]], [0, 0, -1, 0]).pool([[0, 1, 2, 3], [1, 3]])
    compare(stack.layer([[1, -1], [1, 1]], [0, -0.5]))


# ---------------------------------------------------------------------- drawn networks


@st.composite
def two_pools(draw: st.DrawFn) -> Stack:
    """Small whole weights, so that lines coincide and faces tie, or generic ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    generic = draw(st.booleans())

    def numbers(*shape: int) -> Any:
        return rng.standard_normal(shape) if generic else rng.integers(-2, 3, shape)

    def windows(n: int, sizes: Sequence[int]) -> list[list[int]]:
        return [rng.permutation(n)[:size].tolist() for size in sizes]

    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=3))
    stack = Stack(numbers(5, 3))
    if draw(st.booleans()):
        stack.layer(np.eye(5), np.zeros(5))
    if max(sizes) > 1:
        stack.pool(windows(5, sizes), draw(st.booleans()))
    stack.layer(numbers(4, stack.layers[-1].n_units), numbers(4), draw(st.booleans()))
    stack.pool(windows(4, draw(st.sampled_from([[4], [2, 3], [4, 4], [3, 1, 2]]))), draw(st.booleans()))
    return stack.layer(numbers(3, stack.layers[-1].n_units), numbers(3))


@settings(deadline=None, max_examples=EXAMPLES, derandomize=True)
@given(two_pools())
def test_two_pools_against_the_enumerator(stack: Stack) -> None:
    compare(stack)


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")
def test_blocks_that_decide_all_exactly() -> None:
    """Blocks keep the faces in which the lines of their edges were drawn, and no others."""
    rng = np.random.default_rng(3)
    stack = Stack(rng.standard_normal((12, 3))).pool([list(range(k, k + 4)) for k in range(0, 9, 2)], True)
    stack.layer(rng.standard_normal((8, 5)), rng.standard_normal(8), False)
    stack.pool([[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]], True).layer(rng.standard_normal((5, 3)), np.zeros(5))
    p = build_complex(stack.network, SQUARE)
    q = build_complex(stack.network, SQUARE, caution=1e14, block_values=100)
    assert sorted(map(bytes, p.patterns.words)) == sorted(map(bytes, q.patterns.words))
    assert (p.n_vertices, p.n_edges) == (q.n_vertices, q.n_edges)
    q.check(level="exact")
