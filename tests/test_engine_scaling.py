"""Axes and units of different scale: the partition is that of the unscaled network, and no dearer."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.analysis.aggregates import aggregate
from geomrelu.importers.nnet import read_nnet
from geomrelu.network import Layer
from geomrelu.planar.build import build_complex
from geomrelu.planar.cutter import Task
from geomrelu.planar.scaling import domain_exponents, scaled, unit_exponents
from tests.networks import SQUARE, fold, grid, integer_network, random_network
from tests.oracles.fraction_enumerator import enumerate_regions
from tests.soundness import assert_equals_oracle
from tests.test_blocks import assert_same, compiled_only, structure

DATA = Path(os.environ.get("GEOMRELU_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real networks at {DATA}")

NETWORKS = {
    "random": random_network((9, 7, 5), 1),
    "random float32": random_network((12, 8), 2, np.float32),
    "ternary": integer_network((6, 5, 4), 4),
    "small integers": integer_network((5, 5), 5, largest=3),
    "grid with diagonals": grid(3),
    "fold": fold(3),
}
ALL = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
# Exponents of the two axes.
SCALES = [(13, -10), (-10, 13), (40, 0), (0, -3), (2, -1), (300, -300)]


def stretched(network: gr.Network, exponents: tuple[int, int]) -> tuple[gr.Network, gr.Box]:
    """Coordinates times 2^exponents, weights over it: exact, so the same function on a stretched square."""
    first, *rest = network.layers
    weight = np.ldexp(first.weight, -np.array(exponents))
    corner = np.ldexp(1.0, np.array(exponents))
    return gr.Network.from_layers([Layer(weight, first.bias, first.n_neurons), *rest]), gr.Box(-corner, corner)


def with_units(network: gr.Network, exponents: list[list[int]]) -> gr.Network:
    """Hidden layers' units times 2^exponents, undone in the next layer: the same function."""
    layers, before = [], np.zeros(network.n_inputs, dtype=int)
    for layer, own in zip(network.layers, [*exponents, [0] * network.n_outputs], strict=True):
        after = np.array(own)
        weight = np.ldexp(layer.weight, after[:, None] - before)
        layers.append(Layer(weight, np.ldexp(layer.bias, after), layer.n_neurons))
        before = after
    return gr.Network.from_layers(layers)


def in_balls(p: Any) -> float:
    return float(p.report["signs_ball"] + p.report["signs_exact"]) / p.report["signs"]


# ------------------------------------------------------------------ the same partition


@ALL
@pytest.mark.parametrize("exponents", SCALES, ids=str)
def test_stretched_axes_leave_the_partition_as_it_is(network: gr.Network, exponents: tuple[int, int]) -> None:
    """Even its coordinates, up to the rounding that their places had before: powers of two round nothing."""
    p, q = gr.partition(network, SQUARE), gr.partition(*stretched(network, exponents))
    assert structure(p) == structure(q)
    assert (p.n_linear_regions, p.n_affine_pieces) == (q.n_linear_regions, q.n_affine_pieces)
    order, other = np.argsort(p.patterns.keys()), np.argsort(q.patterns.keys())
    np.testing.assert_allclose(np.ldexp(q.areas[other], -sum(exponents)), p.areas[order], rtol=1e-9, atol=1e-13)
    q.check()


@pytest.mark.parametrize("name", ["ternary", "fold", "random"])
@pytest.mark.parametrize("exponents", [(13, -10), (-3, 40)], ids=str)
def test_a_stretched_network_against_fractions(name: str, exponents: tuple[int, int]) -> None:
    network, domain = stretched(NETWORKS[name], exponents)
    found = enumerate_regions(network, domain.vertices)
    assert set(map(tuple, gr.partition(network, domain).patterns.unpack().astype(int).tolist())) == set(
        found.by_pattern
    )
    p = gr.partition(network, domain)
    assert (p.n_regions, p.n_vertices, p.n_edges) == (found.n_regions, found.n_vertices, found.n_edges)
    at = {pattern: index for index, pattern in enumerate(map(tuple, p.patterns.unpack().astype(int).tolist()))}
    exact = [float(found.by_pattern[pattern].area) for pattern in at]
    np.testing.assert_allclose(p.areas, exact, rtol=1e-9)
    p.check(level="exact")


