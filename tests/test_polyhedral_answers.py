"""Extrema, properties and steepness in 3 and more dimensions: against fractions, the plane, and samples from one
side."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.analysis.lipschitz import _compare, _key
from geomrelu.analysis.properties import Unsafe, verify_unsafe
from geomrelu.errors import InputError, ShapeError
from geomrelu.polyhedral.complex import PolyhedralComplex
from tests.networks import integer_network, random_network
from tests.oracles.fraction_polytopes import Cell, Enumeration, enumerate_box


def cube(d: int) -> gr.Box:
    return gr.Box([-1.0] * d, [1.0] * d)


def several(network: gr.Network, n: int) -> gr.Network:
    """The network with n outputs, integer combinations of its last hidden units and constants."""
    rng = np.random.default_rng(n)
    last = network.output
    return gr.Network(
        [*[v.weight for v in network.hidden], rng.integers(-2, 3, (n, last.n_inputs))],
        [*[v.bias for v in network.hidden], rng.integers(-1, 2, n)],
    )


NETWORKS = {
    "random in 3": random_network((5, 3), 1, n_inputs=3, n_outputs=3),
    "random in 4": random_network((4, 2), 2, n_inputs=4, n_outputs=2),
    "ternary in 3": several(integer_network((4, 3), 1, n_inputs=3), 3),
    "integer in 3": several(integer_network((3, 3), 2, 2, n_inputs=3), 3),
    "bias-free in 4": several(integer_network((3, 2), 3, 2, bias=False, n_inputs=4), 3),
    "constant": gr.Network([np.eye(3), np.zeros((2, 3))], [np.zeros(3), [0.5, 0.5]]),
    "plateau": gr.Network([[[1.0, 1, 1]], [[-1.0], [1.0]]], [[-1.0], [0.25, 0.0]]),
    "no neuron": gr.Network([[[1.0, -2.0, 0.5], [0.0, 1.0, 1.0]]], [[0.5, 0.25]]),
}


@cache
def both(name: str) -> tuple[PolyhedralComplex, Enumeration]:
    f = NETWORKS[name]
    d = f.n_inputs
    return gr.partition(f, cube(d)), enumerate_box(f, [-1.0] * d, [1.0] * d)  # type: ignore[return-value]


def value(form: Any, point: Any) -> Fraction:
    return sum((a * x for a, x in zip(form, point, strict=False)), form[-1])


def outputs_at(cell: Cell, point: Any) -> list[Fraction]:
    return [value(form, point) for form in cell.map]


def weighed(a: Any, y: list[Fraction]) -> Fraction:
    return sum((Fraction(float(w)) * v for w, v in zip(a, y, strict=True)), Fraction(0))


def largest(found: Enumeration, a: Any) -> Fraction:
    return max(weighed(a, outputs_at(cell, point)) for cell in found.cells for point in cell.vertices)


# ---------------------------------------------------------------------- extrema


@pytest.mark.parametrize("name", NETWORKS)
def test_extrema_equal_fractions(name: str) -> None:
    p, found = both(name)
    n = p.network.n_outputs
    for a in (np.eye(n)[0], np.arange(n) - 1.0, np.full(n, 0.1), np.zeros(n)):
        high, low = p.maximum(a), p.minimum(a)
        assert high.exact_value == largest(found, a)
        assert low.exact_value == -largest(found, -a)
        assert (high.value, low.value) == (float(high.exact_value), float(low.exact_value))
        for extremum in (high, low):
            assert extremum.point.tolist() == [float(x) for x in extremum.exact_point]
            cell = found.by_pattern[tuple(p.patterns.unpack()[extremum.region].astype(int).tolist())]
            assert extremum.exact_point in cell.vertices
            assert weighed(a, outputs_at(cell, extremum.exact_point)) == extremum.exact_value
            assert extremum.vertex in p.region_vertices[p.region_offsets[extremum.region] :][: len(cell.vertices)]
    assert p.output_range().tolist() == [[p.minimum(k).value, p.maximum(k).value] for k in range(n)]


def test_the_lowest_vertex_of_a_plateau_is_the_witness() -> None:
    p, _ = both("plateau")
    at_top = np.flatnonzero(p.network(p.vertices)[:, 0] == 0.25)
    assert len(at_top) > 1
    assert p.maximum(0).vertex == at_top[0]


def test_a_fold_attains_its_extrema_everywhere() -> None:
    """All vertices tie: of |x|, |y|, |z| folded on themselves."""
    sign = np.vstack([np.eye(3), -np.eye(3)])
    f = gr.Network(
        [sign, 2 * sign @ np.hstack([np.eye(3), np.eye(3)]), np.ones((1, 6))],
        [np.zeros(6), [-1.0] * 3 + [1.0] * 3, [0.0]],
    )
    p = gr.partition(f, cube(3))
    assert (p.maximum().exact_value, p.minimum().exact_value) == (3, 0)


def test_extrema_bound_samples_and_slices() -> None:
    f = random_network((12, 8), 4, n_inputs=3, n_outputs=2)
    p = gr.partition(f, cube(3))
    x = np.random.default_rng(0).uniform(-1, 1, (100_000, 3))
    y = f(x)
    found = p.output_range()
    assert (found[:, 0] <= y.min(axis=0)).all()
    assert (found[:, 1] >= y.max(axis=0)).all()
    assert (found[:, 1] - y.max(axis=0) < 0.2 * np.ptp(found, axis=1)).all()
    for k in range(3):
        plane = gr.partition(f, gr.Slice.axes(k, (k + 1) % 3, at=x[k], domain=gr.Box(-1, 1)))
        assert (plane.output_range()[:, 1] <= found[:, 1]).all()
        assert (plane.output_range()[:, 0] >= found[:, 0]).all()
    order = [2, 0, 1]
    g = gr.Network([f.layers[0].weight[:, order], *[v.weight for v in f.layers[1:]]], [v.bias for v in f.layers])
    q = gr.partition(g, cube(3))
    assert q.maximum().exact_value == p.maximum().exact_value
    assert q.maximum().point.tolist() == p.maximum().point[order].tolist()


def test_near_ties_are_decided_exactly() -> None:
    """Corners whose values differ by a unit in the last place, and less than that in a sum of two outputs."""
    least = 2.0**-52
    f = gr.Network([[[1.0, 0, 0], [-1.0, 0, 0]], [[1.0, 1 + least], [2.0**-60, 0]]])
    p = gr.partition(f, cube(3))
    high = p.maximum()
    assert high.exact_value == 1 + Fraction(least)
    assert high.exact_point[0] == -1
    assert p.maximum([1.0, 0.0]).vertex == high.vertex
    level = gr.Network([[[1.0, 0, 0], [-1.0, 0, 0]], [[1.0, 1.0], [2.0**-60, 0]]])
    assert gr.partition(level, cube(3)).maximum("y0 + y1").exact_value == 1 + Fraction(2) ** -60
    assert gr.partition(level, cube(3)).maximum("y0 - y1").exact_point[0] == -1
    assert not gr.partition(level, cube(3)).verify("y0 + y1 <= 1")
    assert gr.partition(level, cube(3)).verify("y0 - y1 <= 1")


# ---------------------------------------------------------------------- properties


@pytest.mark.parametrize("name", NETWORKS)
def test_properties_hold_up_to_the_exact_maximum(name: str) -> None:
    p, found = both(name)
    n = p.network.n_outputs
    a = np.arange(n) - 0.5
    top = largest(found, a)
    limit = float(top)
    assert p.verify((a, limit)).holds == (top <= Fraction(limit))
    assert p.verify((a, np.nextafter(limit, np.inf))).holds
    broken = p.verify((a, limit - 1e-3))
    assert not broken
    assert broken.margins[0] == pytest.approx(1e-3)
    assert broken.witness is not None
    assert broken.outputs is not None
    assert p.domain.contains(broken.witness[None]).all()
    assert (p.network(broken.witness[None])[0] == broken.outputs).all()
    assert weighed(a, [Fraction(y) for y in broken.outputs.tolist()]) > Fraction(limit - 1e-3)
    assert broken.exact_outputs is not None
    assert weighed(a, list(broken.exact_outputs)) == top


def test_a_verified_property_withstands_samples() -> None:
    f = random_network((10, 6), 5, n_inputs=4, n_outputs=2)
    p = gr.partition(f, cube(4))
    bound = p.maximum("y0 - y1").value
    assert p.verify(f"y0 - y1 <= {float(np.nextafter(bound, 9))!r}")
    y = f(np.random.default_rng(1).uniform(-1, 1, (200_000, 4)))
    assert (y[:, 0] - y[:, 1]).max() <= bound


def reached(found: Enumeration, unsafe: Unsafe) -> bool:
    """Whether some cell holds a point of the set, by clipping its vertices and edges one constraint after the other."""
    for cell in found.cells:
        part = dict(cell.vertices)
        for a, b in zip(unsafe.A.tolist(), unsafe.b.tolist(), strict=True):
            room = {p: Fraction(b) - weighed(a, outputs_at(cell, p)) for p in part}
            # Not only edges are cut, which leaves what is no vertex, too, but nothing outside.
            new = {}
            for p, s in room.items():
                if s >= 0:
                    new[p] = part[p]
                for q, t in room.items():
                    if s > 0 > t:
                        w = s / (s - t)
                        new[tuple(u + w * (v - u) for u, v in zip(p, q, strict=True))] = part[p] & part[q]
            part = new
        if part:
            return True
    return False


@pytest.mark.parametrize("name", NETWORKS)
def test_unsafe_sets_equal_fractions(name: str) -> None:
    p, found = both(name)
    n = p.network.n_outputs
    rng = np.random.default_rng(0)
    outcomes = []
    top = float(p.maximum(0).value)
    sets = [Unsafe(rng.integers(-2, 3, (2, n)).astype(float), rng.uniform(-2, 0.5, 2).round(2)) for _ in range(5)]
    sets.append(Unsafe(-np.eye(n)[:1], np.array([-top])))  # reached at the maximum alone, if that is a float
    for unsafe in sets:
        answer = p.verify(unsafe)
        outcomes.append(answer.holds)
        assert answer.holds != reached(found, unsafe)
        if not answer:
            y = [list(answer.exact_outputs or ())]
            y += [] if answer.outputs is None else [[Fraction(v) for v in answer.outputs.tolist()]]
            assert all(weighed(a, row) <= Fraction(b) for a, b in zip(*unsafe, strict=True) for row in y)
            assert p.domain.contains(np.array([[float(x) for x in answer.exact_witness or ()]])).all()
    if name.startswith("random"):
        assert len(set(outcomes)) == 2


def test_bad_properties() -> None:
    p, _ = both("random in 3")
    with pytest.raises(InputError, match="output 3"):
        p.maximum(3)
    with pytest.raises(ShapeError, match="expected \\(3,\\)"):
        p.maximum([1.0, 2.0])
    with pytest.raises(InputError, match="y7"):
        p.verify("y7 > 0")
    with pytest.raises(ShapeError, match="unsafe set"):
        verify_unsafe(p, [Unsafe(np.ones((1, 2)), np.zeros(1))])


# ---------------------------------------------------------------------- steepness


def float_norm(cell: Cell, ord: float) -> float:
    return float(np.linalg.norm(np.array([[float(v) for v in form[:-1]] for form in cell.map]), ord))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("ord", [1, 2, np.inf])
def test_lipschitz_constants_are_the_largest_of_the_cells_norms(name: str, ord: float) -> None:
    p, found = both(name)
    own = p.lipschitz(ord)
    bits = [tuple(row.astype(int).tolist()) for row in p.patterns.unpack()]
    norms = [float_norm(found.by_pattern[b], ord) for b in bits]
    np.testing.assert_allclose(own.per_region, norms, rtol=1e-12, atol=1e-14)
    assert own.constant == pytest.approx(max(norms), rel=1e-14)
    assert own.per_region[own.region] == pytest.approx(own.constant, rel=1e-13)
    ties = np.flatnonzero(np.array(norms) >= max(norms) * (1 - 1e-12) - 1e-14)
    assert own.region in ties
    if "in 3" in name and name != "random in 3":
        assert own.region == ties[0], "the first of several"
    x = np.random.default_rng(0).uniform(-1, 1, (2, 2000, p.dimension))
    rise = np.linalg.norm(p.network(x[0]) - p.network(x[1]), ord, axis=1)
    assert (rise <= own.constant * np.linalg.norm(x[0] - x[1], ord, axis=1) * (1 + 1e-12)).all()


def test_slices_are_no_steeper() -> None:
    p, _ = both("random in 3")
    for ord in (1, 2, np.inf):
        plane = gr.partition(p.network, gr.Slice.axes(0, 2, at=[0, 0.25, 0], domain=gr.Box(-1, 1)))
        assert plane.lipschitz(ord).constant <= p.lipschitz(ord).constant


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.integers(-3, 3), min_size=9, max_size=9), min_size=2, max_size=2), st.integers(0, 5))
def test_largest_singular_values_are_compared_exactly(entries: list[list[int]], turn: int) -> None:
    a, b = (np.array(rows, dtype=object).reshape(3, 3) for rows in entries)
    norms = [float(np.linalg.norm(m.astype(float), 2)) for m in (a, b)]
    keys = [_key(m, 2) for m in (a, b)]
    if abs(norms[0] - norms[1]) > 1e-12:
        assert _compare(*keys) == np.sign(norms[0] - norms[1])
    # Signs and orders of rows change nothing, nor does what is no larger beside.
    turned = np.roll(-a, turn, axis=0)[:, ::-1]
    assert _compare(keys[0], _key(turned, 2)) == 0
    larger = a.copy()
    larger[0] *= 2
    assert _compare(_key(np.block([[a, np.zeros((3, 3), int)]]), 2), keys[0]) == 0
    assert _compare(_key(larger, 2), keys[0]) >= 0


def test_equal_norms_of_different_matrices() -> None:
    """The largest roots of different characteristic polynomials: diag(3, 2, 1), diag(3, 1, 1), one with root 2."""
    a, b = np.diag([3, 2, 1]).astype(object), np.diag([1, 3, 1]).astype(object)
    assert _compare(_key(a, 2), _key(b, 2)) == 0
    rotation = np.array([[1, 1, 0], [1, -1, 0], [0, 0, 1]], dtype=object)  # largest singular value sqrt(2)
    others = np.array([[1, 1, 0], [1, -1, 0], [0, 0, 0]], dtype=object)
    assert _compare(_key(rotation, 2), _key(others, 2)) == 0
    assert _compare(_key(rotation, 2), _key(a, 2)) == -1
