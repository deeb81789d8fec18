"""Two networks beside each other in 3 and more dimensions: against fractions, and rewritten networks."""

from __future__ import annotations

from fractions import Fraction
from math import factorial
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import InputDimensionError, ShapeError
from tests.networks import integer_network, random_network
from tests.oracles.fraction_polytopes import Cell, _determinant, _simplices, enumerate_box
from tests.test_compare import doubled, one_bit, permuted
from tests.test_polyhedral_answers import cube, several, value
from tests.test_polyhedral_boundary import where_positive

PAIRS = {
    "one output in 3": (random_network((4,), 1, n_inputs=3), random_network((3, 2), 2, n_inputs=3)),
    "two outputs in 3": (
        random_network((3, 2), 3, n_inputs=3, n_outputs=2), random_network((3,), 4, n_inputs=3, n_outputs=2)
    ),
    "three outputs, integers": (
        several(integer_network((3, 2), 1, 2, n_inputs=3), 3), several(integer_network((2,), 2, 2, n_inputs=3), 3)
    ),
    "in 4": (random_network((3,), 5, n_inputs=4, n_outputs=2), random_network((2, 2), 6, n_inputs=4, n_outputs=2)),
    "ties": (
        gr.Network([np.eye(3), [[1.0, 0, 0], [1, 0, 0], [0, 1, 0]]]), gr.Network([np.eye(3), np.eye(3)])
    ),
}  # fmt: skip


def minus(p: Any, q: Any) -> Any:
    return tuple(x - y for x, y in zip(p, q, strict=True))


def integral(vertices: Any, form: Any, square: bool = False) -> Fraction:
    d, total = len(form) - 1, Fraction(0)
    for simplex in _simplices(vertices) if vertices else []:
        y = [value(form, p) for p in simplex]
        mean = (sum(y) ** 2 + sum(v * v for v in y)) / ((d + 1) * (d + 2)) if square else sum(y) / (d + 1)
        total += abs(_determinant(simplex)) / factorial(d) * mean
    return total


def part_won(cell: Cell, maps: Any, k: int, vertices: Any) -> Any:
    """The part of a polytope where the first of the largest of these maps is number k."""
    for c in range(len(maps)):
        form = minus(maps[k], maps[c])
        if c < k and not any(form):
            return {}
        vertices = where_positive(vertices, form) if vertices else vertices
    return vertices


@pytest.mark.parametrize("name", PAIRS)
def test_against_fractions(name: str) -> None:
    a, b = PAIRS[name]
    d, n = a.n_inputs, a.n_outputs
    found = gr.compare(a, b, cube(d))
    cells = enumerate_box(gr.joint(a, b), [-1.0] * d, [1.0] * d).cells
    zero = (Fraction(0),) * (d + 1)
    largest, l1, l2, agree = Fraction(0), [Fraction(0)] * n, [Fraction(0)] * n, Fraction(0)
    for cell in cells:
        f, g = cell.map[:n], cell.map[n:]
        for k in range(n):
            form = minus(f[k], g[k])
            largest = max(largest, *(abs(value(form, p)) for p in cell.vertices))
            l2[k] += integral(cell.vertices, form, square=True)
            for sign in (1, -1):
                signed = tuple(sign * v for v in form)
                if any(form):
                    l1[k] += integral(where_positive(cell.vertices, signed), signed)
        one, two = (f, g) if n > 1 else ((zero, f[0]), (zero, g[0]))
        for k in range(len(one)):
            both = part_won(cell, two, k, part_won(cell, one, k, dict(cell.vertices)))
            agree += Cell((), both, ()).volume if both else 0
    assert not found.equal
    assert found.exact_largest == largest
    assert found.largest == float(largest)
    np.testing.assert_allclose(found.l1, np.array(l1, dtype=float), rtol=1e-11)
    np.testing.assert_allclose(found.l2, np.array(l2, dtype=float) ** 0.5, rtol=1e-11)
    assert found.area == 2.0**d
    assert found.class_area == pytest.approx(2.0**d - float(agree), rel=1e-10, abs=1e-12)
    assert found.n_refinement == len(cells)
    assert found.n_regions == tuple(gr.partition(v, cube(d)).n_regions for v in (a, b))
    off = abs(a(found.witness[None]) - b(found.witness[None]))[0]
    assert off[found.output] == pytest.approx(found.largest, rel=1e-12)
    assert found.regression().coefficients.shape == (d + 1, d + 1)