def test_coordinates_of_a_degenerate_network_against_fractions() -> None:
    """Integers on a wide rectangle: corners to the oracle's tolerance, which knows no axes."""
    network, domain = stretched(NETWORKS["ternary"], (7, 0))
    assert_equals_oracle(gr.partition(network, domain), enumerate_regions(network, domain.vertices))


@ALL
@pytest.mark.parametrize("exponents", [(13, -10), (300, -300)], ids=str)
def test_coordinates_are_within_their_errors(network: gr.Network, exponents: tuple[int, int]) -> None:
    """Each axis in its own scale, as near as on the square; the bound is that of the longer axis."""
    p, (stretch, domain) = gr.partition(network, SQUARE), stretched(network, exponents)
    q = gr.partition(stretch, domain)
    a = np.array(sorted(map(tuple, p.vertices.round(9).tolist())))
    b = np.array(sorted(map(tuple, np.ldexp(q.vertices, -np.array(exponents)).round(9).tolist())))
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-9)
    assert (q.vertex_errors <= 2.0**-16 * np.ptp(domain.vertices, axis=0).max()).all()
    assert (q.vertex_errors[(q.vertex_lines < 0).all(axis=1)] == 0).sum() >= 4
    q.check(level="exact")


@pytest.mark.parametrize("caution", [1e6, np.inf])
@pytest.mark.parametrize("balls", [True, False])
def test_the_stages_agree(caution: float, balls: bool) -> None:
    network, domain = stretched(random_network((6, 5), 3), (13, -10))
    p = build_complex(network, domain, caution=caution, balls=balls)
    assert structure(p) == structure(gr.partition(network, domain))


def test_a_slanted_polygon() -> None:
    network, _ = stretched(NETWORKS["random"], (13, -10))
    corners = np.array([[-1, -1], [0.5, -0.75], [1, 0.25], [0, 1], [-0.75, 0.5]])
    p = gr.partition(NETWORKS["random"], gr.Polygon(corners))
    q = gr.partition(network, gr.Polygon(np.ldexp(corners, [13, -10])))
    assert structure(p) == structure(q)
    q.check(level="exact")


# ------------------------------------------------------------------ units


@ALL
def test_units_of_different_scale(network: gr.Network) -> None:
    rng = np.random.default_rng(0)
    exponents = [rng.integers(-30, 30, width).tolist() for width in network.widths]
    p, q = gr.partition(network, SQUARE), gr.partition(with_units(network, exponents), SQUARE)
    assert structure(p) == structure(q)


def test_units_that_nothing_reads_and_units_that_are_zero() -> None:
    weights = [np.array([[1e9, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, -0.5]]), np.array([[0.0, 1e9, 1.0, -1.0]] * 2)]
    network = gr.Network([*weights, np.ones((1, 2))], [[0.0, 0.0, 0.25, 0.0], [0.125, -0.25], [0.0]])
    found = enumerate_regions(network, SQUARE.vertices)
    p = gr.partition(network, SQUARE)
    assert (p.n_regions, p.n_vertices, p.n_edges) == (found.n_regions, found.n_vertices, found.n_edges)
    exponents = domain_exponents(network, SQUARE.vertices)
    assert exponents[1][0] > 10
    assert exponents[1][1] < -10


def test_what_is_balanced_stays_as_it_is() -> None:
    network = random_network((50, 50, 50), 1)
    task = Task(network, SQUARE)
    assert task.network is network
    assert task.scaled.corners is not None
    assert not any(own.any() for own in task.scaled.exponents)


