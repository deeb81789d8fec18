"""Shapes, averages, steepness and creases of the regions, against rational arithmetic and other libraries."""

from __future__ import annotations

import sys
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import combinations, pairwise, permutations
from typing import Any

import numpy as np
import pytest
import shapely
from scipy.integrate import dblquad

import geomrelu as gr
from geomrelu.analysis.shapes import inradii, n_sides, perimeters
from geomrelu.errors import InputError, MissingDependencyError, RangeError, ShapeError
from tests.misuse import assert_raises
from tests.networks import SQUARE, Case, degenerate_cases, random_cases, random_network, scaled
from tests.oracles.fraction_enumerator import Cell, enumerate_regions
from tests.test_engine_pools import pool

OTHER = {"triangle 1e-15", "slabs 1e-12", "through two corners", "zero on a middle face", "triangular domain"}
CASES = [case for k, case in enumerate(degenerate_cases()) if k % 7 == 0 or case.name in OTHER]
CASES += random_cases()[::5] + [Case("two outputs", random_network((6, 4), 7, n_outputs=2))]
Exact = Fraction


def matched(case: Case) -> tuple[Any, list[Cell]]:
    """The partition, and the enumerator's cells in the order of its faces."""
    p = gr.partition(case.network, case.domain)
    cells = enumerate_regions(case.network, case.domain.vertices).by_pattern
    return p, [cells[tuple(int(b) for b in bits)] for bits in p.patterns.unpack()]


def corners_of(cell: Cell) -> list[tuple[Exact, Exact]]:
    """Corners without those in the middle of a side."""
    ring = list(cell.polygon)
    around = zip([ring[-1], *ring[:-1]], ring, [*ring[1:], ring[0]], strict=True)
    return [v for u, v, w in around if (v[0] - u[0]) * (w[1] - v[1]) != (v[1] - u[1]) * (w[0] - v[0])]


def triangles(cell: Cell) -> list[tuple[Exact, list[tuple[Exact, Exact]]]]:
    """Areas and corners of a fan."""
    first, *others = cell.polygon
    found = []
    for a, b in pairwise(others):
        doubled = (a[0] - first[0]) * (b[1] - first[1]) - (a[1] - first[1]) * (b[0] - first[0])
        found.append((doubled / 2, [first, a, b]))
    return found


def value(row: Any, x: tuple[Exact, Exact]) -> Exact:
    return row[0] * x[0] + row[1] * x[1] + row[2]


def product_integral(cell: Cell, f: Any, g: Any) -> Exact:
    """Of two affine functions, by the midpoints of the sides of triangles: exact for squares."""
    total = Exact(0)
    for area, (a, b, c) in triangles(cell):
        middles = [((u[0] + v[0]) / 2, (u[1] + v[1]) / 2) for u, v in ((a, b), (b, c), (c, a))]
        total += area * sum((value(f, m) * value(g, m) for m in middles), Exact(0)) / 3
    return total


@pytest.mark.parametrize("case", CASES, ids=str)
def test_against_fractions(case: Case) -> None:
    p, cells = matched(case)
    n = case.network.n_outputs
    one = (Exact(0), Exact(0), Exact(1))
    domain_area = sum((cell.area for cell in cells), Exact(0))
    assert n_sides(p).tolist() == [len(corners_of(cell)) for cell in cells]

    integrals = [sum((product_integral(c, c.map[k], one) for c in cells), Exact(0)) for k in range(n)]
    sizes = [sum((abs(product_integral(c, c.map[k], one)) for c in cells), Exact(0)) for k in range(n)]
    for k in range(n):
        assert abs(Exact(p.integral()[k]) - integrals[k]) <= Exact(1, 10**12) * sizes[k]
        assert abs(Exact(p.mean()[k]) - integrals[k] / domain_area) <= Exact(1, 10**12) * sizes[k] / domain_area
    for i in range(n):
        for j in range(n):
            exact = sum((product_integral(c, c.map[i], c.map[j]) for c in cells), Exact(0))
            scale = max(float(sum((product_integral(c, c.map[k], c.map[k]) for c in cells), Exact(0))) for k in (i, j))
            assert p.integral(products=True)[i, j] == pytest.approx(float(exact), abs=1e-11 * scale, rel=1e-11)
            central = exact / domain_area - integrals[i] * integrals[j] / domain_area**2
            slack = 1e-12 * scale / float(domain_area)
            assert p.covariance()[i, j] == pytest.approx(float(central), abs=slack, rel=1e-10)
    np.testing.assert_array_equal(p.variance(), p.covariance().diagonal())

    for order in (1, 2, np.inf):
        found = p.lipschitz(order)
        squares = [operator_norm(cell, order) for cell in cells]
        assert found.region == squares.index(max(squares))
        expected = float(max(squares)) ** (0.5 if order == 2 else 1)
        assert found.constant == pytest.approx(expected, rel=1e-15)
        slopes = p.affine_maps.A
        np.testing.assert_allclose(found.per_region, [np.linalg.norm(a, order) for a in slopes], rtol=1e-12)


