"""Integrals, means, variances and centroids in 3 and more dimensions: in fractions on simplices, and known ones."""

from __future__ import annotations

from fractions import Fraction
from math import factorial
from typing import Any

import numpy as np
import pytest

import geomrelu as gr
from geomrelu.errors import RangeError
from geomrelu.polyhedral.complex import PolyhedralComplex
from tests.networks import random_network
from tests.oracles.fraction_polytopes import _determinant, _simplices
from tests.test_polyhedral_answers import NETWORKS, both, cube, value


def exact_integrals(found: Any, n: int) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Of outputs and products, over simplices of vertices v: V (sum f(v)) / (d + 1), and so on."""
    first, second = [Fraction(0)] * n, [[Fraction(0)] * n for _ in range(n)]
    for cell in found.cells:
        d = len(next(iter(cell.vertices)))
        for simplex in _simplices(cell.vertices):
            volume = abs(_determinant(simplex)) / factorial(d)
            if volume == 0:
                continue
            y = [[value(form, point) for point in simplex] for form in cell.map]
            for i in range(n):
                first[i] += volume * sum(y[i]) / (d + 1)
                for j in range(n):
                    both_ = sum(y[i]) * sum(y[j]) + sum(a * b for a, b in zip(y[i], y[j], strict=True))
                    second[i][j] += volume * both_ / ((d + 1) * (d + 2))
    return first, second


@pytest.mark.parametrize("name", NETWORKS)
def test_integrals_equal_fractions(name: str) -> None:
    p, found = both(name)
    n, size = p.network.n_outputs, 2.0**p.dimension
    first, second = exact_integrals(found, n)
    means, products = np.array(first, dtype=float), np.array(second, dtype=float)
    np.testing.assert_allclose(p.integral(), means, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(p.mean(), means / size, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(p.integral(products=True), products, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(p.mean(products=True), products / size, rtol=1e-11, atol=1e-12)
    exact = [
        [float(second[i][j] / int(size) - first[i] * first[j] / int(size) ** 2) for j in range(n)] for i in range(n)
    ]
    np.testing.assert_allclose(p.covariance(), exact, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(p.variance(), np.diagonal(exact), rtol=1e-10, atol=1e-13)
    np.testing.assert_array_equal(p.covariance(), p.covariance().T)


@pytest.mark.parametrize("name", NETWORKS)
def test_centroids_equal_fractions(name: str) -> None:
    p, found = both(name)
    bits = [tuple(row.astype(int).tolist()) for row in p.patterns.unpack()]
    for own, pattern in zip(p.centroids, bits, strict=True):
        parts = [(abs(_determinant(s)), s) for s in _simplices(found.by_pattern[pattern].vertices)]
        total = sum(v for v, _ in parts)
        exact = [
            sum(v * sum(x[k] for x in s) for v, s in parts) / total / (p.dimension + 1) for k in range(p.dimension)
        ]
        np.testing.assert_allclose(own, np.array(exact, dtype=float), atol=1e-12)


def test_known_integrals() -> None:
    """|x| + |y| + |z| over the cube, and on a simplex sums of the coordinates' powers (Dirichlet's integrals)."""
    sides = np.vstack([np.eye(3), -np.eye(3)])
    p = gr.partition(gr.Network([sides, np.ones((1, 6))]), cube(3))
    assert p.mean()[0] == pytest.approx(1.5)
    assert p.variance()[0] == pytest.approx(3 * (1 / 3 - 1 / 4))
    d = 4
    simplex = gr.Polytope(np.vstack([-np.eye(d), np.ones((1, d))]), [0.0] * d + [1.0])
    q = gr.partition(gr.Network([np.vstack([np.eye(d), np.ones((1, d))])]), simplex)
    assert q.integral() == pytest.approx([1 / factorial(d + 1)] * d + [d / factorial(d + 1)])
    squares = q.integral(products=True)
    assert squares[0, 0] == pytest.approx(2 / factorial(d + 2))
    assert squares[0, 1] == pytest.approx(1 / factorial(d + 2))
    assert squares[d, d] == pytest.approx((2 * d + d * (d - 1)) / factorial(d + 2))


def test_quadrature_agrees() -> None:
    """The midpoint rule, whose error is that of the kinks: h^2 / 24 times the jumps of slopes."""
    f = random_network((5, 4), 4, n_inputs=3, n_outputs=2)
    p = gr.partition(f, cube(3))
    at = (np.arange(60) + 0.5) / 30 - 1
    y = f(np.stack(np.meshgrid(at, at, at), axis=-1).reshape(-1, 3))
    np.testing.assert_allclose(p.mean(), y.mean(axis=0), atol=2e-4)
    np.testing.assert_allclose(p.mean(products=True), y.T @ y / len(y), atol=5e-4)


def test_samples_agree_in_six_dimensions() -> None:
    f = random_network((6, 4), 2, n_inputs=6, n_outputs=2)
    p = gr.partition(f, cube(6))
    y = f(np.random.default_rng(0).uniform(-1, 1, (400_000, 6)))
    assert (np.abs(p.mean() - y.mean(axis=0)) < 5 * y.std(axis=0) / 400_000**0.5).all()
    np.testing.assert_allclose(p.covariance(), np.cov(y.T), rtol=0.02, atol=1e-3)


def test_permuted_inputs_and_large_units() -> None:
    f = random_network((7, 5), 3, n_inputs=3, n_outputs=2)
    p = gr.partition(f, cube(3))
    order = [2, 0, 1]
    first, *rest = f.layers
    g = gr.Network([first.weight[:, order], *[v.weight for v in rest]], [v.bias for v in f.layers])
    q = gr.partition(g, cube(3))
    np.testing.assert_allclose(q.integral(products=True), p.integral(products=True), rtol=1e-11)
    # Inputs in other units, by a power of two so large that cubes of them overflow.
    h = gr.Network([first.weight * 2.0**-280, *[v.weight for v in rest]], [v.bias for v in f.layers])
    far = gr.partition(h, gr.Box([-(2.0**280)] * 3, [2.0**280] * 3))
    np.testing.assert_allclose(far.covariance(), p.covariance(), rtol=1e-11)
    np.testing.assert_allclose(far.centroids * 2.0**-280, p.centroids, atol=1e-12)
    big = gr.Network([v.weight for v in h.layers[:-1]] + [h.output.weight * 2.0**200], [v.bias for v in h.layers])
    with pytest.raises(RangeError, match="integral"):
        gr.partition(big, far.domain).integral()


def test_slices_average_to_the_whole() -> None:
    """Means over parallel planes, by Simpson's rule on the third coordinate."""
    f = random_network((4,), 1, n_inputs=3)
    p: PolyhedralComplex = gr.partition(f, cube(3))  # type: ignore[assignment]
    at = np.linspace(-1, 1, 201)
    means = [gr.partition(f, gr.Slice.axes(0, 1, at=[0, 0, z], domain=gr.Box(-1, 1))).mean()[0] for z in at]
    weights = np.r_[1, np.tile([4, 2], 99), 4, 1] / 600
    assert p.mean()[0] == pytest.approx(float(weights @ means), abs=1e-5)
