"""Betti numbers: shapes whose answer is known, duality, other descriptions of the same set, and shapely's polygons."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.analysis.topology import Betti
from geomrelu.errors import InputError
from geomrelu.network import Layer
from tests.drawn import ENTRIES, drawn_networks
from tests.misuse import assert_raises
from tests.networks import SQUARE, degenerate_cases, random_network

# |x - a| + |y| for a = -1/2 and 1/2: eight neurons.
TWO = [[1, 0], [-1, 0], [0, 1], [0, -1]] * 2
CENTRES = [0.5, -0.5, 0, 0, -0.5, 0.5, 0, 0]
PLANE = gr.Box([-2, -2], [2, 2])


def smaller_distance(layers_after: list, biases_after: list) -> gr.Network:
    """The smaller of two diamond distances, min(d, e) = e - relu(e - d), and what more layers make of it."""
    second = np.array([[-1, -1, -1, -1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]])  # e - d and e
    return gr.Network([TWO, second, *layers_after], [CENTRES, [0, 0], *biases_after])


def numbers(found: Betti) -> tuple[int, int, int, int]:
    return found.components, found.holes, found.complement_components, found.complement_holes


def test_annulus() -> None:
    # 1/4 - | |x| + |y| - 1/2 |
    network = gr.Network(
        [[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1] * 4, [-1] * 4], [[-1, -1]]], [[0] * 4, [-0.5, 0.5], [0.25]]
    )
    p = gr.partition(network, SQUARE)
    found = p.betti(0)
    assert numbers(found) == (1, 1, 2, 1)
    # The ring lies in the outer part of the complement, which reaches the border, the inner part in the ring.
    outer = 1 + int(np.flatnonzero(found.parents[1:] == -1)[0])
    inner = 3 - outer
    assert found.parents.tolist()[0] == outer
    assert found.parents[inner] == 0
    assert found.depths[[outer, 0, inner]].tolist() == [0, 1, 2]
    assert found.holes_of(0) == 1
    # At 1/4 the set {f > c} is empty and {f >= c} the ring's middle line.
    assert numbers(p.betti(0.25)) == (0, 0, 1, 0)
    assert numbers(p.betti(0.25, closed=True)) == (1, 1, 2, 1)
    assert numbers(p.betti(-10)) == (1, 0, 0, 0)


def test_two_discs() -> None:
    p = gr.partition(smaller_distance([[[1, -1]]], [[0.25]]), PLANE)
    found = p.betti()
    assert numbers(found) == (2, 0, 1, 2)
    assert found.parents.tolist() == [2, 2, -1]
    left, right = found.face_components[p.locate([[-0.6, 0.1], [0.6, 0.1]])]
    assert {left, right} == {0, 1}
    assert numbers(gr.partition(smaller_distance([[[1, -1]]], [[0.25]]), gr.Box([-2, 0.5], [2, 2])).betti())[:2] == (
        0,
        0,
    )


def test_two_discs_that_touch() -> None:
    """Open discs that meet in a point are two, closed ones are one."""
    p = gr.partition(smaller_distance([[[1, -1]]], [[0.5]]), PLANE)
    assert numbers(p.betti()) == (2, 0, 1, 2)
    assert numbers(p.betti(closed=True)) == (1, 0, 1, 1)


def test_figure_eight() -> None:
    # 1/4 - | min(d, e) - 1/2 |: two rings that overlap around the origin.
    p = gr.partition(smaller_distance([[[-1, 1], [1, -1]], [[-1, -1]]], [[-0.5, 0.5], [0.25]]), PLANE)
    found = p.betti()
    assert numbers(found) == (1, 2, 3, 1)
    assert sorted(found.parents[1:].tolist()) == [-1, 0, 0]
    assert found.holes_of(0) == 2


def test_figure_eight_through_one_point() -> None:
    """Two diamonds' outlines that share one point: closed they are a figure eight."""
    # -| min(d, e) - 1/2 |, at most 0.
    p = gr.partition(smaller_distance([[[-1, 1], [1, -1]], [[-1, -1]]], [[-0.5, 0.5], [0.0]]), PLANE)
    assert numbers(p.betti(0, closed=True)) == (1, 2, 3, 1)
    assert numbers(p.betti(0)) == (0, 0, 1, 0)
    # Around it a band without the outlines, and all the rest.
    assert numbers(p.betti(-0.25, closed=False)) == (1, 2, 3, 1)