def operator_norm(cell: Cell, order: float) -> Any:
    """Of the gradients: of the norm 2 the square, to 60 digits."""
    x, y = [row[0] for row in cell.map], [row[1] for row in cell.map]
    if order == 1:
        return max(sum(map(abs, x)), sum(map(abs, y)))
    if order == np.inf:
        return max(abs(a) + abs(b) for a, b in zip(x, y, strict=True))
    xx, yy, xy = (sum((a * b for a, b in zip(u, v, strict=True)), Exact(0)) for u, v in ((x, x), (y, y), (x, y)))
    root = (xx - yy) ** 2 + 4 * xy * xy
    with localcontext() as context:
        context.prec = 200
        return round((Decimal((xx + yy).numerator) / (xx + yy).denominator
                      + (Decimal(root.numerator) / root.denominator).sqrt()) / 2, 100)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_creases_against_fractions(case: Case) -> None:
    p = gr.partition(case.network, case.domain)
    enumeration = enumerate_regions(case.network, case.domain.vertices)
    total, n, size = 0.0, 0, 0.0
    for edge in enumeration.edges:
        if len(edge.cells) == 2:
            f, g = (enumeration.cells[k].map for k in edge.cells)
            jump = [a[k] - b[k] for a, b in zip(f, g, strict=True) for k in (0, 1)]
            (x, y), (s, t) = ((Exact(x, w), Exact(y, w)) for x, y, w in edge.ends)
            length = np.hypot(float(s - x), float(t - y))
            n += any(jump)
            total += length * np.hypot.reduce([float(v) for v in jump])
            size += length * max(float(abs(v)) for row in (*f, *g) for v in row[:2])
    found = p.crease()
    assert found.n_creases == n
    assert found.total == pytest.approx(total, abs=1e-12 * size, rel=1e-12)
    assert found.total == pytest.approx(float(found.jumps @ found.lengths))


def test_creases_do_not_change_with_neurons_that_do_nothing() -> None:
    network = random_network((7, 5), 3)
    p = gr.partition(network, SQUARE).crease()
    first, second, out = network.layers
    extra = np.random.default_rng(0).normal(size=(3, 2))
    idle = gr.Network(
        [np.concatenate([first.weight, extra]), np.pad(second.weight, ((0, 0), (0, 3))), out.weight],
        [np.concatenate([first.bias, [0.1, 0.2, -0.3]]), second.bias, out.bias],
    )
    q = gr.partition(idle, SQUARE)
    found = q.crease()
    assert len(found.edges) > len(p.edges)
    assert found.total == pytest.approx(p.total, rel=1e-12)
    assert found.length == pytest.approx(p.length, rel=1e-12)
    assert (found.jumps == 0).any()
    # What the regions of one linear region share is no crease.
    left, right = q.edge_faces[found.edges].T
    labels = q._linear_regions.map_labels
    np.testing.assert_array_equal(found.jumps == 0, labels[left] == labels[right])


def test_whether_there_is_a_crease_is_decided_exactly() -> None:
    """Jumps that cancel but for rounding, and jumps that rounding cancels; in every order of summation."""
    noise, lost = 0, 0
    for weights in permutations([1.0, 2.0**-60, -1.0, -(2.0**-60)]):
        p = gr.partition(gr.Network([[[1, 0]] * 4, [weights]]), SQUARE)
        noise += p.affine_maps.A.any()
        assert (p.n_regions, p.crease().n_creases, p.crease().total) == (2, 0, 0.0)
    for weights in permutations([1.0, 2.0**-60, -1.0]):
        p = gr.partition(gr.Network([[[1, 0]] * 3, [weights]]), SQUARE)
        lost += not p.affine_maps.A.any()
        assert (p.crease().n_creases, p.crease().total) == (1, 2.0**-59)
    assert noise
    assert lost