def test_scaling_is_exact() -> None:
    """The scaled network's function at scaled points, in fractions; and the units are balanced."""
    network, domain = stretched(integer_network((4, 3), 2, largest=3), (13, -10))
    network = with_units(network, [[20, -5, 0, 7], [0, 3, -9]])
    found = scaled(network, domain.vertices, domain_exponents(network, domain.vertices))
    assert found.network is not network
    np.testing.assert_array_equal(np.ldexp(found.corners, found.exponents[0]), domain.vertices)
    points = [(Fraction(3, 7), Fraction(-1, 3)), (Fraction(-1, 5), Fraction(5, 8))]
    for u in points:
        given = [c * Fraction(2) ** e for c, e in zip(u, (13, -10), strict=True)]
        own = [c / Fraction(2) ** int(e) for c, e in zip(given, found.exponents[0], strict=True)]
        assert value(network, given) == value(found.network, own)


def value(network: gr.Network, point: list[Fraction]) -> list[Fraction]:
    h = point
    for layer in network.layers:
        h = [
            sum((Fraction(w) * x for w, x in zip(row, h, strict=True)), Fraction(b))
            for row, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        ]
        h = [max(x, Fraction(0)) if k < layer.n_neurons else x for k, x in enumerate(h)]
    return h


def test_sparse_layers_are_scaled_alike() -> None:
    from scipy.sparse import csr_array

    network = with_units(random_network((6, 5), 3), [[20, -20, 0, 30, -5, 7], [0, 9, -9, 3, 1]])
    sparse = gr.Network.from_layers([Layer(csr_array(v.weight), v.bias, v.n_neurons) for v in network.layers])
    own, other = (scaled(f, SQUARE.vertices, domain_exponents(f, SQUARE.vertices)) for f in (network, sparse))
    assert own.exponents[1].any()
    for a, b in zip(own.network.layers, other.network.layers, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight.toarray())
        np.testing.assert_array_equal(a.bias, b.bias)


# ------------------------------------------------------------------ what float64 does not hold


@pytest.mark.parametrize(
    ("low", "high", "first"),
    [
        ([-1e300, -1.0], [1e300, 1.0], [[1e-300, 1.0], [-1e-300, 0.5], [2e-300, -1.0]]),
        ([-1e-300, -1.0], [1e-300, 1.0], [[1e300, 1.0], [-1e300, 0.5], [1.5e300, -1.0]]),
        ([-1e300, -1e-300], [1e300, 1e-300], [[1e-300, 1e300], [-1e-300, 5e299], [2e-300, -1e300]]),
        # Weights that lose bits, or leave the range, when they are scaled.
        ([-1e-300, -1.0], [1e-300, 1.0], [[1e300, 1.0], [3e-320, 0.5], [1.5e-310, -1.0]]),
        ([-1e300, -1e300], [1e300, 1e300], [[1e300, 1.0], [1.0, 1e-300], [1e-300, -1.0]]),
        # A domain whose corners lose bits.
        ([-1e300, 3e-320], [1e300, 1.0], [[1e-300, 1.0], [-1e-300, 0.5], [2e-300, -1.0]]),
        ([-5e-324, -1.0], [1e-323, 1.0], [[1e300, 1.0], [-1e300, 0.5], [1.5e300, -1.0]]),
    ],
    ids=["long", "short", "both", "weights underflow", "weights overflow", "corners underflow", "subnormal axis"],
)
def test_extreme_axes(low: list[float], high: list[float], first: list[list[float]]) -> None:
    network = gr.Network(
        [first, [[1.0, -1.0, 0.5], [0.5, 1.0, -2.0]], [[1.0, 1.0]]], [[0.25, 0.1, -0.3], [0.1, 0.2], [0]]
    )
    domain = gr.Box(low, high)
    found = enumerate_regions(network, domain.vertices)
    p = gr.partition(network, domain)
    assert set(map(tuple, p.patterns.unpack().astype(int).tolist())) == set(found.by_pattern)
    assert (p.n_regions, p.n_vertices, p.n_edges) == (found.n_regions, found.n_vertices, found.n_edges)


@pytest.mark.parametrize("entry", [3e-320, 1e308])
def test_nothing_is_scaled_where_that_is_not_exact(entry: float) -> None:
    network = gr.Network([[[1e-4, 1e3], [entry, -1e3]], [[1.0, 1.0]]])
    corners = gr.Box([0, 0], [1e4, 1e-3]).vertices
    found = scaled(network, corners, [np.array([14, -9]), *unit_exponents(network, np.ones(2))[1:]])
    if entry < 1:
        found = scaled(network, corners, [np.array([-9, 14]), *unit_exponents(network, np.ones(2))[1:]])
    assert found.network is network
    assert found.corners is corners
    assert not any(own.any() for own in found.exponents)