def test_nested_rings() -> None:
    """Circles of |x| + |y| at which a sawtooth is positive, one in the other."""
    ring = gr.Network(
        [[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1] * 4] * 6, [[1, -2, 2, -2, 2, -2]]],
        [[0] * 4, [0, -0.25, -0.5, -0.75, -1.0, -1.25], [-0.125]],
    )
    found = gr.partition(ring, PLANE).betti()
    assert numbers(found) == (3, 3, 4, 3)
    # The outermost part is the complement's and reaches the border; then they alternate.
    assert sorted(found.depths[:3].tolist()) == [1, 3, 5]
    assert sorted(found.depths[3:].tolist()) == [0, 2, 4, 6]


def test_border_counts_as_open_to_the_outside() -> None:
    """A strip across the domain has no hole, and parts beside it do not lie in it."""
    p = gr.partition(gr.Network([[[1, 0], [-1, 0]], [[-1, -1]]], [[0, 0], [0.5]]), SQUARE)
    found = p.betti()
    assert numbers(found) == (1, 0, 2, 0)
    assert found.parents.tolist() == [-1, -1, -1]


def assert_consistent(found: Betti) -> None:
    """Alexander duality in the disc, and a tree: neither is how the holes were computed."""
    n = found.components
    assert found.holes == (found.parents[n:] >= 0).sum()
    assert found.complement_holes == (found.parents[:n] >= 0).sum()
    assert found.holes == sum(found.holes_of(k) for k in range(n))
    # The parent of a part is of the other kind.
    inner = found.parents >= 0
    assert ((found.parents < n) != (np.arange(len(found.parents)) < n))[inner].all()


@settings(max_examples=60, deadline=None)
@given(st.one_of(*(drawn_networks(entries) for entries in ENTRIES.values())), st.sampled_from([0.0, 0.5, -1.0, 0.1]))
def test_duality_complement_and_refinement(network: gr.Network, c: float) -> None:
    p = gr.partition(network, SQUARE)
    found, closed = p.betti(c), p.betti(c, closed=True)
    assert_consistent(found)
    assert_consistent(closed)
    # {-f > -c} is the complement of {f >= c}.
    last = network.output
    negative = gr.Network(
        [*(v.weight for v in network.hidden), -last.weight], [*(v.bias for v in network.hidden), -last.bias]
    )
    other = gr.partition(negative, SQUARE).betti(-c)
    assert numbers(other) == (*numbers(closed)[2:], *numbers(closed)[:2])
    # Cutting the cells further changes nothing.
    finer = gr.partition(gr.joint(network, random_network((4,), seed=1)), SQUARE)
    assert numbers(finer.betti(c)) == numbers(found)
    assert numbers(finer.betti(c, closed=True)) == numbers(closed)
    # One more output, far below: the class of f - c is the same set.
    classes = gr.partition(_beside(network, c), SQUARE).class_betti()
    assert numbers(classes[0]) == numbers(found)
    assert numbers(classes[2]) == (0, 0, 1, 0)


def _beside(network: gr.Network, c: float) -> gr.Network:
    """Outputs f, c and -1000."""
    last = network.output
    weights = [*(v.weight for v in network.hidden), np.concatenate([last.weight, np.zeros((2, last.n_inputs))])]
    return gr.Network(weights, [*(v.bias for v in network.hidden), [last.bias[0], c, -1000.0]])


@pytest.mark.parametrize("case", degenerate_cases()[::4], ids=str)
def test_degenerate_networks(case) -> None:
    p = gr.partition(case.network, case.domain)
    for closed in (False, True):
        assert_consistent(p.betti(0, closed=closed))
    for found in p.class_betti():
        assert_consistent(found)


