"""What theorems say of arrangements and folds, and what the planar engine says of plane sections."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.planar.build import build_complex
from geomrelu.polyhedral.build import build_polyhedral
from geomrelu.polyhedral.complex import PolyhedralComplex
from tests.networks import fold, integer_network, random_network


def one_layer(rows: np.ndarray, offsets: np.ndarray) -> gr.Network:
    return gr.Network([rows, np.ones((1, len(rows)))], [offsets, [0.0]])


@pytest.mark.parametrize(("n", "d"), [(12, 1), (9, 3), (9, 4), (8, 5), (8, 6), (9, 8)])
def test_hyperplanes_in_general_position(n: int, d: int) -> None:
    """Buck 1943: sum over i <= d of C(n, i) regions, and so many cells of each dimension inside."""
    rng = np.random.default_rng(n + d)
    p = gr.partition(one_layer(rng.normal(size=(n, d)), rng.normal(size=n)), gr.Box([-1e4] * d, [1e4] * d))
    assert p.n_regions == sum(comb(n, i) for i in range(d + 1))
    # Vertices that are on no facet of the box.
    inner = (np.abs(p.vertices) < 1e4).all(axis=1)
    assert inner.sum() == comb(n, d)


@pytest.mark.parametrize(("n", "d"), [(5, 3), (7, 3), (6, 4)])
def test_hyperplanes_through_the_origin(n: int, d: int) -> None:
    """Schlaefli: 2 times the sum over i < d of C(n - 1, i), all with the origin."""
    p = gr.partition(
        one_layer(np.random.default_rng(n).normal(size=(n, d)), np.zeros(n)), gr.Box([-1.0] * d, [1.0] * d)
    )
    assert p.n_regions == 2 * sum(comb(n - 1, i) for i in range(d))
    origin = np.flatnonzero((np.abs(p.vertices) < 1e-12).all(axis=1))
    assert len(origin) == 1
    assert (np.add.reduceat(p.region_vertices == origin[0], p.region_offsets[:-1]) == 1).all()


@pytest.mark.parametrize(("k", "d"), [(3, 3), (2, 4), (1, 6)])
def test_grids(k: int, d: int) -> None:
    rows = np.repeat(np.eye(d), k, axis=0)
    offsets = np.tile(-(np.arange(k) + 1.0) / (k + 1), d)
    p = gr.partition(one_layer(rows, offsets), gr.Box([0.0] * d, [1.0] * d))
    assert p.n_regions == (k + 1) ** d
    assert p.n_vertices == (k + 2) ** d
    assert p.n_edges == d * (k + 1) * (k + 2) ** (d - 1)
    np.testing.assert_allclose(p.volumes, 1 / (k + 1) ** d, rtol=1e-12)


@pytest.mark.parametrize("depth", [1, 2])
def test_folds(depth: int) -> None:
    """Each axis folded `depth` times: 8^depth cubes, with planes along facets of the box."""
    p = gr.partition(fold(depth, n_inputs=3), gr.Box([0.0] * 3, [1.0] * 3))
    assert p.cell_counts == (
        (2**depth + 1) ** 3,
        3 * 2**depth * (2**depth + 1) ** 2,
        3 * 4**depth * (2**depth + 1),
        8**depth,
    )
    np.testing.assert_allclose(p.volumes, 8.0**-depth, rtol=1e-12)


@pytest.mark.parametrize(
    "network", [random_network((9, 7), 1, n_inputs=3), integer_network((4, 4), 1, n_inputs=3)], ids=str
)
def test_eulers_relation(network: gr.Network) -> None:
    p = gr.partition(network, gr.Box([-1.0] * 3, [1.0] * 3))
    vertices, edges, facets, regions = p.n_vertices, p.n_edges, len(p.facet_regions), len(p.patterns)
    assert vertices - edges + facets - regions == 1


def test_volumes_sum_to_the_domains() -> None:
    for d, widths in ((3, (12, 10)), (4, (8, 6)), (5, (8, 6)), (6, (7, 4))):
        p = gr.partition(random_network(widths, d, n_inputs=d), gr.Box([-1.0] * d, np.arange(1.0, d + 1)))
        assert abs(p.volumes.sum() / p.domain.area - 1) < 1e-12
        assert p.volumes.min() > 0


def test_permuting_inputs_permutes_the_result() -> None:
    f = random_network((7, 6), 3, n_inputs=4)
    order = np.array([2, 0, 3, 1])
    first, *rest = f.layers
    g = gr.Network([first.weight[:, order], *[v.weight for v in rest]], [v.bias for v in f.layers])
    low, high = np.array([-1.0, -2.0, -0.5, -1.5]), np.array([1.0, 0.5, 1.0, 2.0])
    p, q = gr.partition(f, gr.Box(low, high)), gr.partition(g, gr.Box(low[order], high[order]))
    place = {key.tobytes(): r for r, key in enumerate(q.patterns.keys())}
    to = np.array([place[key.tobytes()] for key in p.patterns.keys()])  # noqa: SIM118
    assert len(set(to.tolist())) == p.n_regions == q.n_regions
    np.testing.assert_allclose(q.volumes[to], p.volumes, rtol=1e-9, atol=1e-18)
    assert (p.n_vertices, p.n_edges, p.n_facets) == (q.n_vertices, q.n_edges, q.n_facets)
    np.testing.assert_allclose(q.affine_maps.A[to][:, :, np.argsort(order)], p.affine_maps.A, atol=1e-13)


def plane_areas(p: PolyhedralComplex, origin: np.ndarray, basis: np.ndarray) -> dict[bytes, float]:
    """Areas of the regions' sections with the square origin + basis [-1, 1]^2, by clipping with their half-spaces."""
    found = {}
    for r, key in enumerate(p.patterns.keys()):
        A, b, _ = p.halfspaces(r)
        ring = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        for row, limit in zip(A @ basis, b - A @ origin, strict=True):
            room = limit - ring @ row
            following, after = np.roll(ring, -1, axis=0), np.roll(room, -1)
            points = []
            for k in range(len(ring)):
                if room[k] >= 0:
                    points.append(ring[k])
                if room[k] * after[k] < 0:
                    points.append(ring[k] + room[k] / (room[k] - after[k]) * (following[k] - ring[k]))
            ring, _ = np.array(points).reshape(-1, 2), None
            if len(ring) < 3:
                break
        if len(ring) >= 3:
            x, y = ring.T
            area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2
            if area > 1e-12:
                found[key.tobytes()] = float(area)
    return found