# ---- shapes


def regular(n: int, size: float = 0.8, squeeze: float = 1.0) -> np.ndarray:
    at = 2 * np.pi * np.arange(n) / n + 0.1
    return size * np.stack([np.cos(at), squeeze * np.sin(at)], axis=1)


def largest_circle(ring: np.ndarray) -> float:
    """Over all triples of sides: the centre at equal distance from them that is nowhere nearer to a side."""
    steps = np.roll(ring, -1, axis=0) - ring
    normals = np.stack([-steps[:, 1], steps[:, 0]], axis=1) / np.hypot(*steps.T)[:, None]
    offsets = (normals * ring).sum(axis=1)
    best = 0.0
    for triple in combinations(range(len(ring)), 3):
        rows = list(triple)
        system = np.column_stack([normals[rows], -np.ones(3)])
        if abs(np.linalg.det(system)) < 1e-9:
            continue
        x, y, r = np.linalg.solve(system, offsets[rows])
        if r > best and (normals @ [x, y] - offsets >= r - 1e-9).all():
            best = float(r)
    return best


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7, 12])
@pytest.mark.parametrize("squeeze", [1.0, 0.3, 0.01])
def test_inscribed_circles_of_ellipses_polygons(n: int, squeeze: float) -> None:
    p = gr.partition(gr.Network([[[1.0, 0.0]]]), gr.Polygon(regular(n, squeeze=squeeze)))
    found = inradii(p)[0]
    assert found == pytest.approx(largest_circle(p.vertices[p.face_vertices]), rel=1e-9)
    if squeeze == 1.0:
        assert found == pytest.approx(0.8 * np.cos(np.pi / n), rel=1e-12)
        assert p.histogram("eccentricity").counts.sum() == 1
        assert p.table()["eccentricity"][0] == pytest.approx(0, abs=1e-6)


def test_inscribed_circles_of_regions() -> None:
    p = gr.partition(random_network((14, 10), 2), SQUARE)
    found = inradii(p)
    sides = n_sides(p)
    assert sides.max() > 5
    for f in np.argsort(-sides)[:40].tolist():
        assert found[f] == pytest.approx(largest_circle(p.vertices[p.ring(f)]), rel=1e-7)
    for f in range(0, p.n_regions, 5):
        line = shapely.maximum_inscribed_circle(p.polygons[f], tolerance=found[f] * 1e-3)
        assert found[f] * (1 - 2e-3) <= shapely.length(line) <= found[f] * (1 + 1e-9)


def test_vertices_that_rounding_puts_on_a_side() -> None:
    """Exterior angles of 0 in float64: sides that wait, with no rate, until a neighbour vanishes."""
    from geomrelu.analysis.shapes import _shrink

    ring = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [3, 0.5], [3, 1], [2, 1], [1, 1], [0, 1], [0, 0.5]], dtype=float)
    for shift in range(10):
        found = np.zeros(1)
        order = np.roll(np.arange(10), shift)
        _shrink(ring, np.array([0, 10]), order, np.empty((5, 10)), np.empty((2, 10), np.int64), found)
        assert found[0] == pytest.approx(0.5, rel=1e-12)


def test_rectangles_and_slivers() -> None:
    """Two parallel sides vanish together; a sliver's circle is as wide as its vertices' rounding lets it be."""
    wide = gr.partition(gr.Network([[[1.0, 0.0]]]), gr.Box([0, 0], [3, 1]))
    assert inradii(wide).tolist() == [0.5]
    assert wide.table()["eccentricity"][0] == pytest.approx(np.sqrt(1 - 1 / 9), rel=1e-12)
    slabs = gr.partition(gr.Network([[[1.0, 0.0]] * 3, [[1.0, 2.0, 4.0]]], [[0.0, -1e-12, -2e-12], [0.0]]), SQUARE)
    table = slabs.table()
    thin = table[table["area"] < 1e-10]
    assert len(thin) == 2
    np.testing.assert_allclose(thin["inradius"], 5e-13, rtol=1e-3)
    np.testing.assert_allclose(thin["eccentricity"], 1.0)
    assert (table["sides"] == 4).all()


