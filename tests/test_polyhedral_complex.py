"""The n-D partition's answers, its domains and limits, and bad input."""

from __future__ import annotations

import itertools
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import geomrelu as gr
from geomrelu.errors import (
    DomainError,
    FileFormatError,
    InputDimensionError,
    InputError,
    InvariantError,
    OutputPathError,
    RangeError,
    TooLargeError,
    UnsupportedLayerError,
)
from geomrelu.polyhedral import limits
from geomrelu.polyhedral.complex import PolyhedralComplex
from tests.networks import integer_network, random_network
from tests.oracles.fraction_polytopes import enumerate_cells

CUBE = gr.Box([-1.0] * 3, [1.0] * 3)
F = random_network((9, 7), 3, n_inputs=3, n_outputs=2)
P: PolyhedralComplex = gr.partition(F, CUBE)  # type: ignore[assignment]
DEGENERATE = integer_network((5, 4), 1, 2, n_inputs=3)
Q: PolyhedralComplex = gr.partition(DEGENERATE, CUBE)  # type: ignore[assignment]


def evaluated(network: gr.Network, point: list[Fraction]) -> tuple[int, ...]:
    """Pattern at a point, by a forward pass in fractions."""
    h, bits = point, []
    for layer in network.hidden:
        u = [
            sum((Fraction(w) * v for w, v in zip(row, h, strict=True)), Fraction(b))
            for row, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        ]
        bits += [int(v > 0) for v in u]
        h = [max(v, Fraction(0)) for v in u]
    return tuple(bits)


@pytest.mark.parametrize("p", [P, Q], ids=["generic", "degenerate"])
def test_points_are_located_by_their_patterns(p: PolyhedralComplex) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (200, 3))
    bits = p.patterns.unpack().astype(int)
    for point, region in zip(x, p.locate(x).tolist(), strict=True):
        assert tuple(bits[region].tolist()) == evaluated(p.network, [Fraction(v) for v in point.tolist()])
    np.testing.assert_allclose(p(x), p.network(x), atol=1e-12)
    assert np.array_equal(p.locate(p.interior_points), np.arange(p.n_regions))


def test_points_on_borders_and_outside() -> None:
    f = gr.Network([[[1.0, 0, 0], [0, 1, 0]], [[1.0, 1]]])
    p = gr.partition(f, CUBE)
    bits = p.patterns.unpack()[p.locate([[0.0, 0.0, 0.5], [0.5, 0.0, 1.0], [-1.0, 0.5, 0.0]])]
    assert bits.tolist() == [[False, False], [True, False], [False, True]]
    outside = [[1.5, 0, 0], [0, 0, np.nextafter(1, 2)], [np.nan, 0, 0], [np.inf, 0, 0]]
    assert p.locate(outside).tolist() == [-1] * 4
    assert np.isnan(p(outside)).all()
    # Active and inactive copies: no region has this point's pattern, which is all zeros.
    g = gr.Network([[[1.0, 0, 0], [-1.0, 0, 0]], [[1.0, 1]]])
    assert gr.partition(g, CUBE).locate([[0.0, 0.5, 0.5]]).tolist() == [0]


