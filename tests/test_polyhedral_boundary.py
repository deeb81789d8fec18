"""Decision boundaries in 3 and more dimensions: piece by piece against fractions, areas, classes' volumes."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import InputError
from geomrelu.polyhedral.boundary import PolyhedralBoundary
from geomrelu.polyhedral.complex import PolyhedralComplex
from tests.networks import integer_network, random_network
from tests.oracles.fraction_polytopes import Cell, Enumeration, _clip, _rank, enumerate_box
from tests.test_polyhedral_answers import cube, several, value

NETWORKS = {
    "three classes in 3": random_network((6, 4), 1, n_inputs=3, n_outputs=3),
    "four classes in 3": random_network((4, 3), 5, n_inputs=3, n_outputs=4),
    "two classes in 3": random_network((6, 4), 3, n_inputs=3, n_outputs=2),
    "three classes in 4": random_network((4, 2), 2, n_inputs=4, n_outputs=3),
    "integer, three classes": several(integer_network((4, 3), 2, 2, n_inputs=3), 3),
    "integer, four classes": several(integer_network((3, 3), 4, 1, n_inputs=3), 4),
    "bias-free, three classes": several(integer_network((4, 2), 3, 2, bias=False, n_inputs=3), 3),
    "integer in 4": several(integer_network((3, 2), 5, 1, n_inputs=4), 3),
    "ties all over": gr.Network([np.eye(3), [[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]]),
    "touches": gr.Network([[[1.0, 0, 0], [-1, 0, 0]], [[1.0, 1], [0, 0]]]),
    "no neuron": gr.Network([np.eye(3)]),
    # Four others tie at (1, 0, 0), on a side of the one piece: no vertex of it, though five forms are zero there.
    "others tie": gr.Network(
        [[[0.0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 1, 0], [0, 0, 0], [0, 0, 1]]], [[0.0, 0, -1, 1, 10, 10]]
    ),
    "in 2, on a polytope": random_network((5, 3), 6, n_outputs=3),
}


def partition(name: str) -> tuple[PolyhedralComplex, Enumeration]:
    f = NETWORKS[name]
    d = f.n_inputs
    domain: Any = cube(d)
    if d == 2:
        domain = gr.Polytope(np.vstack([np.eye(2), -np.eye(2)]), np.ones(4))
    return gr.partition(f, domain), enumerate_box(f, [-1.0] * d, [1.0] * d)  # type: ignore[return-value]


def difference(cell: Cell, a: int, b: int) -> Any:
    return tuple(x - y for x, y in zip(cell.map[a], cell.map[b], strict=True))


def where_positive(vertices: Any, form: Any) -> Any:
    """The part of a polytope where a form is at least 0, if it has the same dimension; else nothing."""
    values = {p: value(form, p) for p in vertices}
    if min(values.values()) >= 0:
        return vertices
    return _clip(vertices, values)[0] if max(values.values()) > 0 else {}


def where_largest(vertices: Any, cell: Cell, a: int, b: int) -> Any:
    for c in range(len(cell.map)):
        if c not in (a, b) and vertices:
            vertices = where_positive(vertices, difference(cell, a, c))
    return vertices


def inside_cells(found: Enumeration) -> set[Any]:
    """Pieces across cells: pattern, classes and vertices."""
    pieces = set()
    for cell in found.cells:
        n = len(cell.map)
        for a, b in combinations(range(n), 2):
            values = {p: value(difference(cell, a, b), p) for p in cell.vertices}
            if min(values.values()) < 0 < max(values.values()):
                new = 1 + max(k for tight in cell.vertices.values() for k in tight)
                section = {p: tight for p, tight in _clip(cell.vertices, values)[0].items() if new in tight}
                part = where_largest(section, cell, a, b)
                ties = [c for c in range(n) if part and all(value(difference(cell, a, c), p) == 0 for p in part)]
                if part and [a, b] == winners_beside(cell, part, ties):
                    pieces.add((cell.pattern, a, b, frozenset(part)))
    return pieces


def winners_beside(cell: Cell, part: Any, ties: list[int]) -> list[int]:
    """Of the outputs that tie on a piece, those that win on its two sides: along the gradient of a difference."""
    gradient = next(g for c in ties for d in ties if any(g := difference(cell, c, d)[:-1]))
    slopes = {c: sum((x * y for x, y in zip(cell.map[c], gradient, strict=False)), Fraction(0)) for c in ties}
    return sorted({min(c for c in ties if slopes[c] == s) for s in (max(slopes.values()), min(slopes.values()))})


def winner_towards(cell: Cell, point: Any) -> int:
    """The class in a cell next to a point of its border, on the way to its middle."""
    n = len(cell.vertices)
    middle = [sum(x) / n for x in zip(*cell.vertices, strict=True)]
    step = [m - x for m, x in zip(middle, point, strict=True)]
    rises = [sum(g * s for g, s in zip(form, step, strict=False)) for form in cell.map]
    return max(range(len(cell.map)), key=lambda k: (value(cell.map[k], point), rises[k], -k))


def along_facets(found: Enumeration) -> set[Any]:
    """Pieces between cells on which outputs tie: patterns beside them, classes and vertices."""
    pieces = set()
    by_pattern = found.by_pattern
    for one, two in map(sorted, found.neighbors):
        cell, other = by_pattern[one], by_pattern[two]
        facet = {p: tight for p, tight in cell.vertices.items() if p in other.vertices}
        n, d = len(cell.map), len(next(iter(facet)))
        for a, b in combinations(range(n), 2):
            if any(value(difference(cell, a, b), p) for p in facet):
                continue
            part = where_largest(facet, cell, a, b)
            if not part or _rank(list(part)) < d - 1:
                continue
            middle = [sum(x) / len(part) for x in zip(*part, strict=True)]
            won = sorted({winner_towards(v, middle) for v in (cell, other)})
            common = [c for c in range(n) if not any(value(difference(cell, a, c), p) for p in part)]
            pair = won if len(won) == 2 else common[:2]
            tied = all(not any(difference(v, *pair)) for v in (cell, other))
            if [a, b] == pair and not tied:
                pieces.add((frozenset([one, two]), a, b, frozenset(part)))
    return pieces


def matched(boundary: PolyhedralBoundary, points: Any, piece: int) -> bool:
    """Whether a piece has these vertices, to within its bounds."""
    own = boundary.corners[boundary.offsets[piece] : boundary.offsets[piece + 1]]
    exact = np.array([[float(x) for x in p] for p in points])
    if len(own) != len(exact) or len(set(own.tolist())) != len(own):
        return False
    distance = np.linalg.norm(boundary.vertices[own][:, None] - exact, axis=2).min(axis=1)
    return bool((distance <= boundary.vertex_errors[own] + 1e-14).all())


@pytest.mark.parametrize("name", NETWORKS)
def test_pieces_equal_fractions(name: str) -> None:
    p, found = partition(name)
    boundary = p.decision_boundary()
    bits = [tuple(row.astype(int).tolist()) for row in p.patterns.unpack()]
    q = boundary.partition
    n = p.network.n_neurons
    sides = q.facet_regions[boundary.facets]
    within, along = inside_cells(found), along_facets(found)
    seen = 0
    for k in range(boundary.n_pieces):
        facet = int(np.argmax(boundary.facet_piece == k))
        neuron = q.facet_neuron[boundary.facets[facet]]
        if neuron < 0:
            continue
        own = (*boundary.classes[k].tolist(),)
        if neuron >= n:
            key: Any = bits[boundary.region[k]]
            candidates = [c for c in within if c[0] == key and c[1:3] == own]
        else:
            key = frozenset(tuple(q.patterns.unpack()[r][:n].astype(int).tolist()) for r in sides[facet].tolist())
            candidates = [c for c in along if c[0] == key and c[1:3] == own]
        assert len(candidates) == 1
        assert matched(boundary, candidates[0][3], k)
        seen += 1
    assert seen == len(within) + len(along)
    if name.startswith(("three", "four", "two")):
        assert seen == boundary.n_pieces > 3


@pytest.mark.parametrize("name", NETWORKS)
def test_volumes_of_classes_equal_fractions(name: str) -> None:
    p, found = partition(name)
    own = p.class_regions()
    n = p.network.n_outputs
    exact = np.zeros(n)
    winners = {}
    for cell in found.cells:
        shares = []
        for k in range(n):
            part = dict(cell.vertices)
            for c in range(n):
                form = difference(cell, k, c)
                if c < k and not any(form):
                    part = {}
                part = where_positive(part, form) if part else part
            shares.append(float(Cell((), part, ()).volume) if part else 0.0)
        exact += shares
        winners[cell.pattern] = int(np.argmax(shares)) if np.count_nonzero(shares) == 1 else -1
    np.testing.assert_allclose(own.volumes, exact, rtol=1e-10, atol=1e-12)
    assert own.winner.tolist() == [winners[tuple(row.astype(int).tolist())] for row in p.patterns.unpack()]


def balanced(network: gr.Network) -> gr.Network:
    """Its outputs less their means, so that each is the largest somewhere."""
    x = np.random.default_rng(0).uniform(-1, 1, (2000, network.n_inputs))
    biases = [v.bias for v in network.layers]
    return gr.Network([v.weight for v in network.layers], [*biases[:-1], biases[-1] - network(x).mean(axis=0)])


def ring_is_convex(boundary: PolyhedralBoundary, piece: int) -> bool:
    own = boundary.vertices[boundary.corners[boundary.offsets[piece] : boundary.offsets[piece + 1]]]
    steps = np.roll(own, -1, axis=0) - own
    turns = np.cross(steps, np.roll(steps, -1, axis=0))
    return bool((turns @ turns.sum(axis=0) > -1e-12).all())


@pytest.mark.parametrize("seed", range(3))
def test_rings_areas_and_sides(seed: int) -> None:
    f = balanced(random_network((8, 6), seed, n_inputs=3, n_outputs=4))
    p = gr.partition(f, cube(3))
    boundary = p.decision_boundary()
    assert boundary.n_pieces > 10
    y = f(boundary.vertices)
    for k, (a, b) in enumerate(boundary.classes.tolist()):
        own = boundary.corners[boundary.offsets[k] : boundary.offsets[k + 1]]
        assert ring_is_convex(boundary, k)
        np.testing.assert_allclose(y[own, a], y[own].max(axis=1), atol=1e-9)
        np.testing.assert_allclose(y[own, b], y[own].max(axis=1), atol=1e-9)
        at = boundary.vertices[own]
        normal = np.cross(at - at[0], np.roll(at, -1, axis=0) - at[0]).sum(axis=0)
        beyond = at.mean(axis=0) + 1e-7 * normal / np.linalg.norm(normal)
        if np.linalg.norm(normal) > 1e-5 and p.domain.contains(beyond[None])[0]:
            assert f(beyond[None])[0].argmax() == b, "counter-clockwise as seen from the second class"
    # On lines through the cube the class changes where the boundary is, and only there.
    x = np.random.default_rng(seed).uniform(-1, 1, (200_000, 3))
    share = np.bincount(f(x).argmax(axis=1), minlength=4) / len(x) * 8
    np.testing.assert_allclose(p.class_regions().volumes, share, atol=0.05)


def test_area_by_cauchys_formula() -> None:
    """The mean number of crossings with random lines that meet a ball of radius r is the area over 2 pi r^2."""
    f = balanced(random_network((8, 6), 1, n_inputs=3, n_outputs=3))
    p = gr.partition(f, cube(3))
    boundary = p.decision_boundary()
    rng = np.random.default_rng(0)
    n, radius = 4000, 3**0.5
    way = rng.normal(size=(n, 3))
    way /= np.linalg.norm(way, axis=1)[:, None]
    side = rng.normal(size=(n, 3))
    side -= (side * way).sum(axis=1)[:, None] * way
    side *= (radius * rng.uniform(0, 1, n) ** 0.5 / np.linalg.norm(side, axis=1))[:, None]
    t = np.linspace(-radius, radius, 800)
    x = (side[:, None] + t[:, None] * way[:, None]).reshape(-1, 3)
    best = np.where(p.domain.contains(x), f(x).argmax(axis=1), -1).reshape(n, -1)
    crossings = ((best[:, 1:] != best[:, :-1]) & (best[:, 1:] >= 0) & (best[:, :-1] >= 0)).sum()
    assert boundary.measure == pytest.approx(crossings / n * 2 * np.pi * radius**2, rel=0.05)


def test_measures_in_other_dimensions() -> None:
    """y0 = y1 on x0 + ... = s: a section of the cube whose measure is known."""
    for d, measure in ((1, 1.0), (2, 8**0.5), (4, 2.0**3 * 2), (5, None)):
        first = np.ones((1, d)) if d < 4 else np.eye(d)[:1] + np.zeros((1, d))
        domain = (
            gr.Polytope(np.vstack([np.eye(d), -np.eye(d)]), np.ones(2 * d)) if d == 2 else gr.Box([-1.0] * d, [1.0] * d)
        )
        f = gr.Network([np.vstack([first, -first]), [[1.0, 0.0], [0.0, 1.0]]])
        p = gr.partition(f, domain)
        boundary = p.decision_boundary()
        if d <= 3:
            assert boundary.measure == pytest.approx(measure)
        else:
            with pytest.raises(InputError, match="degenerate"):
                _ = boundary.measure
    # Generic in 4 and 5: a plane across the cube, cut by another neuron.
    for d in (4, 5):
        normal = np.zeros(d)
        normal[:2] = 0.3, 0.4
        f = gr.Network([[[*np.linspace(0.1, 0.5, d)]], np.zeros((1, 1))], [[0.05], [0.0]])
        wide = gr.Network.from_layers(
            [
                gr.Layer(np.vstack([f.layers[0].weight, normal]), np.array([0.05, 0.02]), 1),
                gr.Layer(np.array([[0.0, 1.0], [0.0, 0.0]]), np.zeros(2), 0),
            ]
        )
        boundary = gr.partition(wide, cube(d)).decision_boundary()
        assert boundary.n_pieces == 2
        # 0.3 x + 0.4 y = -0.02 crosses the square from y = -1 to y = 0.7 at x = -+1: length (2 / 0.8).
        assert boundary.measure == pytest.approx(2 / 0.8 * 2 ** (d - 2))


def test_one_output_and_slices() -> None:
    f = random_network((7, 5), 2, n_inputs=3)
    p = gr.partition(f, cube(3))
    boundary, surface = p.decision_boundary(), p.level_set(0.0)
    assert boundary.n_pieces == surface.n_polygons
    assert boundary.measure == pytest.approx(surface.area)
    assert set(map(tuple, boundary.classes.tolist())) == {(0, 1)}
    assert sorted(map(tuple, boundary.vertices.tolist())) == sorted(map(tuple, surface.vertices.tolist()))
    assert -p.level_set(0.0, capped=True).volume == pytest.approx(p.class_regions().volumes[1])
    # A plane meets as many pieces as the plane's boundary has, but for those that it misses.
    plane = gr.partition(f, gr.Slice.axes(0, 1, at=[0, 0, 0.1], domain=gr.Box(-1, 1))).decision_boundary()
    height = boundary.vertices[boundary.corners, 2] - 0.1
    starts = boundary.offsets[:-1]
    crossed = (np.minimum.reduceat(height, starts) < 0) & (np.maximum.reduceat(height, starts) > 0)
    assert plane.n_pieces == crossed.sum()


def test_ties() -> None:
    p, _ = partition("ties all over")
    boundary = p.decision_boundary()
    # y0 = y1 all over: the largest on a part of the regions with x0 > 0, and where all inputs are negative.
    bits = p.patterns.unpack()
    assert boundary.tied.tolist() == [[r, 0, 1] for r in np.flatnonzero(bits[:, 0] | ~bits.any(axis=1)).tolist()]
    assert 1 not in boundary.classes[:, 0]
    q, _ = partition("touches")
    touching = q.decision_boundary()
    assert touching.classes.tolist() == [[0, 1]]
    assert touching.measure == pytest.approx(4.0)
    assert q.class_regions().volumes.tolist() == pytest.approx([8.0, 0.0])
    whole = gr.partition(gr.Network([np.zeros((2, 3))]), cube(3))
    assert whole.decision_boundary().n_pieces == 0
    assert whole.class_regions().tied_volume == pytest.approx(8.0)