def test_every_vertex_of_a_ring_is_a_corner() -> None:
    """Exact orientations: what numbers of sides rest on, poolings included."""
    random = np.random.default_rng(0)
    planes = gr.Layer(random.normal(size=(9, 2)), random.normal(size=9) / 4, 0)
    after = [gr.Layer(random.normal(size=(5, 3)), random.normal(size=5), 5), gr.Layer(np.ones((1, 5)), np.zeros(1), 0)]
    pooled = gr.Network.from_layers([planes, *pool([[0, 1, 2], [3, 4, 5], [6, 7, 8]], 9), *after])
    cases = [*degenerate_cases(), Case("pooled", pooled)]
    for case in cases:
        p = gr.partition(case.network, case.domain)
        at = [p._exact_vertices.point(v) for v in range(p.n_vertices)]
        x = [(Exact(a, w), Exact(b, w)) for a, b, w in at]
        for f in range(p.n_regions):
            ring = [x[v] for v in p.ring(f)]
            for u, v, w in zip(ring, ring[1:] + ring[:1], ring[2:] + ring[:2], strict=True):
                assert (v[0] - u[0]) * (w[1] - v[1]) > (v[1] - u[1]) * (w[0] - v[0]), case.name


def test_sides_of_a_max_pooling() -> None:
    """Three sectors of a plane, and a triangle in the middle: edges with different opponents have one neuron there."""
    planes = gr.Layer(np.array([[0, 1], [1, -1], [-1, -1], [0, 0.0]]), np.array([0, 0, 0, 0.125]), 0)
    p = gr.partition(gr.Network.from_layers([planes, *pool([[0, 1, 2, 3]], 4)]), SQUARE)
    assert sorted(p.table()["sides"]) == [3, 5, 5, 6]


def test_shapes_scale_with_the_domain() -> None:
    """By exact powers of two, also where areas' products leave float64's range."""
    network = random_network((8, 5), 4)
    plain = gr.partition(network, SQUARE).table()
    for power in (-150, 40, 200):
        size = 2.0**power
        other = gr.partition(_stretched(network, size), gr.Box(-size, size)).table()
        for column, factor in {"area": size**2, "perimeter": size, "inradius": size, "centroid_x": size}.items():
            np.testing.assert_allclose(other[column] / factor, plain[column], rtol=1e-9, err_msg=column)
        for column in ("sides", "on_border", "active", "b0"):
            np.testing.assert_array_equal(other[column], plain[column], err_msg=column)
        np.testing.assert_allclose(other["eccentricity"], plain["eccentricity"], rtol=1e-9)


def _stretched(network: gr.Network, size: float) -> gr.Network:
    first, *rest = network.layers
    return gr.Network([first.weight / size, *[v.weight for v in rest]], [v.bias for v in network.layers])


def test_table() -> None:
    network = random_network((9, 6), 1, n_outputs=2)
    p = gr.partition(network, gr.Polygon(regular(6)))
    table = p.table()
    assert table.index.name == "region"
    assert len(table) == p.n_regions
    np.testing.assert_array_equal(table["area"], p.areas)
    np.testing.assert_allclose(table["perimeter"], [polygon.length for polygon in p.polygons])
    np.testing.assert_array_equal(table["active"], p.patterns.unpack().sum(axis=1))
    border = shapely.Polygon(p.domain.vertices).exterior
    shared = shapely.length(shapely.intersection(shapely.buffer(p.polygons, 1e-9), border))
    np.testing.assert_array_equal(table["on_border"], shared > 1e-8)
    x = table[["centroid_x", "centroid_y"]].to_numpy()
    for k in range(2):
        predicted = table[f"a{k}_x"] * x[:, 0] + table[f"a{k}_y"] * x[:, 1] + table[f"b{k}"]
        np.testing.assert_allclose(predicted, network(x)[:, k], rtol=1e-9, atol=1e-12)
    for f, polygon in enumerate(p.polygons):
        corners = np.asarray(shapely.simplify(polygon, 1e-13).exterior.coords)[:-1]
        assert table["sides"][f] == len(corners)


