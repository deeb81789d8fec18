"""What every partition must satisfy, checked from its public arrays and plain forward passes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numba
import numpy as np

from tests.oracles.fraction_enumerator import Enumeration

# Interpreted kernels are some hundred times slower; tests then take their smaller cases.
INTERPRETED = bool(numba.config.DISABLE_JIT)


def assert_sound(p: Any) -> None:
    """Topology, geometry, patterns and maps of a partition fit each other and its network."""
    assert p.n_vertices - p.n_edges + p.n_regions == 1
    assert_rings(p)
    assert_geometry(p)
    assert_patterns(p)
    assert_maps(p)
    p.check()


def assert_rings(p: Any) -> None:
    """Rings are closed walks along edges, each edge side belongs to one ring, borders to none."""
    V, E, F = p.n_vertices, p.n_edges, p.n_regions
    assert (p.vertices.shape, p.edges.shape, p.edge_faces.shape) == ((V, 2), (E, 2), (E, 2))
    assert p.face_offsets.shape == (F + 1,)
    assert p.face_offsets[0] == 0
    lengths = np.diff(p.face_offsets)
    assert lengths.min() >= 3
    owner = np.repeat(np.arange(F), lengths)
    following = np.arange(1, len(owner) + 1)
    following[p.face_offsets[1:] - 1] = p.face_offsets[:-1]
    assert p.face_vertices.shape == p.face_edges.shape == owner.shape
    tail, head = p.face_vertices, p.face_vertices[following]
    forward = (p.edges[p.face_edges] == np.column_stack([tail, head])).all(axis=1)
    backward = (p.edges[p.face_edges] == np.column_stack([head, tail])).all(axis=1)
    assert (forward ^ backward).all()
    # The face lies to the left of a forward edge, to the right of a backward one.
    side = np.where(forward, 0, 1)
    np.testing.assert_array_equal(p.edge_faces[p.face_edges, side], owner)
    slots = 2 * p.face_edges + side
    assert len(np.unique(slots)) == len(slots) == (p.edge_faces >= 0).sum()
    border = (p.edge_faces < 0).any(axis=1)
    assert not (p.edge_faces < 0).all(axis=1).any()
    np.testing.assert_array_equal(border, p.edge_neuron == -1)
    assert (p.edges[:, 0] != p.edges[:, 1]).all()
    assert len(np.unique(np.sort(p.edges, axis=1), axis=0)) == E
    np.testing.assert_array_equal(np.unique(p.edges), np.arange(V))
    for array in (p.vertices, p.edges, p.edge_faces, p.face_offsets, p.face_vertices, p.face_edges, p.edge_neuron):
        assert not array.flags.writeable
        assert array.flags.c_contiguous


def assert_geometry(p: Any) -> None:
    """Rings run counter-clockwise, areas sum to the domain's, vertices lie on their two lines."""
    corners = p.domain.vertices
    size = np.abs(corners).max()
    area = ring_areas(p)
    perimeter = np.ptp(corners, axis=0).sum()
    assert (area > -1e-13 * size * perimeter).all(), "a ring runs clockwise"
    np.testing.assert_allclose(p.areas, area, rtol=0, atol=1e-13 * size * perimeter)
    assert abs(area.sum() - p.domain.area) <= 1e-13 * len(area) ** 0.5 * size * perimeter
    at_corner = (p.vertices[:, None, :] == corners[None]).all(axis=2)
    # Once or more: a crossing next to a corner may round to it.
    assert at_corner.any(axis=0).all(), "a corner of the domain is not a vertex"
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        left_of = (b - a)[0] * (p.vertices - a)[:, 1] - (b - a)[1] * (p.vertices - a)[:, 0]
        assert (left_of >= -1e-13 * size * np.hypot(*(b - a))).all(), "a vertex is outside the domain"
    lines = p.vertex_lines
    assert lines.shape == (p.n_vertices, 2)
    assert (lines[:, 0] != lines[:, 1]).all()
    values, scale = preactivations(p, p.vertices)
    for column in lines.T:
        on_neuron = np.flatnonzero(column >= 0)
        found = np.abs(values[on_neuron, column[on_neuron]])
        assert (found <= 1e-9 * scale[column[on_neuron]]).all(), "a vertex is off its neuron's zero set"
        on_side = np.flatnonzero(column < 0)
        a = corners[-1 - column[on_side]]
        b = corners[(-column[on_side]) % len(corners)]
        v = p.vertices[on_side]
        off = (b - a)[:, 0] * (v - a)[:, 1] - (b - a)[:, 1] * (v - a)[:, 0]
        assert (np.abs(off) <= 1e-13 * size * np.hypot(*(b - a).T)).all(), "a vertex is off the domain's side"


