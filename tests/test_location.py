"""Points in regions: exact answers, whichever way they are found, and polygons at points for the cross-check."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

import geomrelu as gr
from geomrelu.analysis.location import PointLocator
from geomrelu.analysis.point_grid import PointGrid, closed_rings, face_grid
from geomrelu.analysis.touching import touching_faces
from tests.networks import SQUARE, Case, degenerate_cases, grid, lines, random_cases, random_network, sawtooth
from tests.soundness import INTERPRETED

P = Any
SMALL = 100 if INTERPRETED else 1000


def by_network(p: P, points: np.ndarray) -> np.ndarray:
    """Regions of points by patterns alone, without a grid."""
    locator = PointLocator(p)
    return np.concatenate([locator(batch) for batch in np.array_split(points, len(points) // 60 + 1)])


def by_fractions(p: P, point: np.ndarray) -> int:
    """Region of one point by rational arithmetic: that of its pattern, or the first that agrees in nonzero signs."""
    x = [Fraction(float(v)) for v in point]
    corners = [[Fraction(float(v)) for v in corner] for corner in p.domain.vertices]
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        if (b[0] - a[0]) * (x[1] - a[1]) < (b[1] - a[1]) * (x[0] - a[0]):
            return -1
    signs: list[int] = []
    for layer in p.network.hidden:
        u = [
            sum((Fraction(float(w)) * v for w, v in zip(row, x, strict=True)), Fraction(float(c)))
            for row, c in zip(layer.weight, layer.bias, strict=True)
        ]
        signs += [(v > 0) - (v < 0) for v in u[: layer.n_neurons]]
        x = [max(v, Fraction(0)) if k < layer.n_neurons else v for k, v in enumerate(u)]
    sign, bits = np.array(signs, dtype=int), p.patterns.unpack()
    own = np.flatnonzero((bits == (sign > 0)).all(axis=1))
    agreeing = np.flatnonzero((bits == (sign > 0))[:, sign != 0].all(axis=1))
    return int(own[0]) if len(own) else int(agreeing[0]) if len(agreeing) else -1


def telling_points(p: P, n: int, seed: int = 0) -> np.ndarray:
    """Random ones in and around the domain, a grid, vertices, middles of edges, and neighbours of both."""
    rng = np.random.default_rng(seed)
    low, high = p.domain.vertices.min(axis=0), p.domain.vertices.max(axis=0)
    with np.errstate(over="ignore"):
        around = (low + high) / 2 + (rng.uniform(-0.55, 0.55, (n, 2)) * (high / 2 - low / 2)) * 2
    x, y = np.meshgrid(*np.linspace(low, high, 11).T)
    chosen = rng.choice(p.n_edges, min(p.n_edges, n))
    ends = p.vertices[p.edges[chosen]]
    middles = ends[:, 0] / 2 + ends[:, 1] / 2
    at = np.concatenate([p.vertices[np.unique(p.edges[chosen])], middles])
    beside = np.nextafter(at, at + rng.choice([-1.0, 1.0], at.shape) * np.abs(high - low))
    odd = np.array([[np.nan, low[1]], [np.inf, low[1]], [low[0], -np.inf]])
    return np.concatenate([around, np.column_stack([x.ravel(), y.ravel()]), at, beside, odd])


def assert_located(p: P, points: np.ndarray) -> None:
    assert len(points) > 64  # Else no grid is made.
    found = p.locate(points)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, by_network(p, points))
    # What the grid decides must be decided alike by the network.
    certain = PointGrid(p).find(points)
    assert ((certain == found) | (certain == -1)).all()


@pytest.mark.parametrize("case", [*degenerate_cases(), *random_cases()[::3]], ids=str)
def test_the_grid_and_the_network_agree(case: Case) -> None:
    p = gr.partition(case.network, case.domain)
    assert_located(p, telling_points(p, SMALL // 4))


@pytest.mark.parametrize("case", [*degenerate_cases()[::4], *random_cases()[::12]], ids=str)
def test_regions_are_those_of_rational_arithmetic(case: Case) -> None:
    p = gr.partition(case.network, case.domain)
    points = telling_points(p, 20)
    found = p.locate(points)
    assert (found[-3:] == -1).all()
    np.testing.assert_array_equal(found[:-3], [by_fractions(p, x) for x in points[:-3]])


@pytest.mark.parametrize("widths", [(40,), (24, 24), (16, 16, 16), (6,) * 10], ids=str)
def test_larger_networks(widths: tuple[int, ...]) -> None:
    if INTERPRETED:
        widths = tuple(w // 3 for w in widths)
    p = gr.partition(random_network(widths, 2, np.float32), SQUARE)
    assert_located(p, telling_points(p, 4 * SMALL))
    # The grid leaves next to nothing to the network.
    inside = np.random.default_rng(0).uniform(-1, 1, (SMALL, 2))
    assert (PointGrid(p).find(inside) < 0).mean() < 0.01


DOMAINS = {
    "tiny": gr.Box(-1e-300, 1e-300),
    "subnormal": gr.Box(0, 1e-310),
    "huge": gr.Box(-4e307, 4e307),
    "wide and flat": gr.Box([-1e200, -1e-200], [1e200, 1e-200]),
    "far off": gr.Box([1e8, 1e8], [1e8 + 1, 1e8 + 1]),
    "tiny triangle": gr.Polygon([[0, 0], [1e-300, 0], [0, 1e-300]]),
    "huge triangle": gr.Polygon([[0, 0], [1e300, 0], [0, 1e300]]),
    "sliver": gr.Polygon([[-1, -1], [1, 1], [1, 1.0000001]]),
}


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_extreme_domains(domain: Any) -> None:
    low, high = domain.vertices.min(axis=0), domain.vertices.max(axis=0)
    # The lines cross the domain wherever it lies: a x + b y = c through points of it.
    rng = np.random.default_rng(3)
    slopes = rng.integers(-4, 5, (7, 2)) + 0.5
    through = low + rng.uniform(0.2, 0.8, (7, 2)) * (high - low)
    with np.errstate(over="ignore", under="ignore"):
        scale = np.array([1.0, 1.0]) if max(high) > 1e100 else np.minimum(1 / (high / 2 - low / 2) / 2, 1e300)
        table = slopes * scale
        offsets = -(table * through).sum(axis=1)
    if not np.isfinite(offsets).all():
        table, offsets = slopes / 16, -(slopes / 16 * through).sum(axis=1)
    p = gr.partition(lines(np.column_stack([table, offsets])), domain)
    assert p.n_regions > 2
    points = telling_points(p, SMALL // 4)
    assert_located(p, points)
    np.testing.assert_array_equal(p.locate(points)[:60], [by_fractions(p, x) for x in points[:60]])


@pytest.mark.parametrize("error", [1e-12, 1e-6, 1e-3])
def test_vertices_may_be_anywhere_within_their_errors(error: float) -> None:
    # The bound holds for any vertices within their errors of the true ones, so no answer may change.
    p = gr.partition(random_network((12, 8), 4), SQUARE)
    rng = np.random.default_rng(1)
    turn = rng.uniform(0, 2 * np.pi, p.n_vertices)
    moved = p.vertices + 0.999 * error * np.column_stack([np.cos(turn), np.sin(turn)])
    blurred = dataclasses.replace(p, vertices=moved, vertex_errors=np.full(p.n_vertices, error))
    middles = p.vertices[p.edges].mean(axis=1)
    near = np.concatenate([middles, p.vertices]).repeat(20, axis=0)
    near = near + rng.normal(size=near.shape) * error * rng.choice([1, 5, 25], (len(near), 1))
    wrong_if_believed = PointGrid(dataclasses.replace(blurred, vertex_errors=np.zeros(p.n_vertices))).find(near)
    expected = p.locate(near)
    assert ((wrong_if_believed >= 0) & (wrong_if_believed != expected)).any()
    found = PointGrid(blurred).find(near)
    assert ((found == -1) | (found == expected)).all()
    np.testing.assert_array_equal(blurred.locate(near), expected)
    assert (found >= 0).any()


def test_loaded_partitions_and_single_points(tmp_path: Path) -> None:
    p = gr.partition(random_network((9, 7), 3), SQUARE)
    points = telling_points(p, SMALL)
    p.save(tmp_path / "p.npz")
    q = gr.load(tmp_path / "p.npz")
    one_by_one = np.concatenate([q.locate(points[[k]]) for k in range(0, len(points), 17)])
    np.testing.assert_array_equal(q.locate(points), p.locate(points))
    np.testing.assert_array_equal(one_by_one, p.locate(points)[::17])
    assert p.locate(np.empty((0, 2))).shape == (0,)
    assert p.locate(np.full((100, 2), np.nan)).tolist() == [-1] * 100


def test_vertices_that_are_no_numbers_leave_it_to_the_network() -> None:
    p = gr.partition(random_network((9, 7), 3), SQUARE)
    vertices = p.vertices.copy()
    vertices[::7] = np.nan
    vertices[1::7] = np.inf
    points = np.random.default_rng(0).uniform(-1, 1, (SMALL, 2))
    np.testing.assert_array_equal(dataclasses.replace(p, vertices=vertices).locate(points), p.locate(points))


# The grid itself


@pytest.mark.parametrize(
    "network",
    [random_network((20, 10), 1), grid(5), lines([[1, 1, c / 50] for c in range(-60, 61)]), sawtooth(7)],
    ids=["random", "grid", "diagonal strips", "upright strips"],
)
def test_a_cell_lists_the_faces_that_meet_it(network: Any) -> None:
    p = gr.partition(network, SQUARE)
    rings = closed_rings(p.vertices, p.face_offsets, p.face_vertices)
    found = face_grid(rings, np.array([-1.0, -1.0]), np.array([1.0, 1.0]), margin=1e-9)
    assert found.columns * found.rows <= 2 * p.n_regions
    assert len(found.faces) <= 16 * p.n_regions
    x = -1 + np.arange(found.columns + 1) / found.per_unit[0]
    y = -1 + np.arange(found.rows + 1) / found.per_unit[1]
    for j in range(found.rows):
        for i in range(found.columns):
            k = j * found.columns + i
            listed = set(found.faces[found.offsets[k] : found.offsets[k + 1]].tolist())
            assert len(listed) == found.offsets[k + 1] - found.offsets[k]
            cell = shapely.box(x[i], y[j], x[i + 1], y[j + 1])
            touching = set(np.flatnonzero(shapely.dwithin(p.polygons, cell, 1e-10)).tolist())
            near = set(np.flatnonzero(shapely.dwithin(p.polygons, cell, 1e-2)).tolist())
            assert touching <= listed <= near


# Polygons at points, for the cross-check


def by_shapely(p: P, points: np.ndarray, distance: float) -> set[tuple[int, int]]:
    ring = np.repeat(np.arange(p.n_regions), np.diff(p.face_offsets))
    polygons = shapely.polygons(shapely.linearrings(p.vertices[p.face_vertices], indices=ring))
    near = shapely.dwithin(polygons[None, :], shapely.points(points)[:, None], distance)
    return {(int(i), int(f)) for i, f in np.argwhere(near)}


@pytest.mark.parametrize("distance", [1e-14, 1e-2])
@pytest.mark.parametrize("damage", ["none", "shifted", "clockwise", "collapsed", "far off", "bow tie"])
def test_touching_faces_are_those_of_shapely(damage: str, distance: float) -> None:
    p = gr.partition(random_network((8, 6), 1), SQUARE)
    vertices, rings = p.vertices.copy(), p.face_vertices.copy()
    largest = int(np.argmax(p.areas))
    start, stop = p.face_offsets[largest : largest + 2]
    if damage == "shifted":
        vertices[::5] += 0.3
    elif damage == "clockwise":
        rings[start:stop] = rings[start:stop][::-1]
    elif damage == "collapsed":
        rings[start:stop] = rings[start]
    elif damage == "far off":
        vertices[3] = [1e6, -1e5]
    elif damage == "bow tie":
        rings[start + 1], rings[start + 2] = rings[start + 2], rings[start + 1]
    broken = dataclasses.replace(p, vertices=vertices, face_vertices=rings)
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(-1, 1, (SMALL // 2, 2)), p.vertices, p.vertices[p.edges].mean(axis=1)])
    i, f = touching_faces(broken, points, distance)
    pairs = list(zip(i.tolist(), f.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    assert set(pairs) == by_shapely(broken, points, distance)