@pytest.mark.parametrize("rewrite", [permuted, doubled, lambda v: permuted(doubled(v), 3)])
def test_the_same_function_written_differently(rewrite: Any) -> None:
    f = random_network((5, 3), 1, n_inputs=3, n_outputs=2)
    found = gr.compare(f, rewrite(f), cube(3))
    assert found.equal
    assert (found.largest, found.class_area, found.l1.max(), found.l2.max()) == (0.0, 0.0, 0.0, 0.0)
    assert found.n_regions == (found.n_refinement,) * 2


def test_one_changed_bit_is_seen() -> None:
    f = random_network((5, 3), 2, n_inputs=3, n_outputs=2)
    outcomes = []
    for layer in range(3):
        for entry in list(np.ndindex(f.layers[layer].weight.shape))[::3]:
            other = one_bit(f, layer, entry)
            cells = enumerate_box(gr.joint(f, other), [-1.0] * 3, [1.0] * 3).cells if len(outcomes) < 4 else None
            found = gr.compare(f, permuted(other), cube(3))
            outcomes.append(found.equal)
            if cells is not None:
                assert found.equal == all(cell.map[:2] == cell.map[2:] for cell in cells)
            assert found.equal == (found.largest == 0)
            assert found.largest < 1e-14
    assert not all(outcomes)


def test_slices_differ_no_more_and_samples_agree() -> None:
    a, b = (random_network((7, 5), s, n_inputs=3, n_outputs=2) for s in (1, 2))
    found = gr.compare(a, b, cube(3))
    plane = gr.compare(a, b, gr.Slice.axes(1, 2, at=[0.25, 0, 0], domain=gr.Box(-1, 1)))
    assert plane.largest <= found.largest
    x = np.random.default_rng(0).uniform(-1, 1, (200_000, 3))
    off = np.abs(a(x) - b(x))
    assert off.max() <= found.largest
    np.testing.assert_allclose(found.l1 / 8, off.mean(axis=0), rtol=0.02)
    np.testing.assert_allclose(found.l2 / 8**0.5, (off**2).mean(axis=0) ** 0.5, rtol=0.02)
    assert found.class_area / 8 == pytest.approx((a(x).argmax(axis=1) != b(x).argmax(axis=1)).mean(), abs=0.005)


def test_polytopes_and_bad_input() -> None:
    simplex = gr.Polytope(np.vstack([-np.eye(3), np.ones((1, 3))]), [0.0, 0, 0, 1])
    found = gr.compare(gr.Network([[[1.0, 0, 0]]]), gr.Network([[[0.0, 0, 0]]]), simplex)
    assert found.area == pytest.approx(1 / 6)
    assert found.l1[0] == pytest.approx(1 / 24)
    assert found.largest == 1.0
    with pytest.raises(InputDimensionError, match="3 inputs"):
        gr.compare(random_network((3,), 0, n_inputs=3), random_network((3,), 0, n_inputs=3), cube(4))
    with pytest.raises(ShapeError, match="2 and 1 outputs"):
        gr.compare(random_network((3,), 0, n_inputs=3, n_outputs=2), random_network((3,), 0, n_inputs=3), cube(3))


def test_zero_sets_that_nearly_coincide() -> None:
    """The float determinants at their crossings are rounding; between them lie regions 1e-16 wide."""
    f = random_network((5, 3), 2, n_inputs=3, n_outputs=2)
    p = gr.partition(f, cube(3))
    for entry in [(0, 0), (1, 0), (2, 0)]:
        q = gr.partition(gr.joint(f, permuted(one_bit(f, 0, entry))), cube(3))
        assert (q.vertex_errors <= 2.0**-10).all()
        q.check()
        exact = {c.pattern: c for c in enumerate_box(q.network, [-1.0] * 3, [1.0] * 3).cells}
        own = [exact[tuple(row.astype(int).tolist())] for row in q.patterns.unpack()]
        np.testing.assert_allclose(q.volumes, [float(c.volume) for c in own], rtol=1e-9)
        region = p.locate(q.centroids)
        whole = q.volumes > 1e-10
        np.testing.assert_allclose(np.bincount(region[whole], q.volumes[whole]), p.volumes, rtol=1e-9, atol=1e-12)
        covariance = q.covariance()
        np.testing.assert_allclose(covariance[:2, :2], p.covariance(), rtol=1e-9)
        np.testing.assert_allclose(covariance[:2, :2], covariance[2:, 2:], rtol=1e-9)