@pytest.mark.parametrize("p", [P, Q], ids=["generic", "degenerate"])
def test_halfspaces_are_the_regions_and_none_is_redundant(p: PolyhedralComplex) -> None:
    assert p.facet_neuron.max() < p.network.n_neurons
    for r in range(0, p.n_regions, max(1, p.n_regions // 12)):
        A, b, neuron = p.halfspaces(r)
        own = p.vertices[p.region_vertices[p.region_offsets[r] : p.region_offsets[r + 1]]]
        room = b - own @ A.T
        scale = np.abs(A).max(axis=1)
        assert (room > -1e-12 * scale).all()
        assert ((np.abs(room) < 1e-12 * scale).sum(axis=0) >= 3).all(), "each facet has three vertices at least"
        assert (b - A @ p.interior_points[r] > 0).all()
        assert len(set(neuron.tolist())) == len(neuron)
        for k in range(len(b)):
            others = np.delete(A, k, axis=0), np.delete(b, k)
            farther = linprog(-A[k], *others, bounds=[(None, None)] * 3)
            assert farther.fun is None or -farther.fun > b[k] + 1e-9 * scale[k], "redundant"
        beside = p.neighbors(r).tolist()
        assert len(beside) == (neuron >= 0).sum() == len(set(beside))


def test_dual_graph() -> None:
    graph = P.dual_graph()
    assert (graph != graph.T).nnz == 0
    assert set(graph[[5]].nonzero()[1].tolist()) == set(P.neighbors(5).tolist())
    bits = P.patterns.unpack()
    rows, columns = graph.nonzero()
    # Generic: neighbours differ in one neuron.
    assert (bits[rows] ^ bits[columns]).sum(axis=1).tolist() == [1] * len(rows)
    pytest.importorskip("networkx")
    named = P.dual_graph("networkx")
    assert named.number_of_edges() == graph.nnz // 2
    a, b, data = next(iter(named.edges(data=True)))
    assert bits[a, data["neuron"]] != bits[b, data["neuron"]]
    with pytest.raises(InputError, match="'foo'"):
        P.dual_graph("foo")


def test_maps_have_the_networks_values_at_all_vertices() -> None:
    owner = np.repeat(np.arange(P.n_regions), np.diff(P.region_offsets))
    x = P.vertices[P.region_vertices]
    values = np.einsum("koi,ki->ko", P.affine_maps.A[owner], x) + P.affine_maps.b[owner]
    np.testing.assert_allclose(values, F(x), atol=1e-12)


def test_report() -> None:
    assert P.report["generic"]
    assert P.report["layers"][-1] == {"vertices": P.n_vertices, "edges": P.n_edges}
    assert not Q.report["generic"]
    assert Q.report["signs_zero"] > 0
    assert not P.report["partial"]
    assert P.report["neurons"] == F.n_neurons


@pytest.mark.parametrize("p", [P, Q], ids=["generic", "degenerate"])
def test_check_passes_and_sees_damage(p: PolyhedralComplex) -> None:
    p.check()
    words = p.patterns.words.copy()
    words[0, 0] ^= np.uint64(1)
    damaged = pickle.loads(pickle.dumps(p))
    vars(damaged)["patterns"] = gr.Patterns(words, p.network.widths)
    with pytest.raises(InvariantError):
        damaged.check()
    damaged = pickle.loads(pickle.dumps(p))
    vars(damaged)["vertices"] = p.vertices + 0.1
    with pytest.raises(InvariantError):
        damaged.check()
    damaged = pickle.loads(pickle.dumps(p))
    vars(damaged)["volumes"] = p.volumes * 1.001
    with pytest.raises(InvariantError, match="volumes"):
        damaged.check()
    damaged = pickle.loads(pickle.dumps(p))
    vars(damaged)["facet_regions"] = p.facet_regions[:, ::-1]
    with pytest.raises(InvariantError):
        damaged.check()


# ---------------------------------------------------------------------- polytopes


OCTAHEDRON = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
SIMPLEX = np.vstack([-np.eye(3), np.ones((1, 3))])
PYRAMID = np.array([[1.0, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1], [0, 0, -1]])
POLYTOPES = {
    "octahedron": (OCTAHEDRON, np.ones(8), [s * np.eye(3)[i] for i in range(3) for s in (1, -1)]),
    "simplex": (SIMPLEX, np.array([0.0, 0, 0, 1]), [np.zeros(3), *np.eye(3)]),
    "pyramid": (PYRAMID, np.array([1.0, 1, 1, 1, 0]), [[0, 0, 1], *([x, y, 0] for x in (-1, 1) for y in (-1, 1))]),
    "redundant rows": (
        np.vstack([SIMPLEX, SIMPLEX[3:] * 2, [[1.0, 1, 1], [0, 0, -3], [1, 0, 0]]]),
        np.array([0.0, 0, 0, 1, 2, 5, 0, 1]),
        [np.zeros(3), *np.eye(3)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "network", [random_network((4, 3), 1, n_inputs=3), integer_network((4, 3), 2, n_inputs=3, bias=False)], ids=str
)
@pytest.mark.parametrize("name", POLYTOPES)
def test_polytopes(name: str, network: gr.Network) -> None:
    A, b, corners = POLYTOPES[name]
    p = gr.partition(network, gr.Polytope(A, b))
    p.check()
    constraints = [[*map(Fraction, (-row).tolist()), Fraction(limit)] for row, limit in zip(A, b.tolist(), strict=True)]
    found = enumerate_cells(network, constraints, corners)
    bits = [tuple(row.astype(int).tolist()) for row in p.patterns.unpack()]
    assert set(bits) == set(found.by_pattern)
    assert (p.n_regions, p.n_vertices, p.n_edges) == (len(found.cells), len(found.vertices), len(found.edges))
    np.testing.assert_allclose(p.volumes, [float(found.by_pattern[k].volume) for k in bits], rtol=1e-9)
    V, E, M, R = p.cell_counts
    assert V - E + M - R == 1


def test_a_polygon_as_a_polytope_has_the_planar_partition() -> None:
    f = random_network((8, 6), 2)
    p = gr.partition(f, gr.Polytope([[-1, 0], [0, -1], [1, 2]], [0, 0, 1]))
    q = gr.partition(f, gr.Polygon([[0, 0], [1, 0], [0, 0.5]]))
    assert (p.n_regions, p.n_vertices, p.n_edges) == (q.n_regions, q.n_vertices, q.n_edges)
    areas = dict(zip(q.patterns.keys().tolist(), q.areas.tolist(), strict=True))
    np.testing.assert_allclose(p.volumes, [areas[k] for k in p.patterns.keys().tolist()], rtol=1e-9)


def test_polytope_contains_is_exact() -> None:
    simplex = gr.Polytope(SIMPLEX, [0, 0, 0, 1])
    third = np.array([0.3, 0.3, 0.4])
    points = [third + [0, 0, k * 2.0**-54] for k in range(-3, 4)]
    expected = [sum(Fraction(v) for v in point.tolist()) <= 1 for point in points]
    assert len(set(expected)) == 2
    more = [[0, 0, 1], [0, 0, np.nextafter(1, 2)], [-1e-300, 0, 0], [np.nan, 0, 0]]
    assert simplex.contains([*points, *more]).tolist() == [*expected, True, False, False, False]


ONES = np.ones((1, 3))
TETRAHEDRON: PolyhedralComplex = gr.partition(DEGENERATE, gr.Polytope(SIMPLEX, [0, 0, 0, 1]))
BAD_POLYTOPES: dict[str, tuple[Any, Any, str]] = {
    "unbounded": ([[1, 0, 0], [-1, 0, 0]], [1, 1], "unbounded along axis 1"),
    "half-space": (ONES, [1], "unbounded"),
    "no rows that count": (np.zeros((1, 3)), [1], "unbounded"),
    "empty": (np.vstack([np.eye(3), -np.eye(3)]), [1, 1, 1, 1, 1, -2], "no point"),
    "flat": (np.vstack([np.eye(3), -np.eye(3)]), [1, 1, 1, 1, 1, -1], "no inside"),
    "a point": (np.vstack([np.eye(3), -np.eye(3), ONES]), [1, 1, 1, 0, 0, 0, 0], "no inside"),
    "hardly empty": (np.vstack([np.eye(3), -np.eye(3)]), [1, 1, 1, 1, 1, -1 - 1e-12], "no inside"),
    "contradiction": (np.zeros((1, 3)), [-1], "0 x <= b"),
    "NaN": (np.full((1, 3), np.nan), [1], "nan"),
    "infinite limit": (np.vstack([np.eye(3), -np.eye(3)]), [1, 1, 1, 1, 1, np.inf], "inf"),
    "shapes": (np.eye(3), [1, 1], "shape"),
    "a vector": ([1.0, 2.0], [1], "shape"),
    "nothing": (np.zeros((0, 3)), [], "shape"),
    "strings": ([["a", "b"]], [1], "Polytope A"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_POLYTOPES)
def test_bad_polytopes(name: str) -> None:
    A, b, message = BAD_POLYTOPES[name]
    with pytest.raises(DomainError, match=message):
        gr.partition(gr.Network([ONES, [[1.0]]]), gr.Polytope(A, b))


def test_a_very_thin_polytope_is_no_empty_one() -> None:
    A = np.vstack([np.eye(3), -np.eye(3)])
    p = gr.partition(gr.Network([ONES, [[1.0]]]), gr.Polytope(A, [1, 1, 1 + 1e-12, 1, 1, -1]))
    assert p.n_regions == 2
    assert p.volumes.sum() == pytest.approx(4 * (Fraction(1 + 1e-12) - 1), rel=1e-3)


# ---------------------------------------------------------------------- limits and bad input


@pytest.mark.parametrize("most", [1, 7, 50, P.n_regions - 1, P.n_regions])
def test_max_regions(most: int) -> None:
    p = gr.partition(F, CUBE, max_regions=most)
    assert p.n_regions <= most
    assert p.report["partial"] == (most < P.n_regions)
    assert p.report["neurons"] == p.network.n_neurons
    p.check()
    bits = P.patterns.unpack()[:, : p.report["neurons"]]
    assert len(np.unique(bits, axis=0)) == p.n_regions
    if p.report["partial"]:
        following = P.patterns.unpack()[:, : p.report["neurons"] + 1]
        assert len(np.unique(following, axis=0)) > most, "it stopped too early"


def test_regions_are_counted() -> None:
    assert gr.count_regions(F, CUBE) == P.n_regions
    assert gr.count_regions(DEGENERATE, gr.Polytope(SIMPLEX, [0, 0, 0, 1])) == TETRAHEDRON.n_regions


def test_max_memory() -> None:
    p = gr.partition(F, CUBE, max_memory=P.report["bytes"] / 4)
    assert p.report["partial"]
    assert 1 < p.n_regions < P.n_regions
    assert p.report["bytes"] <= P.report["bytes"] / 4
    p.check()


def test_memory_that_runs_out_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_LARGE", 10_000)
    free = iter([1e9, 1e9, 1e9, 1e9])
    monkeypatch.setattr(limits, "_free_memory", lambda: next(free, 1e4))
    with pytest.raises(TooLargeError, match=r"after \d+ of 16 neurons.*max_regions="):
        gr.partition(F, CUBE)
    monkeypatch.setattr(limits, "_free_memory", lambda: None)
    assert gr.partition(F, CUBE).n_regions == P.n_regions


def test_too_large_is_told_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_free_memory", lambda: 2.0**34)
    f = random_network((64, 64), 0, n_inputs=8)
    with pytest.raises(TooLargeError, match=r"expected after layer 1.*max_memory="):
        gr.partition(f, gr.Box([-1.0] * 8, [1.0] * 8))
    p = gr.partition(f, gr.Box([-1.0] * 8, [1.0] * 8), max_regions=300)
    assert 100 < p.n_regions <= 300


POOLED = gr.Network.from_layers(
    [
        gr.Layer(np.ones((1, 3)), np.zeros(1), 1, np.array([[0, 1]])),
        gr.Layer(np.ones((1, 1)), np.zeros(1), 1),
        gr.Layer(np.ones((1, 1)), np.zeros(1), 0),
    ]
)
WIDE = random_network((2,), 0, n_inputs=20)
BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: gr.partition(F, gr.Box([-1] * 4, [1] * 4)), InputDimensionError, "takes 3 inputs.*dimension 4"),
    (lambda: gr.partition(F, gr.Polytope([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])), InputDimensionError, "dimension 2"),
    (lambda: gr.partition(F, gr.Box(-1, 1)), InputDimensionError, "3 inputs"),
    (lambda: gr.partition(WIDE, gr.Box([-1] * 20, [1] * 20)), InputDimensionError, "at most"),
    (lambda: gr.partition(F, CUBE, max_regions=0), InputError, "max_regions=0"),
    (lambda: gr.partition(F, CUBE, max_memory="1G"), InputError, "max_memory='1G'"),
    (lambda: gr.partition(F, CUBE, max_regions=True), InputError, "max_regions=True"),
    (lambda: gr.partition(F, gr.Box([-1e-110] * 3, [1e-110] * 3)), DomainError, r"2\^-1093"),
    (lambda: gr.partition(F, gr.Box([-1e300] * 3, [1e300] * 3)), DomainError, "scale the inputs"),
    (lambda: gr.partition(F, CUBE, resume="journal"), InputError, "resume works in the plane"),
    (lambda: gr.count_regions(F, CUBE, resume="journal"), InputError, "resume works in the plane"),
    (lambda: gr.partition(random_network((2,), 0), gr.Box(-1, 1), max_regions=5), InputError, "plane"),
    (lambda: gr.partition(POOLED, CUBE), UnsupportedLayerError, "pooling"),
    (lambda: gr.aggregate(F, gr.Polytope(SIMPLEX, [0, 0, 0, 1]), ["regions"]), InputError, "count_regions"),
    (lambda: gr.partition(F, gr.Box(-1, 1)), InputDimensionError, r"gr.Box\(\[-1\] \* 3"),
    (lambda: gr.partition(random_network((3,), 0), CUBE), InputDimensionError, "dimension 3, expected 2"),
    (lambda: gr.partition(gr.Network([ONES * 1e200, [[1e200]], [[1.0]]]), CUBE), RangeError, "scale the weights"),
    (lambda: P.locate([[0.0, 0.0]]), InputDimensionError, r"\(N, 3\)"),
    (lambda: P([0.0, 0.0, 0.0]), InputDimensionError, r"\(N, 3\)"),
    (lambda: P.halfspaces(P.n_regions), InputError, "0 to"),
    (lambda: P.neighbors(-1), InputError, "0 to"),
    (lambda: P.region_facets(True), InputError, "0 to"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_input(number: int) -> None:
    call, kind, message = BAD[number]
    with pytest.raises(kind, match=message):
        call()


def test_an_interruption_goes_through_and_leaves_nothing_behind() -> None:
    def stop(message: str, fraction: float) -> None:
        if fraction > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gr.partition(F, CUBE, progress=stop)
    said: list[float] = []
    assert gr.partition(F, CUBE, progress=lambda _, fraction: said.append(fraction)).n_regions == P.n_regions
    assert said == sorted(said)
    assert said[-1] == 1.0


@pytest.mark.parametrize("exponent", [-250, -60, 60, 250])
def test_scale_does_not_matter(exponent: int) -> None:
    """Inputs times a power of two: the same regions, volumes times its cube."""
    scale = 2.0**exponent
    first, *rest = F.layers
    g = gr.Network([first.weight / scale, *[v.weight for v in rest]], [v.bias for v in F.layers])
    p: Any = gr.partition(g, gr.Box([-scale] * 3, [scale] * 3))
    assert p.patterns == P.patterns
    np.testing.assert_allclose(p.volumes / scale / scale / scale, P.volumes, rtol=1e-9)
    p.check()


def test_arrays_are_read_only() -> None:
    for name in ("vertices", "edges", "region_vertices", "facet_regions", "volumes"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(P, name)[0] = 0
    with pytest.raises(AttributeError, match="read-only"):
        P.report = {}  # type: ignore[misc]


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("p", [P, Q, TETRAHEDRON], ids=["generic", "degenerate", "polytope"])
def test_files_hold_the_same_partition(p: PolyhedralComplex, tmp_path: Path) -> None:
    p.save(tmp_path / "p.npz")
    q: Any = gr.load(tmp_path / "p.npz")
    assert repr(q) == repr(p)
    assert q.domain == p.domain
    assert q.patterns == p.patterns
    assert q.report == p.report
    for name in ("vertices", "vertex_errors", "edges", "region_vertices", "facet_regions", "facet_neuron", "volumes"):
        assert np.array_equal(getattr(q, name), getattr(p, name)), name
    q.check()
    assert q.cell_counts == p.cell_counts
    x = p.interior_points
    assert np.array_equal(q.locate(x), np.arange(p.n_regions))


DAMAGE: dict[str, Any] = {
    "simple_ends": lambda a: a + 1000,
    "simple_lowest": lambda a: a - 1,
    "simple_rising": lambda a: a + 1,
    "simple_positive": lambda a: a | np.uint64(1 << 63),
    "simple_negative": lambda a: a[:-1],
    "simple_patterns": lambda a: a ^ np.uint64(1 << 40),
    "null": lambda a: a[:, :-1],
    "coordinates": lambda a: np.where(a == a.max(), np.nan, a),
    "errors": lambda a: -a - 1,
    "weight_0": lambda a: a[:, :2],
    "domain_box": lambda a: a[::-1],
    "report": lambda a: np.array("{"),
    "version": lambda a: np.array(99),
    "limit_region_vertices": lambda a: a + 10**6,
    "limit_facet_regions": lambda a: a[:, :1],
    "limit_region_offsets": lambda a: a[::-1],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_are_told(name: str, tmp_path: Path) -> None:
    Q.save(tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as archive:
        content = {key: archive[key] for key in archive.files}
    for changed in ({**content, name: DAMAGE[name](content[name])}, {k: v for k, v in content.items() if k != name}):
        np.savez(tmp_path / "q.npz", **changed)
        with pytest.raises(FileFormatError):
            gr.load(tmp_path / "q.npz")


def test_files_of_another_kind(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(FileFormatError, match="not a saved partition"):
        gr.load(tmp_path / "x.npz")
    with pytest.raises(OutputPathError, match=r"\.json"):
        P.save(tmp_path / "p.json")
