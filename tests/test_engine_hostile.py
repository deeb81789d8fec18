"""Hostile inputs against the rational oracle: counts, neighbours, areas, patterns and maps, all of them exact.

The comparison knows no scale of its own: areas and maps are held to their exact values
relative to those, or to what cancels in them.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.affine import affine_map_errors
from geomrelu.errors import DomainError, RangeError
from tests.networks import (
    SQUARE,
    UNIT,
    Case,
    fold,
    grid,
    integer_network,
    lines,
    random_network,
    slabs,
    triangle,
)
from tests.oracles.fraction_enumerator import Enumeration, enumerate_regions
from tests.soundness import INTERPRETED

EXAMPLES = 15 if INTERPRETED else 60
compiled_only = pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")


def compare(network: gr.Network, domain: gr.Box | gr.Polygon = SQUARE) -> Any:
    """The partition, after it was found equal to the oracle's, and proved by the audit."""
    p = gr.partition(network, domain)
    found = enumerate_regions(network, domain.vertices.tolist())
    assert_same_structure(p, found)
    p.check()
    p.check(level="exact")
    assert (p.n_linear_regions, p.n_affine_pieces) == (found.n_linear_regions, found.n_affine_pieces)
    keys = [tuple(row) for row in p.patterns.unpack().astype(int).tolist()]
    assert_maps(p, [found.by_pattern[key].map for key in keys])
    assert_areas(p, [found.by_pattern[key].area for key in keys])
    return p


def assert_same_structure(p: Any, found: Enumeration) -> None:
    keys = [tuple(row) for row in p.patterns.unpack().astype(int).tolist()]
    assert (p.n_regions, p.n_vertices, p.n_edges) == (found.n_regions, found.n_vertices, found.n_edges)
    assert set(keys) == set(found.by_pattern)
    names = [*keys, None]
    got = Counter(frozenset({names[i], names[j]}) for i, j in p.edge_faces.tolist())
    patterns = [cell.pattern for cell in found.cells]
    assert got == Counter(
        frozenset([*(patterns[i] for i in edge.cells), *[None] * (2 - len(edge.cells))]) for edge in found.edges
    )


def assert_maps(p: Any, exact: list[Any]) -> None:
    """Each entry within its stated bound, or equal to the rounded exact value; a typed error if there is none."""
    if any(abs(v) >= 2**1024 for rows in exact for row in rows for v in row):
        with pytest.raises(RangeError, match="2\\^1024"):
            _ = p.affine_maps
        return
    maps, errors = p.affine_maps, affine_map_errors(p.network, p.patterns)
    got = np.concatenate([maps.A, maps.b[:, :, None]], axis=2)
    bound = np.concatenate([errors.A, errors.b[:, :, None]], axis=2)
    assert np.isfinite(got).all()
    for f, rows in enumerate(exact):
        for o, row in enumerate(rows):
            for i, value in enumerate(row):
                if got[f, o, i] != float(value):
                    assert abs(Fraction(got[f, o, i].item()) - value) <= Fraction(bound[f, o, i].item())


def assert_areas(p: Any, exact: list[Fraction]) -> None:
    """Each within 1e-5 of itself, thin slivers and all; the sum may leave float64's range."""
    if max(exact) >= 2**1024:
        with pytest.raises(RangeError, match="area"):
            _ = p.areas
        return
    for f, area in enumerate(exact):
        assert abs(Fraction(p.areas[f].item()) - area) <= Fraction(1, 10**5) * area + Fraction(1, 10**300)


def without_bias(widths: tuple[int, ...], seed: int) -> gr.Network:
    return gr.Network([v.weight for v in random_network(widths, seed, np.float32).layers])


def with_weights(network: gr.Network, factors: list[float]) -> gr.Network:
    """Each layer's weights times a factor, biases times all factors so far where they have a float."""
    weights, biases, total = [], [], 1.0
    for layer, factor in zip(network.layers, factors, strict=True):
        total = float(np.clip(total * factor, 0, 1e300))
        weights.append(layer.weight * factor)
        biases.append(np.clip(layer.bias * total, -1e300, 1e300))
    return gr.Network(weights, biases)