def test_a_small_weight_is_scaled_if_that_is_exact() -> None:
    network = gr.Network([[[2.0**-1070, 1.0], [1.0, -1.0]], [[1.0, 1.0]]])
    found = scaled(network, SQUARE.vertices, [np.array([-4, 0]), np.zeros(2, dtype=int)])
    assert found.network.layers[0].weight[0, 0] == 2.0**-1074


# ------------------------------------------------------------------ runs of every kind


def test_saved_and_loaded(tmp_path: Path) -> None:
    network, domain = stretched(NETWORKS["random"], (13, -10))
    p = gr.partition(network, domain)
    p.save(tmp_path / "p.npz")
    q = gr.load(tmp_path / "p.npz")
    assert_same(p, q)
    q.check(level="exact")


def test_blocks_and_streams() -> None:
    network, domain = stretched(random_network((10, 8, 6), 5), (13, -10))
    p = gr.partition(network, domain)
    q = build_complex(network, domain, block_values=200)
    assert structure(p) == structure(q)
    found = aggregate(network, domain, ["regions", "area"], block_values=200)
    assert found["regions"] == p.n_regions
    assert found["area"]["total"] == pytest.approx(domain.area)


@compiled_only
def test_workers_and_journals(tmp_path: Path) -> None:
    network, domain = stretched(random_network((10, 8, 6), 5), (13, -10))
    p = build_complex(network, domain, block_values=200)
    assert_same(p, build_complex(network, domain, block_values=200, n_jobs=2))
    for _ in range(2):
        assert_same(p, build_complex(network, domain, block_values=200, resume=tmp_path / "run.journal"))


def test_another_process_scales_alike() -> None:
    """Sums may be rounded otherwise there: exponents travel with the task."""
    network, domain = stretched(NETWORKS["random"], (13, -10))
    task = Task(network, domain, exponents=[np.array([5, 1]), *unit_exponents(network, np.ones(2))[1:]])
    other = pickle.loads(pickle.dumps(task))
    assert other.scaled.exponents[0].tolist() == [5, 1]
    np.testing.assert_array_equal(other.network.layers[0].weight, task.network.layers[0].weight)


# ------------------------------------------------------------------ segments, and more dimensions


def with_inputs(network: gr.Network, exponents: list[int]) -> gr.Network:
    """Inputs times 2^exponents, first weights over it."""
    first, *rest = network.layers
    return gr.Network.from_layers(
        [Layer(np.ldexp(first.weight, -np.array(exponents)), first.bias, first.n_neurons), *rest]
    )


@pytest.mark.parametrize("exponents", [[13, -10, 0, 5, -3, 1], [300, -300, 0, 0, 1, 2]], ids=str)
def test_segments_through_inputs_of_different_scale(exponents: list[int]) -> None:
    network = random_network((32, 32, 32), 1, n_inputs=6)
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, 12, 6))
    p = gr.partition(network, gr.Segments(a, b))
    q = gr.partition(with_inputs(network, exponents), gr.Segments(np.ldexp(a, exponents), np.ldexp(b, exponents)))
    np.testing.assert_array_equal(p.offsets, q.offsets)
    np.testing.assert_array_equal(p.patterns.words, q.patterns.words)
    np.testing.assert_allclose(q.breakpoints, p.breakpoints, rtol=0, atol=1e-9)
    np.testing.assert_allclose(q.values, p.values, rtol=1e-9, atol=1e-9)
    assert q.report["signs_exact"] <= p.report["signs_exact"]
    assert q.report["breakpoints_exact"] <= p.report["breakpoints_exact"]
    q.check(level="exact")


