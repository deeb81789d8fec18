"""The n-D engine against a rational enumerator that works cell by cell, degenerate networks included."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.polyhedral.build import build_polyhedral
from geomrelu.polyhedral.complex import PolyhedralComplex
from tests.networks import integer_network, random_network
from tests.oracles.fraction_polytopes import Enumeration, enumerate_box


def box(d: int) -> gr.Box:
    return gr.Box([-1.0] * d, [1.0] * d)


def assert_equal(p: PolyhedralComplex, found: Enumeration) -> None:
    """Regions, vertices, edges, adjacency and volumes."""
    bits = [tuple(row.astype(int).tolist()) for row in p.patterns.unpack()]
    assert len(bits) == len(found.cells)
    assert set(bits) == set(found.by_pattern)
    assert (p.n_vertices, p.n_edges) == (len(found.vertices), len(found.edges))
    inner = (p.facet_regions >= 0).all(axis=1)
    pairs = [frozenset([bits[a], bits[b]]) for a, b in p.facet_regions[inner].tolist()]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == found.neighbors
    np.testing.assert_allclose(p.volumes, [float(found.by_pattern[b].volume) for b in bits], rtol=1e-9, atol=1e-15)
    for r, own in enumerate(np.split(p.region_vertices, p.region_offsets[1:-1])):
        exact = np.array(sorted([float(c) for c in q] for q in found.by_pattern[bits[r]].vertices))
        assert len(own) == len(exact)
        off = np.linalg.norm(p.vertices[own][:, None] - exact, axis=2).min(axis=1)
        assert (off <= p.vertex_errors[own] + 1e-15).all()


def assert_equal_maps(p: PolyhedralComplex, found: Enumeration) -> None:
    """Distinct maps, and classes of neighbours with equal ones, from maps in fractions."""
    maps = {cell.pattern: cell.map for cell in found.cells}
    assert p.n_affine_pieces == len(set(maps.values()))
    label = {pattern: k for k, pattern in enumerate(maps)}
    for a, b in sorted(map(sorted, found.neighbors)):
        if maps[a] == maps[b]:
            old, new = label[a], label[b]
            label = {pattern: new if k == old else k for pattern, k in label.items()}
    assert p.n_linear_regions == len(set(label.values()))
    own = [tuple(row.astype(int).tolist()) for row in p.patterns.unpack()]
    pairs = set(zip((label[k] for k in own), p.linear_region_labels.tolist(), strict=True))
    assert len(pairs) == p.n_linear_regions


def compare(network: gr.Network, **options: float) -> PolyhedralComplex:
    d = network.n_inputs
    p = build_polyhedral(network, box(d), **options)
    found = enumerate_box(network, [-1.0] * d, [1.0] * d)
    assert_equal(p, found)
    assert_equal_maps(p, found)
    p.check()
    return p


def one_layer(table: list[list[float]]) -> gr.Network:
    """Neurons given as rows (weights..., bias); the output weighs them differently."""
    rows = np.asarray(table, dtype=float)
    return gr.Network([rows[:, :-1], np.arange(1.0, len(rows) + 1)[None]], [rows[:, -1], [0.0]])


def doubled(network: gr.Network, factor: float) -> gr.Network:
    """Every neuron of the first layer twice, the copy times `factor`."""
    first, *rest = network.layers
    weights = [np.concatenate([first.weight, factor * first.weight]), np.concatenate([rest[0].weight] * 2, axis=1)]
    biases = [np.concatenate([first.bias, factor * first.bias])]
    return gr.Network([*weights, *[v.weight for v in rest[1:]]], [*biases, *[v.bias for v in rest]])


def again(factor: float) -> gr.Network:
    """A second layer whose neurons vanish where the first one's do, and one that is zero on whole regions."""
    first = integer_network((3,), 5, 2, n_inputs=3).layers[0]
    pair = np.concatenate([first.weight, -first.weight])
    second = np.vstack([factor * np.hstack([np.eye(3), -np.eye(3)]), [1, 0, 0, 0, 0, 0], [0, -1, 0, 0, 2, 0]])
    return gr.Network(
        [pair, second, np.arange(1.0, 6)[None]], [np.r_[first.bias, -first.bias], np.zeros(5), np.zeros(1)]
    )