def test_table_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    p = gr.partition(random_network((3,), 0), SQUARE)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert_raises(p.table, MissingDependencyError, ("table", "geomrelu[pandas]"))
    assert p.histogram("area").counts.sum() == p.n_regions


def test_histograms() -> None:
    p = gr.partition(random_network((20, 12), 5), SQUARE)
    table = p.table()
    for column in ("area", "inradius", "eccentricity", "a0_x"):
        found = p.histogram(column, bins=7)
        assert len(found.counts) == 7
        counts, _ = np.histogram(table[column], found.edges)
        np.testing.assert_array_equal(found.counts, counts)
        assert found.counts.sum() == p.n_regions
    area = p.histogram("area", bins=7)
    np.testing.assert_allclose(area.edges[1:] / area.edges[:-1], area.edges[1] / area.edges[0])
    sides = p.histogram("sides")
    assert dict(zip((sides.edges[:-1] + 0.5).tolist(), sides.counts.tolist(), strict=True)) == {
        float(k): int((table["sides"] == k).sum()) for k in range(table["sides"].min(), table["sides"].max() + 1)
    }
    single = gr.partition(gr.Network([[[1.0, 0.0]]]), SQUARE)
    assert single.histogram("area", bins=3).counts.sum() == 1


# ---- steepness


def test_ties_of_steepness_are_decided_exactly() -> None:
    """Slopes 1 + 2^-60 and -1 are the same in float64."""
    for tiny, right in ((2.0**-60, True), (-(2.0**-60), False), (0.0, None)):
        network = gr.Network([[[1, 0], [1, 0], [-1, 0]], [[1.0, tiny, 1.0]]])
        p = gr.partition(network, SQUARE)
        for order in (1, 2, np.inf):
            found = p.lipschitz(order)
            assert found.per_region.tolist() == [1.0, 1.0]
            on_the_right = p.centroids[found.region, 0] > 0
            assert on_the_right == right if right is not None else found.region == 0
            assert found.constant == 1.0


def test_the_larger_eigenvalue_is_compared_exactly() -> None:
    from geomrelu.analysis.lipschitz import _compare

    random = np.random.default_rng(0)
    keys = [tuple(int(v) for v in random.integers(0, 40, 2)) for _ in range(40)]
    for (s, d), (t, e) in combinations(keys, 2):
        d, e = d * d if d % 2 else d, e * e if e % 3 else e
        exact = s + d**0.5 - t - e**0.5
        expected = 0 if abs(exact) < 1e-9 else int(np.sign(exact))
        assert _compare((s, d), (t, e)) == expected
        assert _compare((t, e), (s, d)) == -expected


@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_no_pair_of_points_is_steeper_and_some_are_as_steep(order: float) -> None:
    network = random_network((10, 8), 6, n_outputs=3)
    p = gr.partition(network, SQUARE)
    found = p.lipschitz(order)
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (20_000, 2))
    y = x + random.normal(size=x.shape) * 10.0 ** random.uniform(-3, 0, (len(x), 1))
    y = np.clip(y, -1, 1)
    rise = np.linalg.norm(network(x) - network(y), order, axis=1)
    assert (rise <= found.constant * np.linalg.norm(x - y, order, axis=1) * (1 + 1e-9)).all()
    # In the region named, in the direction that its gradient stretches most.
    directions = random.normal(size=(200_000, 2))
    directions[:4] = [[1, 0], [0, 1], [1, 1], [1, -1]]
    a = p.affine_maps.A[found.region]
    stretch = np.linalg.norm(directions @ a.T, order, axis=1) / np.linalg.norm(directions, order, axis=1)
    best = directions[np.argmax(stretch)]
    centre = p.centroids[found.region]
    step = 1e-6 * best / np.linalg.norm(best, order)
    ends = network(np.array([centre, centre + step]))
    assert np.linalg.norm(ends[1] - ends[0], order) / 1e-6 == pytest.approx(found.constant, rel=1e-5)