@pytest.mark.parametrize("seed", range(4))
def test_beside_shapely(seed: int) -> None:
    """Generic networks: polygons of the regions cut at the level, put together by another library."""
    p = gr.partition(random_network((12, 8), seed), SQUARE)
    # Between two vertices' values: at a vertex's own the level's shape changes.
    ranked = np.sort(p._vertex_outputs.values[:, 0])
    c = float(ranked[len(ranked) // 2 : len(ranked) // 2 + 2].mean())
    maps = p.affine_maps
    pieces = []
    for polygon, (a, b), constant in zip(p.polygons, maps.A[:, 0], maps.b[:, 0], strict=True):
        # A large square on the side a x + b y + constant > c.
        normal = np.array([a, b]) / np.hypot(a, b)
        foot = normal * (c - constant) / np.hypot(a, b)
        size = 3 + np.hypot(*foot)
        along, up = size * np.array([-normal[1], normal[0]]), 2 * size * normal
        half = shapely.Polygon([foot - along, foot + along, foot + along + up, foot - along + up])
        pieces.append(polygon.intersection(half))
    # Rounding leaves cracks between neighbours: closed by a small step out and in.
    union = shapely.unary_union(pieces).buffer(1e-9, join_style="mitre").buffer(-1e-9, join_style="mitre")
    parts = [part for part in getattr(union, "geoms", [union]) if part.area > 1e-12]
    domain = shapely.box(-1, 1, 1, -1)
    holes = [ring for part in parts for ring in part.interiors if shapely.Polygon(ring).area > 1e-12]
    found = p.betti(c)
    assert (found.components, found.holes) == (len(parts), len(holes))
    rest = domain.difference(union)
    assert found.complement_components == sum(g.area > 1e-8 for g in getattr(rest, "geoms", [rest]))


@pytest.mark.parametrize("n_outputs", [1, 2, 3, 5])
def test_classes_beside_their_polygons(n_outputs: int) -> None:
    """Of generic networks: as many polygons, with as many holes, as the classes' regions are put together from."""
    seen = set()
    for seed in range(3):
        p = gr.partition(random_network((10, 8), seed, n_outputs=n_outputs), gr.Box(-2, 2))
        found = p.class_betti()
        polygons = p.class_regions().polygons
        assert len(found) == len(polygons)
        for k, (own, parts) in enumerate(zip(found, polygons, strict=True)):
            assert_consistent(own)
            holes = sum(len(part.interiors) for part in parts.geoms)
            assert (own.components, own.holes) == (len(parts.geoms), holes), f"seed {seed}, class {k}"
            seen.add(numbers(own)[:2])
    assert len(seen) > 1


def by_refinement(p: gr.PlanarComplex) -> list[tuple[int, int]]:
    """Components and holes of the classes from the partition that is cut by all ties of outputs, too.

    There an output wins all over a region or nowhere, and the region's corners tell.
    """
    n = p.network.n_outputs
    pairs = list(itertools.combinations(range(n), 2))
    ties = np.zeros((len(pairs) + n, n))
    for row, (i, j) in zip(ties, pairs, strict=False):
        row[[i, j]] = 1, -1
    ties[len(pairs) :] = np.eye(n)
    picks = np.concatenate([np.zeros((n, len(pairs))), np.eye(n)], axis=1)
    layers = [*p.network.layers, Layer(ties, np.zeros(len(ties)), len(pairs)), Layer(picks, np.zeros(n), 0)]
    refined = gr.partition(gr.Network.from_layers(layers), p.domain)
    exact = [refined._vertex_outputs.exact(v) for v in range(refined.n_vertices)]
    top = np.array([[value == max(y) for value in y] for y in exact])
    cells = {
        "vertices": [[v] for v in range(refined.n_vertices)],
        "edges": refined.edges[refined.edges_inner].tolist(),
        "faces": [refined.ring(f).tolist() for f in range(refined.n_regions)],
    }
    border = np.zeros(refined.n_vertices, dtype=bool)
    border[refined.edges[(refined.edge_faces < 0).any(axis=1)]] = True
    result = []
    for k in range(n):
        chosen = {
            name: np.array([top[c].all(axis=0).nonzero()[0].tolist() == [k] for c in cells[name]]) for name in cells
        }
        graph = nx.Graph()
        graph.add_nodes_from(np.flatnonzero(chosen["faces"]).tolist())
        graph.add_edges_from(refined.edge_faces[refined.edges_inner][chosen["edges"]].tolist())
        components = nx.number_connected_components(graph)
        euler = chosen["faces"].sum() - chosen["edges"].sum() + (chosen["vertices"] & ~border).sum()
        result.append((components, components - int(euler)))
    return result


@pytest.mark.parametrize("degenerate", [False, True], ids=["generic", "degenerate"])
@pytest.mark.parametrize("n_outputs", [3, 4, 5])
def test_classes_beside_a_refinement_in_fractions(n_outputs: int, degenerate: bool) -> None:
    seen = set()
    for seed in range(8):
        network = random_network((5, 4), seed, n_outputs=n_outputs)
        if degenerate:
            rng = np.random.default_rng(seed)
            shapes = [(4, 2), (3, 4), (n_outputs, 3)]
            network = gr.Network([rng.integers(-1, 2, shape) for shape in shapes])
        p = gr.partition(network, gr.Box(-1, 1))
        found = p.class_betti()
        for own in found:
            assert_consistent(own)
        assert [(own.components, own.holes) for own in found] == by_refinement(p), f"seed {seed}"
        seen |= {(own.components, own.holes) for own in found}
    assert len(seen) > 1


def test_a_class_that_wins_inside_one_region_only() -> None:
    """Three planes and a fourth, level one, that is above them in a triangle: no vertex or edge knows of it."""
    p = gr.partition(gr.Network([[[0, 1], [1, -1], [-1, -1], [0, 0]]], [[0, 0, 0, 0.125]]), SQUARE)
    assert p.n_regions == 1
    found = p.class_betti()
    assert [numbers(b)[:2] for b in found] == [(1, 0), (1, 0), (1, 0), (1, 0)]
    assert numbers(found[3]) == (1, 0, 1, 1)
    assert found[3].parents.tolist() == [1, -1]


def test_a_class_that_wins_everywhere() -> None:
    network = random_network((6,), 0, n_outputs=3)
    last = network.output
    p = gr.partition(
        gr.Network([network.hidden[0].weight, last.weight], [network.hidden[0].bias, last.bias + [0, 99, 0]]), SQUARE
    )
    found = p.class_betti()
    assert [numbers(b) for b in found] == [(0, 0, 1, 0), (1, 0, 0, 0), (0, 0, 1, 0)]
    assert found[1].partition is p


def test_classes_that_tie_all_over() -> None:
    p = gr.partition(gr.Network([[[1, 0], [1, 0], [-1, 0]]]), SQUARE)
    assert [numbers(b) for b in p.class_betti()] == [(0, 0, 1, 0), (0, 0, 1, 0), (1, 0, 1, 0)]


def test_decisions_beyond_float() -> None:
    """Two discs whose gap is one unit in the last place wide."""
    touching = gr.partition(smaller_distance([[[1, -1]]], [[0.5]]), PLANE)
    apart = gr.partition(smaller_distance([[[1, -1]]], [[np.nextafter(0.5, 0)]]), PLANE)
    overlapping = gr.partition(smaller_distance([[[1, -1]]], [[np.nextafter(0.5, 1)]]), PLANE)
    assert [q.betti(closed=True).components for q in (apart, touching, overlapping)] == [2, 1, 1]
    assert [q.betti().components for q in (apart, touching, overlapping)] == [2, 2, 1]


def test_bad_input() -> None:
    p = gr.partition(random_network((3,), 0), SQUARE)
    for output in (1, -1, "0", True, 0.0):
        assert_raises(lambda output=output: p.betti(0, output), InputError, ("betti", repr(output), "from 0 to 0"))
    for c in (np.nan, np.inf, "0", None):
        assert_raises(lambda c=c: p.betti(c), InputError, ("betti", "finite number"))
    found = p.betti(p.mean()[0])
    assert_raises(lambda: found.holes_of(99), InputError, ("holes_of", "99"))