@pytest.mark.parametrize("low", [3e-320, 1e300])
def test_segments_that_cannot_be_scaled(low: float) -> None:
    network = gr.Network([[[1e-4, 1e3], [1e-5, -1e3], [1e-4, 2e3]], np.ones((1, 3))], [[0.5, 0.25, -1.0], [0.0]])
    p = gr.partition(network, gr.Segment([low, -1e-3], [1e4, 1e-3]))
    p.check(level="exact")
    assert len(p.patterns) == (4 if low < 1 else 2)


@pytest.mark.parametrize("exponents", [[13, 0, -13], [0, 40, 0], [-300, 0, 200]], ids=str)
@pytest.mark.parametrize("name", ["random", "degenerate"])
def test_three_dimensions_of_different_scale(name: str, exponents: list[int]) -> None:
    network = (random_network if name == "random" else integer_network)((7, 5), 3, n_inputs=3)
    corner = np.ldexp(1.0, exponents)
    p, q = (
        gr.partition(network, gr.Box([-1] * 3, [1] * 3)),
        gr.partition(with_inputs(network, exponents), gr.Box(-corner, corner)),
    )
    assert (p.n_regions, p.n_facets, p.n_edges, p.n_vertices) == (q.n_regions, q.n_facets, q.n_edges, q.n_vertices)
    order, other = (np.argsort(r.patterns.keys()) for r in (p, q))
    np.testing.assert_array_equal(p.patterns.keys()[order], q.patterns.keys()[other])
    np.testing.assert_allclose(np.ldexp(q.volumes[other], -sum(exponents)), p.volumes[order], rtol=1e-8, atol=1e-13)
    if p.report["generic"]:
        assert q.report["signs_exact"] <= p.report["signs_exact"]
    q.check()


def test_a_polytope_of_different_scale() -> None:
    network, exponents = random_network((6, 5), 3, n_inputs=3), np.array([13, 0, -13])
    rows, limits = np.array([[-1, 0, 0], [0, -1, 0], [0, 0, -1], [1, 1, 1.0]]), np.array([0, 0, 0, 1.0])
    p = gr.partition(network, gr.Polytope(rows, limits))
    q = gr.partition(with_inputs(network, exponents.tolist()), gr.Polytope(np.ldexp(rows, -exponents), limits))
    assert (p.n_regions, p.n_vertices) == (q.n_regions, q.n_vertices)
    assert set(p.patterns.keys().tolist()) == set(q.patterns.keys().tolist())
    np.testing.assert_allclose(q.volumes.sum(), p.volumes.sum(), rtol=1e-9)
    q.check()


# ------------------------------------------------------------------ how dear


@compiled_only
@pytest.mark.parametrize("exponents", [(13, -10), (-10, 13)], ids=str)
def test_stretched_axes_leave_no_more_signs_in_doubt(exponents: tuple[int, int]) -> None:
    network = random_network((64, 64, 64), 3)
    p, q = gr.partition(network, SQUARE), gr.partition(*stretched(network, exponents))
    assert q.n_regions == p.n_regions > 5000
    assert in_balls(q) <= in_balls(p) + 1e-4


@compiled_only
@needs_data
@pytest.mark.parametrize("name", ["1_1", "2_3", "4_2"])
def test_acas_xu_in_feet_and_radians(name: str) -> None:
    """As many regions as in normalised coordinates, whose shift is rounded, and as few signs in doubt."""
    nnet = read_nnet(DATA / "acasxu" / f"ACASXU_run2a_{name}_batch_2000.nnet")
    start = np.array([0.0, -np.pi, -np.pi, 150.0, 150.0])
    end = start.copy()
    end[:2] = np.hypot(10_000, 6_000), np.pi
    start, end = (np.clip(x, nnet.low, nnet.high) for x in (start, end))
    place = gr.Slice.axes(0, 1, at=start, domain=gr.Box(start[:2], end[:2]))
    p = gr.partition(replace(nnet, normalise=True).network(), place)
    start, end = ((x - nnet.input_means) / nnet.input_ranges for x in (start, end))
    q = gr.partition(nnet.network(), gr.Slice.axes(0, 1, at=start, domain=gr.Box(start[:2], end[:2])))
    assert p.n_regions == q.n_regions
    assert in_balls(p) < 2e-3
    p.check()