def test_steepness_at_the_ends_of_the_range() -> None:
    plain = random_network((6, 5), 2)
    for power in (-500, 500):
        network = gr.Network(
            [*(v.weight for v in plain.hidden), plain.output.weight * 2.0**power],
            [*(v.bias for v in plain.hidden), [0.0]],
        )
        for order in (1, 2, np.inf):
            found, expected = (
                gr.partition(network, SQUARE).lipschitz(order),
                gr.partition(plain, SQUARE).lipschitz(order),
            )
            assert found.constant == expected.constant * 2.0**power
            assert found.region == expected.region
    assert gr.partition(gr.Network([[[0.0, 0.0]]], [[3.0]]), SQUARE).lipschitz().constant == 0.0
    p = gr.partition(gr.Network([[[2.0**1023, 2.0**1023]]]), SQUARE)
    assert p.lipschitz(1).constant == 2.0**1023
    assert_raises(lambda: p.lipschitz(np.inf), RangeError, ("lipschitz", "1.8e308"))


def test_scaling_a_layer_changes_nothing() -> None:
    plain = random_network((8, 6), 9)
    p, q = gr.partition(plain, SQUARE), gr.partition(scaled(plain, 2.0**30), SQUARE)
    assert p.lipschitz().constant == q.lipschitz().constant
    np.testing.assert_allclose(p.integral(products=True), q.integral(products=True), rtol=1e-12)
    assert p.crease().total == pytest.approx(q.crease().total, rel=1e-12)


# ---- averages


def test_integrals_against_quadrature() -> None:
    network = random_network((3,), 4, n_outputs=2)
    p = gr.partition(network, gr.Box([-1, 0], [1, 0.5]))

    def at(x: float, y: float) -> np.ndarray:
        return network(np.array([[x, y]]))[0]

    for k in range(2):
        expected = dblquad(lambda y, x, k=k: at(x, y)[k], -1, 1, 0, 0.5, epsabs=1e-7)[0]
        assert p.integral()[k] == pytest.approx(expected, abs=1e-6)
    expected = dblquad(lambda y, x: at(x, y)[0] * at(x, y)[1], -1, 1, 0, 0.5, epsabs=1e-6)[0]
    assert p.integral(products=True)[0, 1] == pytest.approx(expected, abs=1e-5)


def test_variance_does_not_cancel() -> None:
    """A constant of 10^9 on top: the integral of squares loses all digits of the variance."""
    p = gr.partition(gr.Network([[[3.0, 0.0]]], [[1e9]]), SQUARE)
    assert p.variance() == pytest.approx([3.0], rel=1e-12)


def test_averages_on_domains_of_extreme_size() -> None:
    network = gr.Network([[[1.0, 0.0], [0.0, 1.0]]])
    for power in (-300, -120, 120, 200):
        p = gr.partition(network, gr.Box(0, 2.0**power))
        np.testing.assert_allclose(p.mean() / 2.0**power, [0.5, 0.5], rtol=1e-12)
        if power > -300:
            np.testing.assert_allclose(p.covariance() / 2.0 ** (2 * power), np.eye(2) / 12, rtol=1e-12, atol=1e-14)
    p = gr.partition(network, gr.Box(0, 2.0**400))
    assert_raises(p.integral, RangeError, ("integral", "1.8e308"))


def test_outputs_whose_squares_leave_the_range() -> None:
    for power in (-700, 700, 1020):
        size = 2.0**power
        p = gr.partition(gr.Network([[[1.0, 0.0], [-1.0, 0.0]], [[size, -size]]]), SQUARE)
        np.testing.assert_allclose(p.integral() / size, [0.0], atol=1e-12)
        assert p.crease().total == 0.0
        p = gr.partition(gr.Network([[[1.0, 0.0]], [[size]]]), SQUARE)
        assert p.integral()[0] == pytest.approx(size)
        assert p.mean()[0] == pytest.approx(size / 4)
        assert p.crease().total == 2 * size
        if power == -700:
            assert p.variance()[0] == 0.0  # below what float64 holds
        else:
            assert_raises(p.variance, RangeError, ("covariance", "1.8e308"))
            assert_raises(lambda p=p: p.mean(products=True), RangeError, ("mean", "1.8e308"))
    # From -2^1023 to 2^1023.
    p = gr.partition(gr.Network([[[1.0, 0.0], [-1.0, 0.0]], [[2.0**1023, 2.0**1023]]]), SQUARE)
    assert_raises(p.crease, RangeError, ("crease", "1.8e308"))


