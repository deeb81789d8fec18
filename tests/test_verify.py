"""Extrema and verification of properties: against fractions, samples from one side, and witnesses that are run."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.analysis.expressions import linear_constraints, linear_expression
from geomrelu.analysis.properties import Unsafe, verify_unsafe
from geomrelu.errors import InputError, ShapeError, WeightError
from geomrelu.planar.complex import PlanarComplex
from tests.drawn import ENTRIES, drawn_networks
from tests.networks import degenerate_cases, integer_network, random_cases, random_network
from tests.oracles.fraction_boundary import clip, value
from tests.oracles.fraction_enumerator import enumerate_regions, evaluate

NETWORKS = st.one_of(*(drawn_networks(entries, most_outputs=3) for entries in ENTRIES.values()))
SQUARE = gr.Box(-1, 1)


def exact_largest(p: PlanarComplex, a: np.ndarray) -> Fraction:
    """The largest a . y over the corners of all cells."""
    found = enumerate_regions(p.network, p.domain.vertices.tolist())
    return max(
        sum((Fraction(float(w)) * value(row, corner) for w, row in zip(a, cell.map, strict=True)), Fraction(0))
        for cell in found.cells
        for corner in cell.polygon
    )


def reached(p: PlanarComplex, unsafe: Unsafe) -> bool:
    """Whether some cell holds a point of the set: an interior one, or (by a closed clip) any."""
    found = enumerate_regions(p.network, p.domain.vertices.tolist())
    for cell in found.cells:
        part = list(cell.polygon)
        for a, b in zip(unsafe.A.tolist(), unsafe.b.tolist(), strict=True):
            form = [
                -sum((Fraction(w) * row[k] for w, row in zip(a, cell.map, strict=True)), Fraction(0)) for k in range(3)
            ]
            form[2] += Fraction(b)
            part = closed_clip(part, form)
        if part:
            return True
    return False


def closed_clip(polygon: list[Any], form: list[Fraction]) -> list[Any]:
    """As `clip`, but what is left may be a segment or a point."""
    if len(polygon) > 2 and (inside := clip(polygon, form)):
        return inside
    corners = [p for p in polygon if value(form, p) >= 0]
    for p, q in zip(polygon, [*polygon[1:], *polygon[:1]], strict=True):
        u, v = value(form, p), value(form, q)
        if u * v < 0:
            t = u / (u - v)
            corners.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
    return sorted(set(corners))


# ---------------------------------------------------------------------- extrema


@settings(max_examples=80, deadline=None)
@given(NETWORKS, st.data())
def test_extrema_equal_fractions(network: gr.Network, data: st.DataObject) -> None:
    p = gr.partition(network, SQUARE)
    n = network.n_outputs
    a = np.array(data.draw(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.1, 1.0, 3.0]), min_size=n, max_size=n)))
    high, low = p.maximum(a), p.minimum(a)
    assert high.exact_value == exact_largest(p, a)
    assert low.exact_value == -exact_largest(p, -a)
    assert (high.value, low.value) == (float(high.exact_value), float(low.exact_value))
    for found in (high, low):
        y = evaluate(network, found.exact_point)
        assert sum(Fraction(float(w)) * v for w, v in zip(a, y, strict=True)) == found.exact_value
        assert found.vertex in p.ring(found.region)
        assert np.hypot(*(found.point - p.vertices[found.vertex])) <= p.vertex_errors[found.vertex] + 1e-15
    np.testing.assert_array_equal(p.output_range(a), [low.value, high.value])


@pytest.mark.parametrize("case", [c for c in degenerate_cases() + random_cases()[::5] if "2^" not in c.name], ids=str)
def test_extrema_of_hand_made_networks_equal_fractions(case: Any) -> None:
    p = gr.partition(case.network, case.domain)
    if p.n_regions > 300:
        pytest.skip("large for the oracle")
    assert p.maximum().exact_value == exact_largest(p, np.ones(1))
    assert p.minimum().exact_value == -exact_largest(p, -np.ones(1))


def test_no_sample_exceeds_the_range() -> None:
    network = random_network((32, 32, 32), 3, n_outputs=3)
    p = gr.partition(network, SQUARE)
    low, high = p.output_range().T
    y = network(np.random.default_rng(0).uniform(-1, 1, (1_000_000, 2)))
    assert (y >= low - 1e-13).all()
    assert (y <= high + 1e-13).all()
    # And the range is attained.
    for k in range(3):
        assert network(p.maximum(k).point[None])[0, k] == pytest.approx(high[k], abs=1e-12)
        assert network(p.minimum(k).point[None])[0, k] == pytest.approx(low[k], abs=1e-12)


def test_a_maximum_on_a_plateau_is_the_vertex_with_the_lowest_number() -> None:
    # min(x, 1/4) in pieces: 1/4 for all x >= 1/4, cut by y = 0 into two regions, and dead regions.
    network = gr.Network([[[1, 0], [-1, 0], [1, 0], [0, 1]], [[1, -1, -1, 0]]], [[0, 0, -0.25, 0], [0]])
    p = gr.partition(network, SQUARE)
    found = p.maximum()
    exact = [p._vertex_outputs.exact(v)[0] for v in range(p.n_vertices)]
    assert found.exact_value == Fraction(1, 4)
    assert found.vertex == exact.index(Fraction(1, 4))


# ---------------------------------------------------------------------- properties


@settings(max_examples=80, deadline=None)
@given(NETWORKS, st.data())
def test_properties_hold_up_to_the_exact_maximum(network: gr.Network, data: st.DataObject) -> None:
    p = gr.partition(network, SQUARE)
    bound = data.draw(st.sampled_from([-1.0, 0.0, 0.1, 0.5, 2.0]))
    a = np.eye(network.n_outputs)[-1]
    top = exact_largest(p, a)
    name = f"y{network.n_outputs - 1}"
    for strict, relation in ((False, "<="), (True, "<")):
        found = p.verify(f"{name} {relation} {bound!r}")
        excess = top - Fraction(bound)
        assert found.holds == (excess < 0 or (not strict and excess == 0))
        assert found.margins.tolist() == [float(excess)]
        if not found:
            assert found.exact_witness is not None
            y = evaluate(network, found.exact_witness)
            assert y == found.exact_outputs
            assert y[-1] > Fraction(bound) or (strict and y[-1] == Fraction(bound))
            if found.witness is not None:
                assert p.domain.contains(found.witness[None])[0]
                run = network(found.witness[None])[0]
                assert run.tolist() == found.outputs.tolist()
                assert run[-1] > bound or (strict and run[-1] == bound)
            else:
                assert excess < 1e-12


def test_a_verified_property_survives_a_million_attacks() -> None:
    network = random_network((24, 24), 5, n_outputs=3)
    p = gr.partition(network, SQUARE)
    bound = float(np.nextafter(p.maximum("y0 - 2*y1").value, np.inf))
    x = np.random.default_rng(1).uniform(-1, 1, (1_000_000, 2))
    assert p.verify(f"y0 - 2*y1 <= {bound!r}")
    y = network(x)
    assert (y[:, 0] - 2 * y[:, 1] <= bound + 1e-13).all()
    # A little below the maximum it is broken, and the witness shows it.
    broken = p.verify(f"y0 - 2*y1 <= {bound - 1e-9!r}")
    assert not broken
    run = network(broken.witness[None])[0]
    assert run[0] - 2 * run[1] > bound - 1e-9


def test_a_violation_below_float_resolution_has_an_exact_witness() -> None:
    # y = x/3-like sums whose exact maximum exceeds a float by less than its spacing.
    network = gr.Network([[[0.1, 0.2]], [[1.0]]], [[0.0], [0.0]])
    p = gr.partition(network, gr.Box([0, 0], [1, 1]))
    top = p.maximum().exact_value
    below = float(top) if Fraction(float(top)) < top else float(np.nextafter(float(top), -np.inf))
    found = p.verify(f"y0 <= {below!r}")
    assert not found
    assert found.exact_outputs == (top,)
    assert 0 < top - Fraction(below) < Fraction(2) ** -52
    if found.witness is not None:
        assert network(found.witness[None])[0, 0] > below


def test_equal_outputs_tie_everywhere() -> None:
    network = gr.Network([[[1.0, 0.5], [0.3, -1.0]], [[1, 2], [1, 2], [1, 3]]], [[0.1, 0.2], [0.5, 0.5, -9]])
    p = gr.partition(network, SQUARE)
    assert p.verify("y0 == y1 and y0 >= y1 and y2 < y0")
    strict = p.verify("y0 > y1")
    assert not strict
    assert strict.margins.tolist() == [0.0]
    assert strict.outputs[0] == strict.outputs[1]


def test_arrays_and_expressions_ask_the_same() -> None:
    p = gr.partition(random_network((9, 7), 2, n_outputs=2), SQUARE)
    by_text, by_array = p.verify("y0 - 2*y1 <= 0.25"), p.verify(([[1, -2]], [0.25]))
    assert by_text.margins.tolist() == by_array.margins.tolist()
    assert p.verify(([1, -2], 100.0))


# ---------------------------------------------------------------------- unsafe sets


@settings(max_examples=150, deadline=None)
@given(NETWORKS, st.data())
def test_unsafe_sets_equal_fractions(network: gr.Network, data: st.DataObject) -> None:
    p = gr.partition(network, SQUARE)
    n, entry = network.n_outputs, st.sampled_from([-1.0, 0.0, 1.0, 0.5])
    rows = data.draw(st.integers(1, 4))
    A = np.array(data.draw(st.lists(st.lists(entry, min_size=n, max_size=n), min_size=rows, max_size=rows)))
    b = np.array(data.draw(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.1, 1.0]), min_size=rows, max_size=rows)))
    unsafe = Unsafe(A, b)
    found = p.verify(unsafe)
    assert found.holds == (not reached(p, unsafe))
    if not found:
        y = evaluate(network, found.exact_witness)
        assert y == found.exact_outputs
        exact = [sum(Fraction(w) * v for w, v in zip(row, y, strict=True)) for row in A.tolist()]
        assert all(v <= Fraction(c) for v, c in zip(exact, b.tolist(), strict=True))
        if found.witness is not None:
            assert (A @ network(found.witness[None])[0] <= b + 1e-12).all()


def test_an_unsafe_set_inside_one_region() -> None:
    # The only region reaches 0.4 <= x <= 0.6 and -0.1 <= y <= 0.1 with none of its corners.
    network = gr.Network([[[1.0, 0.0], [0.0, 1.0]]])
    p = gr.partition(network, SQUARE)
    A = np.array([[-1.0, 0], [1, 0], [0, -1], [0, 1]])
    found = p.verify(Unsafe(A, np.array([-0.4, 0.6, 0.1, 0.1])))
    assert not found
    assert (np.abs(found.witness - [0.5, 0.0]) <= 0.1 + 1e-12).all()
    assert p.verify(Unsafe(A, np.array([-0.6, 0.4, 0.1, 0.1])))
    # A single point, exactly.
    touch = p.verify(Unsafe(A, np.array([-0.1, 0.1, -0.3, 0.3])))
    assert touch.exact_witness == (Fraction(0.1), Fraction(0.3))
    assert verify_unsafe(p, [])


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y3 > 0", "only y0|y0 to y1"),
        ("y0 >", "does not parse"),
        ("y0", "no comparison"),
        ("y0 * y1 > 0", "not linear"),
        ("y0 > 1 or y1 > 1", "an 'or'"),
        ("not y0 > 1", "no comparison"),
        ("y0 != y1", "compared otherwise"),
        ("x0 > 1", "unknown name"),
        ("abs(y0) > 1", "not linear"),
        ("__import__('os').system('true') > y0", "not linear"),
        ("y0 > 1e999", "too large"),
        ("y0 > True", "no number"),
        ("y0 > 'a'", "no number"),
        ("y0 / y1 > 0", "divided by"),
        ("y0 / 0 > 0", "divided by"),
        ("y0 > 1e16 + 0.3", "only rounded"),
        ("y0**2 > 1", "not linear"),
        ("", "does not parse"),
        ("y0 > \0", "does not parse"),
        ("(" * 5000 + "y0" + ")" * 5000 + " > 0", "does not parse|nested"),
        ("-" * 50_000 + "y0 > 0", "does not parse|nested"),
        ("y0 > 0" + " " * 200_000, "characters"),
    ],
)
def test_properties_that_cannot_be_read_are_refused(text: str, words: str) -> None:
    p = gr.partition(random_network((3,), 0, n_outputs=2), SQUARE)
    with pytest.raises(InputError, match=words):
        p.verify(text)


def test_wrong_shapes_and_types_are_refused() -> None:
    p = gr.partition(random_network((3,), 0, n_outputs=2), SQUARE)
    for bad in (([[1, 2, 3]], [0]), ([[1, 2]], [0, 1]), (np.zeros((0, 2)), np.zeros(0)), ([[[1, 2]]], [0])):
        with pytest.raises(ShapeError, match="expected"):
            p.verify(bad)
    for bad in (None, 3, [1], object()):
        with pytest.raises(InputError, match="expected"):
            p.verify(bad)
    with pytest.raises(WeightError, match="finite"):
        p.verify(([[np.nan, 1]], [0]))
    with pytest.raises(ShapeError):
        p.verify(Unsafe(np.zeros((1, 3)), np.zeros(1)))
    for bad in (2, -1, True, 0.5, "y2", [1, 2, 3], None):
        with pytest.raises(InputError):
            p.maximum(bad)
    assert linear_expression("2*(y0 - y1)/4 + 1 - -y1", 2)[0].tolist() == [0.5, 0.5]
    chain = linear_constraints("-1 <= y0 < y1", 2)
    assert [(c.a, c.b, c.strict) for c in chain] == [((-1.0, 0.0), 1.0, False), ((1.0, -1.0), 0.0, True)]


def test_ternary_networks_with_ties_on_whole_regions() -> None:
    for seed in range(4):
        network = integer_network((6, 5, 4), seed)
        p = gr.partition(network, SQUARE)
        top = exact_largest(p, np.ones(1))
        assert p.maximum().exact_value == top
        assert p.verify(f"y0 <= {float(top)!r}")
        assert not p.verify(f"y0 < {float(top)!r}")