def assert_patterns(p: Any) -> None:
    """Patterns are unique, are those of forward passes, and differ across an edge in its neuron."""
    assert len(np.unique(p.patterns.keys())) == p.n_regions == len(p.patterns)
    bits = p.patterns.unpack()
    inner = p.edge_neuron >= 0
    left, right = p.edge_faces[inner].T
    neuron = p.edge_neuron[inner]
    assert (bits[left, neuron] != bits[right, neuron]).all(), "an edge's neuron does not change across it"
    values, scale = preactivations(p, inner_points(p))
    clear = np.abs(values) > 1e-9 * scale
    assert (bits == (values > 0))[clear].all(), "a pattern is not that of a forward pass"
    ends = p.edges[inner]
    at_vertices, vertex_scale = preactivations(p, p.vertices)
    for end in ends.T:
        found = np.abs(at_vertices[end, neuron])
        assert (found <= 1e-9 * vertex_scale[neuron]).all(), "an edge is off its neuron's zero set"


def assert_maps(p: Any) -> None:
    """Maps give the network's values, and agree along every edge."""
    A, b = p.affine_maps.A, p.affine_maps.b
    assert A.shape == (p.n_regions, p.network.n_outputs, 2)
    assert b.shape == (p.n_regions, p.network.n_outputs)
    points = inner_points(p)
    reach = np.abs(p.domain.vertices).max()
    scale = (np.abs(A).sum(axis=2) * reach + np.abs(b)).max() + _magnitude(p)
    np.testing.assert_allclose(_at(A, b, points), p.network(points), rtol=0, atol=1e-10 * scale)
    inner = p.edge_neuron >= 0
    left, right = p.edge_faces[inner].T
    for end in p.edges[inner].T:
        x = p.vertices[end]
        np.testing.assert_allclose(_at(A[left], b[left], x), _at(A[right], b[right], x), rtol=0, atol=1e-9 * scale)
    assert 1 <= p.n_affine_pieces <= p.n_linear_regions <= p.n_regions
    labels = p.linear_region_labels
    np.testing.assert_array_equal(np.unique(labels), np.arange(p.n_linear_regions))