# ---- density


def test_local_complexity_beside_shapely() -> None:
    p = gr.partition(random_network((16, 10), 3), SQUARE)
    random = np.random.default_rng(1)
    points = random.uniform(-1, 1, (20, 2))
    radii = 10.0 ** random.uniform(-3, 0.5, 20)
    found = p.local_complexity(points, radii)
    distances = shapely.distance(shapely.points(points)[:, None], p.polygons[None])
    np.testing.assert_array_equal(found.n_regions, (distances <= radii[:, None]).sum(axis=1))
    lines = shapely.linestrings(p.vertices[p.edges[p.edges_inner]])
    discs = shapely.buffer(shapely.points(points), radii, quad_segs=256)
    lengths = shapely.length(shapely.intersection(discs[:, None], lines[None])).sum(axis=1)
    np.testing.assert_allclose(found.crease_lengths, lengths, rtol=1e-4, atol=1e-9)
    # A disc over everything meets everything.
    everything = p.local_complexity([[0.0, 0.0]], 3.0)
    assert everything.n_regions.tolist() == [p.n_regions]
    assert everything.crease_lengths[0] == pytest.approx(p.crease().length, rel=1e-12)


def test_local_complexity_at_touching_discs() -> None:
    """Closed discs: one that reaches a region's corner or side exactly meets it; edges without a jump do not count."""
    network = gr.Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]]])
    p = gr.partition(network, SQUARE)
    found = p.local_complexity([[0.25, 0.5], [0.25, 0.5], [0.5, 0.25], [-1, -1]], [0.25, 0.2499, 0.5, 0.5])
    assert found.n_regions.tolist() == [2, 1, 3, 1]
    np.testing.assert_allclose(found.crease_lengths, [0, 0, 0, 0], atol=1e-12)
    assert p.local_complexity([[0.0, 0.5]], 0.25).crease_lengths.tolist() == [0.5]


def test_local_complexity_far_from_the_origin() -> None:
    p = gr.partition(gr.Network([[[1.0, 0.0]], [[1.0]]], [[-1e6], [0.0]]), gr.Box([1e6 - 1, 0], [1e6 + 1, 1]))
    found = p.local_complexity([[1e6 + 0.25, 0.5]], [0.5])
    assert found.n_regions.tolist() == [2]
    assert found.crease_lengths[0] == pytest.approx(2 * np.sqrt(0.5**2 - 0.25**2), rel=1e-9)


def test_bad_input() -> None:
    p = gr.partition(random_network((3,), 0), SQUARE)
    for order in (3, 0, "2", None, True, np.nan):
        assert_raises(lambda order=order: p.lipschitz(order), InputError, ("lipschitz", "1, 2 or"))
    assert_raises(lambda: p.histogram("volume"), InputError, ("histogram", "volume", "area"))
    for bins in (0, -1, 2.5, True):
        assert_raises(lambda bins=bins: p.histogram("area", bins), InputError, ("histogram", "bins"))
    assert_raises(lambda: p.local_complexity([0, 0], 1), ShapeError, ("local_complexity", "[[x, y]]"))
    assert_raises(lambda: p.local_complexity([[0, 0]], [1, 2]), ShapeError, ("local_complexity", "(1,)"))
    for radius in (0, -1, np.nan, np.inf):
        assert_raises(lambda r=radius: p.local_complexity([[0, 0]], r), InputError, ("local_complexity", "above 0"))
    assert_raises(lambda: p.local_complexity([[0, 0], [2, 0]], 1), InputError, ("point 1", "outside the domain"))
    assert_raises(lambda: p.local_complexity([[np.nan, 0]], 1), InputError, ("point 0", "outside the domain"))
    assert len(p.local_complexity(np.zeros((0, 2)), 1).n_regions) == 0


def test_perimeters_add_up() -> None:
    p = gr.partition(random_network((9, 6), 1), SQUARE)
    steps = p.vertices[p.edges[:, 1]] - p.vertices[p.edges[:, 0]]
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    assert perimeters(p).sum() == pytest.approx(2 * lengths.sum() - 8)