DEGENERATE = {
    "no neuron": gr.Network([np.ones((1, 3))], [[0.5]]),
    "one neuron": one_layer([[1, 2, -1, 0.25]]),
    "zero weights": gr.Network([np.zeros((2, 3)), np.zeros((2, 2)), np.zeros((1, 2))]),
    "through corners, along facets": one_layer(
        [[1, 0, 0, 1], [0, 1, 0, -1], [0, 0, 1, 0], [1, 1, 1, 3], [1, -1, 0, 0], [0, 1, -1, 0], [1, 1, 1, -3]]
    ),
    "touches an edge of the box": one_layer([[1, 1, 0, 2], [1, 1, 0, -2], [0, 1, 1, 2]]),
    "six planes through a line": one_layer(
        [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [1, -1, 0, 0], [2, 1, 0, 0], [1, 3, 0, 0]]
    ),
    "planes through a point that is no float": one_layer(
        [[3, 0, 0, -1], [0, 3, 0, -1], [0, 0, 3, -1], [1, -1, 0, 0], [1, 1, 1, -1], [3, 3, 0, -2]]
    ),
    "repeated": doubled(integer_network((3, 2), 1, 2, n_inputs=3), 1),
    "negated": doubled(integer_network((3, 2), 2, 2, n_inputs=3), -1),
    "scaled by 3": doubled(random_network((3, 2), 2, np.float32, n_inputs=3), 3),
    "again in the second layer": again(1),
    "again, negative": again(-3),
    "bias-free": integer_network((4, 3), 0, 2, bias=False, n_inputs=3),
    "random, bias-free": gr.Network([v.weight for v in random_network((4, 3), 3, n_inputs=3).layers]),
    "ternary, deep": integer_network((3, 3, 3), 1, n_inputs=3),
    "ternary in 4 dimensions": integer_network((4, 2), 1, n_inputs=4),
    "bias-free in 4 dimensions": integer_network((4, 2), 1, 2, bias=False, n_inputs=4),
    "ternary in 1 dimension": integer_network((5, 4), 2, 2, n_inputs=1),
    "ternary in the plane": integer_network((5, 4), 2, 2, n_inputs=2),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_networks(name: str) -> None:
    compare(DEGENERATE[name])


@pytest.mark.parametrize(
    ("widths", "d"), [((5,), 3), ((4, 3), 3), ((3, 3, 2), 3), ((4, 2), 4), ((5, 3), 2), ((6, 5), 1)], ids=str
)
def test_random_networks(widths: tuple[int, ...], d: int) -> None:
    p = compare(random_network(widths, 7, n_inputs=d))
    assert p.report["generic"]


@pytest.mark.parametrize("caution", [1e3, 1e9, np.inf])
def test_exact_stages_give_the_same_complex(caution: float) -> None:
    p = compare(random_network((4, 3), 7, n_inputs=3), caution=caution)
    if caution == np.inf:
        # Every decision but those of the edges' directions was made in rational numbers, and none is zero.
        assert p.report["signs_exact"] == p.report["signs"]
        assert p.report["signs_zero"] == 0
    compare(integer_network((3, 3), 3, n_inputs=3), caution=caution)


def test_passing_units_and_joined_networks() -> None:
    a, b = integer_network((3,), 1, n_inputs=3), integer_network((2, 2), 2, n_inputs=3)
    compare(gr.joint(a, b))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_integer_networks(data: st.DataObject) -> None:
    d = data.draw(st.sampled_from([2, 3, 3, 4]))
    sizes = [d, *data.draw(st.lists(st.integers(1, 4 if d < 4 else 2), min_size=1, max_size=3 if d < 4 else 2)), 1]
    entry = st.integers(-2, 2)
    weights = [[[data.draw(entry) for _ in range(m)] for _ in range(n)] for m, n in pairwise(sizes)]
    biases = [[data.draw(entry) for _ in range(n)] for n in sizes[1:]]
    compare(gr.Network(weights, biases))