def assert_locates(p: Any, n: int = 500, seed: int = 0) -> None:
    """Random points are found in the region that has their pattern, and get the network's value."""
    rng = np.random.default_rng(seed)
    corners = p.domain.vertices
    margin = 0.1 * np.ptp(corners, axis=0)
    around = rng.uniform(corners.min(axis=0) - margin, corners.max(axis=0) + margin, (n // 2, 2))
    inside = rng.dirichlet(np.ones(len(corners)), n - n // 2) @ corners
    x = np.concatenate([around, inside])
    found = p.locate(x)
    np.testing.assert_array_equal(found >= 0, p.domain.contains(x))
    x, found = x[found >= 0], found[found >= 0]
    values, scale = preactivations(p, x)
    clear = (np.abs(values) > 1e-9 * scale).all(axis=1)
    np.testing.assert_array_equal(p.patterns[found].unpack()[clear], values[clear] > 0)
    np.testing.assert_allclose(p(x), p.network(x), rtol=0, atol=1e-9 * (1 + _magnitude(p)))


def assert_equals_oracle(p: Any, found: Enumeration, tolerance: float = 1e-9) -> None:
    """Counts, patterns, adjacency: equal.  Areas, corners and maps: exact values to within rounding."""
    keys = [tuple(row) for row in p.patterns.unpack().astype(int).tolist()]
    assert len(set(keys)) == len(keys)
    assert set(keys) == set(found.by_pattern)
    assert (p.n_regions, p.n_vertices, p.n_edges) == (found.n_regions, found.n_vertices, found.n_edges)
    cells = [found.by_pattern[key] for key in keys]

    # Who is whose neighbour, with multiplicity; None is the outside.
    names = [*keys, None]
    got = Counter(frozenset({names[i], names[j]}) for i, j in p.edge_faces.tolist())
    patterns = [cell.pattern for cell in found.cells]
    expected = Counter(frozenset([*(patterns[i] for i in edge.cells), *[None] * (2 - len(edge.cells))])
                       for edge in found.edges)  # fmt: skip
    assert got == expected

    corners = p.domain.vertices
    size = np.abs(corners).max()
    areas = np.array([float(cell.area) for cell in cells])
    np.testing.assert_allclose(p.areas, areas, rtol=0, atol=tolerance * 1e-3 * np.ptp(corners, axis=0).sum() * size)
    for i, cell in enumerate(cells):
        ring = p.vertices[p.face_vertices[p.face_offsets[i] : p.face_offsets[i + 1]]]
        exact = np.array([[float(x), float(y)] for x, y in cell.polygon])
        assert ring.shape == exact.shape
        shifts = [np.abs(np.roll(ring, k, axis=0) - exact).max() for k in range(len(ring))]
        assert min(shifts) <= tolerance * size, f"corners of region {i}"

    A = np.array([[[float(v) for v in row[:2]] for row in cell.map] for cell in cells])
    b = np.array([[float(row[2]) for row in cell.map] for cell in cells])
    np.testing.assert_allclose(p.affine_maps.A, A, rtol=0, atol=1e-13 * (1 + _magnitude(p)))
    np.testing.assert_allclose(p.affine_maps.b, b, rtol=0, atol=1e-13 * (1 + _magnitude(p)))


def ring_areas(p: Any) -> np.ndarray:
    """Shoelace formula, from each ring's first vertex, (F,)."""
    lengths = np.diff(p.face_offsets)
    first = np.repeat(p.vertices[p.face_vertices[p.face_offsets[:-1]]], lengths, axis=0)
    following = np.arange(1, len(p.face_vertices) + 1)
    following[p.face_offsets[1:] - 1] = p.face_offsets[:-1]
    a = p.vertices[p.face_vertices] - first
    b = p.vertices[p.face_vertices[following]] - first
    return np.add.reduceat(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], p.face_offsets[:-1]) / 2


def inner_points(p: Any) -> np.ndarray:
    """The mean of each region's corners, (F, 2)."""
    sums = np.add.reduceat(p.vertices[p.face_vertices], p.face_offsets[:-1], axis=0)
    return sums / np.diff(p.face_offsets)[:, None]


def preactivations(p: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Preactivations at points (N, n_neurons), and the largest that the domain allows them, (n_neurons,).

    Coordinates are rounded relative to the domain's size, so this is what errors are relative to.
    """
    size, scales = np.abs(p.domain.vertices).max(axis=0), [np.zeros(0)]
    for layer in p.network.hidden:
        size = np.abs(layer.weight) @ size + np.abs(layer.bias)
        scales.append(size[: layer.n_neurons])
    values = [np.zeros((len(points), 0))]
    for layer, u in zip(p.network.hidden, p.network.preactivations(points), strict=True):
        values.append(u[:, : layer.n_neurons])
    return np.concatenate(values, axis=1), np.concatenate(scales)


def _magnitude(p: Any) -> float:
    """Size of the numbers that a forward pass adds up."""
    size = np.abs(p.domain.vertices).max(axis=0)
    for layer in p.network.layers:
        size = np.abs(layer.weight) @ size + np.abs(layer.bias)
    return float(size.max())


def _at(A: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.einsum("foi,fi->fo", A, x) + b