@pytest.mark.parametrize(("widths", "d"), [((8, 6), 3), ((6, 5), 4), ((5, 4), 5)])
def test_plane_sections_are_the_planar_engines(widths: tuple[int, ...], d: int) -> None:
    f = random_network(widths, 4, n_inputs=d)
    p = gr.partition(f, gr.Box([-1.0] * d, [1.0] * d))
    rng = np.random.default_rng(d)
    for _ in range(8):
        origin, basis = rng.uniform(-0.3, 0.3, d), rng.uniform(-0.35, 0.35, (d, 2))
        section = gr.Network.from_layers([gr.Layer(basis, origin, 0), *f.layers])
        q = build_complex(section, gr.Box(-1, 1))
        planar = {key.tobytes(): area for key, area in zip(q.patterns.keys(), q.areas.tolist(), strict=True)}
        found = plane_areas(p, origin, basis)
        # Faces too small for a float area may be missing from the clipped ones.
        assert found.keys() <= planar.keys()
        assert all(planar[key] < 1e-11 for key in planar.keys() - found.keys())
        assert all(abs(planar[key] - area) < 1e-12 for key, area in found.items())


def test_bounds_do_not_change_the_complex_of_a_larger_network() -> None:
    f = random_network((14, 12), 5, n_inputs=3)
    p = build_polyhedral(f, gr.Box([-1.0] * 3, [1.0] * 3))
    for caution in (1e4, 1e8):
        q = build_polyhedral(f, gr.Box([-1.0] * 3, [1.0] * 3), caution=caution)
        assert q.patterns == p.patterns
        assert np.array_equal(q.edges, p.edges)
    assert q.report["signs_renewed"] > p.report["signs_renewed"]