# ------------------------------------------------------------------------ bias-free, integers


@compiled_only
@pytest.mark.parametrize("widths", [(16, 16), (32, 32, 32)], ids=str)
def test_bias_free(widths: tuple[int, ...]) -> None:
    """All zero sets are rays from the origin, where all of them meet."""
    for network in (without_bias(widths, 1), integer_network(widths, 2, largest=2, bias=False)):
        p = compare(network)
        at_origin = np.flatnonzero(np.abs(p.vertices).max(axis=1) < 1e-12)
        assert len(at_origin) == 1
        assert (p.face_vertices == at_origin[0]).sum() == p.n_regions
        assert not p.report["generic"]


@pytest.mark.parametrize("largest", [1, 2, 5])
@pytest.mark.parametrize("widths", [(9,), (6, 6), (5, 4, 4), (3, 3, 3, 3)], ids=str)
def test_integer_weights(widths: tuple[int, ...], largest: int) -> None:
    for seed in range(10, 12):
        compare(integer_network(widths, seed, largest))


@compiled_only
def test_larger_ternary() -> None:
    compare(integer_network((20, 20), 1))
    compare(integer_network((12, 12, 12), 1))


# ------------------------------------------------------------------------ repeated neurons


@pytest.mark.parametrize("factor", [1.0, -1.0, 2.0, 3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neurons_repeated_in_every_layer(factor: float, dtype: type) -> None:
    """float32 weights times 3 are exact in float64; float64 ones are not, and then no longer coincide."""
    network = random_network((5, 4), 3, dtype)
    weights, biases = [v.weight for v in network.layers], [v.bias for v in network.layers]
    for k in range(2):
        weights[k], biases[k] = np.vstack([weights[k], factor * weights[k]]), np.r_[biases[k], factor * biases[k]]
        weights[k + 1] = np.hstack([weights[k + 1], 0.75 * weights[k + 1]])
    p = compare(gr.Network(weights, biases))
    if factor != 3.0 or dtype is np.float32:
        bits = p.patterns.unpack()
        np.testing.assert_array_equal(bits[:, :5] == bits[:, 5:10], factor > 0)


@pytest.mark.parametrize("factor", [1.0, -1.0, 2.0, 3.0, -0.1])
def test_a_deeper_layer_repeats_the_first(factor: float) -> None:
    first = random_network((4,), 5, np.float32).layers[0]
    pair = np.vstack([first.weight, -first.weight]), np.r_[first.bias, -first.bias]
    again = factor * np.hstack([np.eye(4), -np.eye(4)])
    mixed = np.vstack([again, np.ones((1, 8)) / 3])
    compare(gr.Network([pair[0], mixed, np.arange(1.0, 6)[None]], [pair[1], np.r_[np.zeros(4), -0.3], [0.0]]))


def test_all_neurons_of_all_layers_alike() -> None:
    compare(gr.Network([np.ones((4, 2)), np.ones((4, 4)), np.ones((3, 4)), np.ones((1, 3))]))
    compare(gr.Network([np.ones((4, 2)), -np.ones((4, 4)), np.ones((3, 4)), np.ones((1, 3))]))


# ------------------------------------------------------------------------ concurrent and on corners


@pytest.mark.parametrize("at", [(0, 0), (0.25, -0.375), (1 / 3, 0.1), (-1, 1), (1, 0.5)], ids=str)
@pytest.mark.parametrize("n", [5, 12])
def test_concurrent_lines(at: tuple[float, float], n: int) -> None:
    """Offsets are rounded products, so the lines meet in the point exactly for dyadic points only."""
    rng = np.random.default_rng(n)
    ab = rng.integers(-9, 10, (n, 2))
    compare(lines(np.column_stack([ab, -(ab @ at)])))


def test_concurrent_in_a_rounded_point_across_layers() -> None:
    first = np.array([[3.0, 0.0, -1.0], [0.0, 10.0, -1.0]])
    second = [[1, -1, 0.0], [1, 1, 0.0], [1 / 3, 0.1, 0.0], [0.1, -1 / 3, 0.0]]
    table = np.array(second)
    compare(gr.Network([first[:, :2], table[:, :2], np.ones((1, 4))], [first[:, 2], table[:, 2], [0.0]]))


def test_grid_of_seven_with_diagonals() -> None:
    assert compare(grid(7)).n_regions == compare(grid(7), gr.Box(-1, 1)).n_regions
    compare(grid(7), gr.Box(-0.375, 0.375))


@pytest.mark.parametrize("box", [gr.Box(-1, 1), gr.Box([0.1, 0.2], [0.3, 0.7])], ids=str)
def test_lines_through_corners_and_along_the_border(box: gr.Box) -> None:
    x0, y0, x1, y1 = box.bounds
    table = [[1, 0, -x0], [-1, 0, x0], [1, 0, -x1], [0, 1, -y0], [0, -2, 2 * y1]]
    table += [[y1 - y0, x0 - x1, x1 * y0 - x0 * y1], [1, 1, -(x0 + y1)], [1, 3, -(x1 + 3 * y1)], [2, -1, y0 - 2 * x0]]
    compare(lines(table), box)
    # The same lines again in a second layer, through folds of the first.
    first = np.array(table[:6])
    second = np.vstack([np.eye(6)[:3], [[1, -1, 0, 1, 0, -1]]])
    compare(gr.Network([first[:, :2], second, np.ones((1, 4))], [first[:, 2], np.zeros(4), [0]]), box)


# ------------------------------------------------------------------------ dead, zero on faces, fold


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_a_dead_layer(dead: int) -> None:
    network = random_network((5, 4, 4), 2)
    biases = [v.bias for v in network.layers]
    biases[dead] = biases[dead] - 100.0
    p = compare(gr.Network([v.weight for v in network.layers], biases))
    first = sum(network.widths[:dead])
    assert not p.patterns.unpack()[:, first : first + network.widths[dead]].any()


@pytest.mark.parametrize("seed", range(4))
def test_neurons_that_are_zero_on_whole_faces(seed: int) -> None:
    """A second layer without biases and with few inputs each is zero where those are dead."""
    rng = np.random.default_rng(seed)
    second = rng.integers(-1, 2, (5, 5)) * (rng.uniform(size=(5, 5)) < 0.4)
    network = random_network((5,), seed, np.float32)
    third = rng.integers(-1, 2, (3, 5))
    compare(gr.Network([network.layers[0].weight, second, third, np.ones((1, 3))],
                       [network.layers[0].bias, np.zeros(5), np.zeros(3), [0.0]]))  # fmt: skip


@compiled_only
def test_fold_of_depth_six() -> None:
    p = gr.partition(fold(6), UNIT)
    assert (p.n_regions, p.n_affine_pieces) == (4**6, 4 * (2**6 - 1))
    p.check(level="exact")
    np.testing.assert_array_equal(p.areas, 4.0**-6)


# ------------------------------------------------------------------------ small and thin


@pytest.mark.parametrize("size", [1e-6, 1e-9, 1e-15, 1e-100])
@pytest.mark.parametrize("at", [(0.0, 0.0), (0.1, 0.3)], ids=str)
def test_small_triangles(size: float, at: tuple[float, float]) -> None:
    network = triangle(size, *at)
    p = compare(network)
    if at == (0.0, 0.0):
        # Coordinates are good to 1e-16 of the domain's size, so the area may have no digit; the count is exact.
        assert p.n_regions == 7


@pytest.mark.parametrize("size", [1e-6, 1e-9, 1e-15, 1e-100])
def test_a_small_triangle_in_a_second_layer(size: float) -> None:
    """x and y come through the first layer, which is cut by its own lines elsewhere."""
    first = gr.Network([[[1, 0], [0, 1], [-1, 0], [0, -1], [1, 1]], np.ones((1, 5))], [[0, 0, 0, 0, -0.7], [0]]).layers
    second = np.array([[1, 0, -1, 0, 0], [0, 1, 0, -1, 0], [1, 1, -1, -1, 0]], dtype=float)
    compare(gr.Network([first[0].weight, second, [[1.0, 2, 3]]], [first[0].bias, [-0.25, -0.5, -0.75 - size], [0.0]]))


@pytest.mark.parametrize("x", [0.0, 0.3, -1.0])
def test_thin_slabs(x: float) -> None:
    width = 1e-12
    compare(slabs(width)) if x == 0 else compare(lines([[1, 0, -x - k * width] for k in range(5)]))
    crossed = [[1, 0, -x - k * width] for k in range(4)] + [[1, 1e-12, -x], [0.3, 1, 0.1], [1, -1e-13, -x - 1e-12]]
    compare(lines(crossed))


@pytest.mark.parametrize("half", [1e-200, 1e-100, 1e-5, 1e5, 1e100])
def test_boxes_of_all_sizes(half: float) -> None:
    network = random_network((6, 5), 3, np.float32)
    compare(network, gr.Box(-half, half))
    near = gr.Network([v.weight for v in network.layers], [v.bias * half for v in network.layers])
    assert compare(near, gr.Box(-half, half)).n_regions > 20


@pytest.mark.parametrize("exponent", [0, -500, -512, -520, -540, -800])
def test_nearly_concurrent_lines_in_a_tiny_box(exponent: int) -> None:
    """Found by a reviewer's fuzzer: radii that underflowed to zero left no order in doubt, and gave 7 regions."""
    weight = [
        [-0.9999997615814209, 1.0000004768371582],
        [-1.0000004768371582, 0.9999995231628418],
        [-1.000000238418579, 0.9999995231628418],
    ]
    bias = np.ldexp([0.2499999850988388, 0.2500000596046448, 0.2500000149011612], exponent)
    network = gr.Network([weight, np.ones((1, 3))], [bias, [0]])
    half = 2.0**exponent
    assert compare(network, gr.Box(-half, half)).n_regions == 6


def test_nearly_parallel_lines_in_a_tiny_box() -> None:
    """From the same fuzzer: no arrangement had the signs that were decided."""
    weight = [[0.999999999, -1e-9], [1, -1.999999999], [1.000000001, -1.999999999]]
    bias = [1e-261, 1.0000000000010002e-249, 1.0000000000010002e-249]
    network = gr.Network([weight, np.ones((1, 3))], [bias, [0]])
    assert compare(network, gr.Box(-1e-249, 1e-249)).n_regions == 7


@compiled_only
@pytest.mark.parametrize("exponent", [-540, -700])
def test_many_nearly_concurrent_lines_in_tiny_boxes(exponent: int) -> None:
    random = np.random.default_rng(0)
    half = 2.0**exponent
    for _ in range(40):
        weight = np.array([1.0, -1.0]) * random.choice([1, -1], size=(4, 1)) + random.integers(-4, 5, (4, 2)) * 2.0**-22
        bias = np.ldexp(0.25 + random.integers(-4, 5, 4) * 2.0**-26, exponent)
        compare(gr.Network([weight, np.ones((1, 4))], [bias, [0]]), gr.Box(-half, half))


def test_centroids_of_a_tiny_box_are_inside() -> None:
    """Areas times coordinates underflowed, and centroids became corners."""
    compare(gr.Network([[[2.0000003, -2e-6]], [[1.0]]], [[1.2e-131], [0]]), gr.Box(-1e-122, 1e-122))


@pytest.mark.parametrize("half", [5e307, 9e307, 1.7e308])
def test_a_domain_too_large_for_differences(half: float) -> None:
    with pytest.raises(DomainError, match="scale the domain down"):
        gr.Box(-half, half)
    with pytest.raises(DomainError, match="scale the domain down"):
        gr.Polygon([[0, 0], [half, 0], [0, half]])


def test_the_largest_domain() -> None:
    network = gr.Network([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[-3e307, 2e307, 1e307], [0]])
    p = gr.partition(network, gr.Box(-4e307, 4e307))
    assert p.n_regions == 7
    p.check()
    p.check(level="exact")


def test_a_box_whose_area_is_too_large() -> None:
    network = random_network((6, 5), 3)
    network = gr.Network([v.weight for v in network.layers], [v.bias * 1e160 for v in network.layers])
    p = compare(network, gr.Box(-1e160, 1e160))
    assert p.n_regions > 20
    assert (np.abs(p.centroids) < 1e160).all()
    for wanted in ("areas", "domain"):
        with pytest.raises(RangeError, match="area"):
            _ = p.areas if wanted == "areas" else p.domain.area
    with pytest.raises(OverflowError):
        _ = gr.Polygon(p.domain.vertices).area
    flat = compare(network, gr.Box([-1e160, -1e-150], [1e160, 1e-150]))
    np.testing.assert_allclose(flat.areas.sum(), 4e10, rtol=1e-9)


# ------------------------------------------------------------------------ extreme weights


SCALES = [1e-310, 1e-150, 1e-30, 1e30, 1e150, 1e300]


@pytest.mark.parametrize("factor", SCALES)
@pytest.mark.parametrize("widths", [(6,), (6, 5), (4, 4, 4)], ids=str)
def test_weights_around(factor: float, widths: tuple[int, ...]) -> None:
    network = random_network(widths, 1)
    for factors in ([factor] * (len(widths) + 1), [factor] + [1.0] * len(widths)):
        p = compare(with_weights(network, factors))
        assert p.n_regions > 5


@pytest.mark.parametrize("seed", range(8))
def test_layers_of_unlike_scales(seed: int) -> None:
    """Products that underflow in between and come back, and that overflow in between and come back."""
    rng = np.random.default_rng(seed)
    widths = [(5, 4), (4, 4, 4), (3, 3, 3, 3)][seed % 3]
    factors = (10.0 ** rng.uniform(-300, 300, len(widths) + 1)).tolist()
    network = random_network(widths, seed)
    compare(with_weights(network, factors))
    # Biases unrelated to the weights' scale: one of the two rounds away, but not in exact arithmetic.
    compare(gr.Network([v.weight * s for v, s in zip(network.layers, factors, strict=True)],
                       [v.bias for v in network.layers]))  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_neurons_of_unlike_scales(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network((6, 5, 3), seed)
    rows = [10.0 ** rng.uniform(-150, 150, (v.n_units, 1)) for v in network.layers]
    columns = [np.ones((1, 2)), *(1 / r.T for r in rows[:-1])]
    compare(gr.Network([v.weight * r * c for v, r, c in zip(network.layers, rows, columns, strict=True)],
                       [v.bias * r[:, 0] for v, r in zip(network.layers, rows, strict=True)]))  # fmt: skip


@pytest.mark.parametrize("exponent", [-1074, -1073, -1060, -1022])
def test_subnormal_weights(exponent: int) -> None:
    unit = 2.0**exponent
    table = np.random.default_rng(1).integers(-7, 8, (6, 3)) * unit
    p = compare(lines(table))
    assert p.n_regions == gr.partition(lines(table / 2.0**-1000), SQUARE).n_regions
    network = integer_network((4, 4), 3, largest=3)
    compare(gr.Network([network.layers[0].weight * unit, *(v.weight for v in network.layers[1:])],
                       [network.layers[0].bias * unit, *(v.bias * 0 for v in network.layers[1:])]))  # fmt: skip


def test_underflow_is_not_taken_for_zero() -> None:
    """1e-200 x 1e-200 x 1e300 = 1e-100, which no order of float64 products from the output on can tell from 0."""
    chain = gr.Network([[[1e300, 0.0]], [[1e-200]], [[1e-200]], [[1.0]]], [[0.0], [0.0], [-5e-101], [0.0]])
    p = compare(chain)
    np.testing.assert_allclose(sorted(p.vertices[:, 0])[2:4], [0.0, 0.0], atol=0)
    assert p.n_regions == 3
    active = p.patterns.unpack().all(axis=1)
    np.testing.assert_allclose(p.affine_maps.A[active], [[[1e-100, 0.0]]], rtol=1e-15)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        # From the input on 1e-400 on the way; from the output on nothing.
        ((1e-200, 1e-200, 1e300, 1e200), 1e100),
        # From the output on 1e-400; from the input on nothing.
        ((1e300, 1e-200, 1e-200, 1.0), 1e-100),
        # Both ways: integers.
        ((1e-200, 1e-200, 1e300, 1e300, 1e-200, 1e-200), 1e-200),
    ],
)
def test_underflow_in_maps_of_several_outputs(entries: tuple[float, ...], expected: float) -> None:
    first, *inner, last = entries
    weights = [[[first, 0.0]], *([[v]] for v in inner), [[last], [-last]]]
    p = gr.partition(gr.Network(weights), SQUARE)
    active = p.patterns.unpack().all(axis=1)
    np.testing.assert_allclose(p.affine_maps.A[active], [[[expected, 0.0], [-expected, 0.0]]], rtol=1e-14)


def test_maps_too_large_for_floats_say_so() -> None:
    p = compare(with_weights(random_network((4, 3), 1), [1e150, 1e150, 1e150]))
    with pytest.raises(RangeError, match="affine_maps: output 0"):
        _ = p.affine_maps
    with pytest.raises(RangeError):
        p([[0.5, 0.5]])
    assert p.locate([[0.5, 0.5]])[0] >= 0


# ------------------------------------------------------------------------ drawn

small = st.integers(-2, 2)
factors_drawn = st.sampled_from([1.0, -1.0, 2.0, 3.0, -3.0, 0.5])
scales_drawn = st.sampled_from([1.0, 2.0**-40, 2.0**40, 1e-30, 1e30, 1e150, 1e-150, 1e-310])


@st.composite
def hostile_networks(draw: st.DrawFn) -> gr.Network:
    """Small integers; then neurons repeated with a factor, killed, or moved through a common point; then scaled."""
    widths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    sizes = [2, *widths, 1]
    weights, biases = [], []
    for m, n in pairwise(sizes):
        weights.append(np.array(draw(st.lists(st.lists(small, min_size=m, max_size=m), min_size=n, max_size=n)), float))
        biases.append(np.array(draw(st.lists(small, min_size=n, max_size=n)), float))
    if draw(st.booleans()):
        at = draw(st.sampled_from([(0.0, 0.0), (0.25, -0.5), (1 / 3, 0.1), (1.0, 1.0)]))
        biases[0] = -(weights[0] @ at)
    for k in range(len(widths)):
        repeats = draw(st.lists(st.tuples(st.integers(0, widths[k] - 1), factors_drawn), max_size=2))
        for j, factor in repeats:
            weights[k] = np.vstack([weights[k], factor * weights[k][j]])
            biases[k] = np.r_[biases[k], factor * biases[k][j]]
            weights[k + 1] = np.hstack([weights[k + 1], weights[k + 1][:, j : j + 1]])
        if draw(st.integers(0, 7)) == 0:
            biases[k] = biases[k] - 100.0
        if draw(st.integers(0, 3)) == 0:
            biases[k] = biases[k] * 0
    scales = draw(st.lists(scales_drawn, min_size=len(weights), max_size=len(weights)))
    return with_weights(gr.Network(weights, biases), scales)


@settings(deadline=None, max_examples=EXAMPLES, derandomize=True)
@given(hostile_networks())
def test_drawn_hostile_networks(network: gr.Network) -> None:
    compare(network)


CORPUS = [
    Case("one weight in all", gr.Network([[[1.0, 0.0]], [[0.0]]])),
    Case("no weight at all", gr.Network([[[0.0, 0.0]], [[0.0]], [[0.0]]])),
    Case("parallel by one bit", lines([[1, 1, 0], [1, np.nextafter(1, 2), 0], [np.nextafter(1, 0), 1, 0]])),
    Case("almost through a corner", lines([[1, 1, -2], [1, 1, -np.nextafter(2, 0)], [1, -1, 1e-300]])),
]


@pytest.mark.parametrize("case", CORPUS, ids=str)
def test_other_cases(case: Case) -> None:
    compare(case.network, case.domain)
