"""Regions around a point: against the engines, a fraction oracle, brute force over vertices, and sampling."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import flint
import numpy as np
import pytest
import torch
from scipy.optimize import linprog

import geomrelu as gr
from geomrelu.arrays import FloatArray
from geomrelu.errors import DomainError, InputDimensionError, InputError, TooLargeError, UnsupportedLayerError
from geomrelu.exploration import pages
from geomrelu.exploration.facets import decide, row_target
from geomrelu.exploration.forms import Forms, Norm
from tests.misuse import Misuse, assert_raises
from tests.networks import Case, degenerate_cases, integer_network, random_network
from tests.oracles.fraction_polytopes import enumerate_box

DATA = Path(os.environ.get("GEOMRELU_DATA", Path(__file__).parents[2] / "shared" / "data"))
NORMS = (1.0, 2.0, np.inf)
SMALL = gr.Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, -1.0]]], [[0.0, 0.0], [0.0]])
# Regions thinner than float64 resolves next to x0: what cannot be proven is said, not guessed.
THIN = {"concurrent at a rounded point", "triangle 1e-15"}
# Many regions, whose kind others have too.
LARGE = ("fold 3", "fold 4", "grid 7", "random, bias-free", "sawtooth 5")


def keys(patterns: gr.Patterns) -> list[bytes]:
    return [row.tobytes() for row in patterns.words]


def pairs(regions: Any, names: list[bytes]) -> list[frozenset[bytes]]:
    return [frozenset((names[a], names[b])) for a, b in np.asarray(regions).tolist() if min(a, b) >= 0]


def distance_to_hull(vertices: FloatArray, x0: FloatArray, order: float) -> float:
    """From a point to a convex hull, with multipliers of its vertices as variables: nothing of the engine's."""
    k, n = vertices.shape
    if order == 2.0:
        from scipy.optimize import nnls

        # |V' s - x0| with sum s = 1, which is weighed heavily.
        table = np.vstack([vertices.T - x0[:, None], np.full((1, k), 1e5)])
        shares = nnls(table, np.append(np.zeros(n), 1e5))[0]
        return float(np.linalg.norm((vertices.T - x0[:, None]) @ shares / shares.sum()))
    width = 1 if order == np.inf else n
    cover = np.ones((n, 1)) if order == np.inf else np.eye(n)
    move = vertices.T - x0[:, None]
    upper = np.block([[move, -cover], [-move, -cover]])
    cost, sums = np.append(np.zeros(k), np.ones(width)), np.append(np.ones(k), np.zeros(width))[None]
    found = linprog(cost, upper, np.zeros(2 * n), sums, [1.0])
    return float(found.fun)


# ---- against the engines


@pytest.mark.parametrize("order", NORMS)
@pytest.mark.parametrize("d", [2, 3, 4])
def test_all_regions_of_a_box(d: int, order: float) -> None:
    """The same regions, neighbours and facets as the engines', at distances of hulls of their vertices."""
    f = random_network((5, 4) if d < 4 else (4, 3), seed=d, n_inputs=d, n_outputs=2)
    box, x0 = gr.Box([-1.0] * d, [1.0] * d), np.random.default_rng(d).uniform(-0.5, 0.5, d)
    e = gr.explore(f, x0, norm=order, domain=box, max_regions=10_000)
    p: Any = gr.partition(f, box)
    assert e.report["stopped"] == "complete"
    assert not e.report["partial"]
    names, others = keys(e.patterns), keys(p.patterns)
    assert len(set(names)) == len(names)
    assert set(names) == set(others)
    found = pairs(e.facet_regions, names)
    assert len(set(found)) == len(found)
    assert set(found) == set(pairs(p.facet_regions if d > 2 else p.edge_faces, others))
    own = {name: k for k, name in enumerate(others)}
    offsets, values = (p.region_offsets, p.region_vertices) if d > 2 else (p.face_offsets, p.face_vertices)
    for k, name in enumerate(names):
        r = own[name]
        corners = values[offsets[r] : offsets[r + 1]]
        assert e.distances[k] == pytest.approx(distance_to_hull(p.vertices[corners], x0, order), rel=1e-7, abs=1e-8)
    assert (np.diff(e.distances) >= -(e.distance_errors[1:] + e.distance_errors[:-1])).all()
    assert e.distance_errors.max() < 1e-9
    if d > 2:
        check_facets(e, p, own[names[0]], x0, order)


def check_facets(e: Any, p: Any, region: int, x0: FloatArray, order: float) -> None:
    own, facets = p.region_facets(region), e.facets()
    assert sorted(facets.neuron.tolist()) == sorted(p.facet_neuron[own].tolist())
    at = {int(neuron): k for k, neuron in enumerate(facets.neuron)}
    for m in own.tolist():
        corners = p.vertices[p.facet_vertices[p.facet_offsets[m] : p.facet_offsets[m + 1]]]
        k = at[int(p.facet_neuron[m])]
        assert facets.distances[k] == pytest.approx(distance_to_hull(corners, x0, order), rel=1e-7, abs=1e-8)
        np.testing.assert_allclose(facets.A[k] @ corners.T, facets.b[k], atol=1e-9)
    A, b, _ = p.halfspaces(region)
    np.testing.assert_allclose(np.sort((b - A @ x0).round(9)), np.sort((facets.b - facets.A @ x0).round(9)))


@pytest.mark.parametrize(
    "case", [c for c in degenerate_cases() if c.name not in THIN and not c.name.startswith(LARGE)], ids=str
)
def test_degenerate_networks(case: Case) -> None:
    """Repeated, dead, concurrent and vanishing neurons, x0 on zero sets or not: as the plane's engine has them."""
    p: Any = gr.partition(case.network, case.domain)
    others = keys(p.patterns)
    if not isinstance(case.domain, gr.Box):
        return
    # Each case has one of them; which, is fixed by its name.
    for x0 in ([[0.3, 0.2], [0.0, 0.0]][sum(case.name.encode()) % 2],):
        start = np.clip(x0, case.domain.low, case.domain.high)
        e = gr.explore(case.network, start, domain=case.domain, max_regions=10_000)
        names = keys(e.patterns)
        assert (e.report["doubts"], e.report["partial"]) == (0, False)
        assert set(names) == set(others)
        links = pairs(e.facet_regions, names)
        assert len(set(links)) == len(links)
        assert set(links) == set(pairs(p.edge_faces, others))
        home = int(p.locate([start])[0])
        if (p.patterns[home].unpack()[0] == case.network.pattern_bits(start[None])[0]).all():
            assert names[0] == others[home]


@pytest.mark.parametrize("name", sorted(THIN))
def test_what_cannot_be_proven_bounds_the_radius(name: str) -> None:
    case = next(c for c in degenerate_cases() if c.name == name)
    p: Any = gr.partition(case.network, case.domain)
    e = gr.explore(case.network, [0.3, 0.2], domain=case.domain)
    assert e.report["doubts"] > 0
    assert e.report["partial"]
    assert e.radius < e.report["within"]
    assert set(keys(e.patterns)) <= set(keys(p.patterns))
    centroids = np.linalg.norm(p.vertices[p.face_vertices] - [0.3, 0.2], axis=1)
    nearest = np.minimum.reduceat(centroids, p.face_offsets[:-1])
    assert {k for k, d in zip(keys(p.patterns), nearest, strict=True) if d < e.radius} <= set(keys(e.patterns))


@pytest.mark.parametrize(("order", "seed"), [(2.0, 0), (np.inf, 1), (1.0, 2)])
def test_integer_networks_in_three_dimensions(order: float, seed: int) -> None:
    f, box = integer_network((4, 3), seed=seed, n_inputs=3), gr.Box([-1.0] * 3, [1.0] * 3)
    e, oracle = gr.explore(f, [0.0, 0.5, 0.25], norm=order, domain=box), enumerate_box(f, [-1] * 3, [1] * 3)
    found = [tuple(row) for row in e.patterns.unpack().astype(int).tolist()]
    assert sorted(found) == sorted({cell.pattern for cell in oracle.cells})
    links = {frozenset((found[a], found[b])) for a, b in e.facet_regions.tolist()}
    assert links == oracle.neighbors
    assert len(links) == len(e.facet_regions)


def degenerate(kind: str, d: int) -> gr.Network:
    """Few lines, planes and spaces, that coincide or all meet at 0."""
    rng = np.random.default_rng([d, *kind.encode()])
    sizes = [d, 4, 3, 2]
    weights = [rng.integers(-2, 3, (m, n)).astype(float) for n, m in pairwise(sizes)]
    biases = [rng.integers(-1, 2, len(w)) / 2 for w in weights]
    if kind == "bias-free":
        biases = [0 * b for b in biases]
    elif kind == "repeated":
        weights[0][2:], biases[0][2:] = weights[0][:2] * [[2.0], [-1.0]], biases[0][:2] * [2.0, -1.0]
    return gr.Network(weights, biases)


def square_of_distance(vertices: list[tuple[Fraction, ...]], x0: list[Fraction]) -> Fraction:
    """From a point to a convex hull, exactly: the nearest point is a foot on a simplex of vertices, inside it."""
    found = [sum(((a - b) ** 2 for a, b in zip(v, x0, strict=True)), Fraction(0)) for v in vertices]
    for size in range(2, len(x0) + 2):
        for first, *others in combinations(vertices, size):
            steps = [[a - b for a, b in zip(v, first, strict=True)] for v in others]
            aim = [a - b for a, b in zip(x0, first, strict=True)]
            gram = flint.fmpq_mat([[dot(s, t) for t in steps] for s in steps])
            if gram.det() == 0:
                continue
            shares = gram.solve(flint.fmpq_mat([[dot(s, aim)] for s in steps])).entries()
            if min(shares) >= 0 and sum(shares) <= 1:
                foot = [sum((t * rational(s[j]) for t, s in zip(shares, steps, strict=True)), flint.fmpq(0))
                        - rational(aim[j]) for j in range(len(x0))]  # fmt: skip
                square = sum((v * v for v in foot), flint.fmpq(0))
                found.append(Fraction(int(square.p), int(square.q)))
    return min(found)


def rational(v: Fraction) -> flint.fmpq:
    return flint.fmpq(v.numerator, v.denominator)


def dot(a: list[Fraction], b: list[Fraction]) -> flint.fmpq:
    return rational(sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0)))


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("kind", ["bias-free", "repeated", "whole numbers"])
def test_degenerate_networks_within_a_radius(kind: str, d: int) -> None:
    """The engines' regions that lie within a ball, all of them and no others, at their distances in fractions.

    x0 is 0, where all zero sets of networks without biases meet: regions that share 0 alone are all at distance 0.
    """
    f = degenerate(kind, d)
    p: Any = gr.partition(f, gr.Box([-1.0] * d, [1.0] * d))
    oracle = enumerate_box(f, [-1] * d, [1] * d)
    assert {cell.pattern for cell in oracle.cells} == {tuple(row) for row in p.patterns.unpack().astype(int).tolist()}
    for x0, radius in (([0.0] * d, 0.6), ([0.375, -0.25, 0.125][:d], 0.5)):
        e = gr.explore(f, x0, max_radius=radius, domain=p.domain)
        assert (e.report["doubts"], e.report["stopped"]) == (0, "max_radius")
        at = [Fraction(v) for v in x0]
        squares = {cell.pattern: square_of_distance(list(cell.vertices), at) for cell in oracle.cells}
        names = [tuple(row) for row in e.patterns.unpack().astype(int).tolist()]
        assert len(set(names)) == len(names) > 1
        assert set(names) == {name for name, square in squares.items() if square < Fraction(radius) ** 2}
        for name, distance, error in zip(names, e.distances.tolist(), e.distance_errors.tolist(), strict=True):
            middle, blur = Fraction(distance), Fraction(error)
            assert max(middle - blur, Fraction(0)) ** 2 <= squares[name] <= (middle + blur) ** 2


@pytest.mark.parametrize("order", NORMS)
def test_a_radius_cuts_off_what_is_farther(order: float) -> None:
    f, x0 = random_network((4, 3), seed=3, n_inputs=3), [0.1, -0.2, 0.3]
    whole = gr.explore(f, x0, norm=order, domain=gr.Box([-0.4, -0.7, -0.2], [0.6, 0.3, 0.8]))
    part = gr.explore(f, x0, norm=order, max_radius=0.5)
    inside = whole.distances < 0.5
    assert inside.sum() > 5
    assert set(keys(part.patterns)) == {k for k, near in zip(keys(whole.patterns), inside, strict=True) if near}
    assert part.radius == 0.5
    assert part.report["stopped"] == "max_radius"
    facets = whole.facet_distances < 0.5
    assert sorted(part.facet_distances.round(9)) == sorted(whole.facet_distances[facets].round(9))


def test_a_polytope_as_domain() -> None:
    f = random_network((6,), seed=1, n_inputs=3)
    simplex = gr.Polytope([[-1, 0, 0], [0, -1, 0], [0, 0, -1], [1, 1, 1]], [1, 1, 1, 1])
    e, p = gr.explore(f, [-0.2, 0.1, 0.0], domain=simplex), gr.partition(f, simplex)
    assert set(keys(e.patterns)) == set(keys(p.patterns))
    own = keys(p.patterns).index(keys(e.patterns)[0])
    assert sorted(e.facets().neuron.tolist()) == sorted(p.facet_neuron[p.region_facets(own)].tolist())


# ---- exactly, on a network that can be done by hand


def test_distances_in_fractions() -> None:
    """Three lines around (1/3, 1/4): squares of distances are rational."""
    f = gr.Network([[[3.0, 4.0], [1.0, -1.0], [1.0, 0.0]], [[1.0, 1.0, 1.0]]], [[-5.0, 0.0, -1.0], [1.0]])
    x0 = [0.25, 0.375]
    e = gr.explore(f, x0)
    x, y = (Fraction(v) for v in x0)
    lines = {0: (3, 4, -5), 1: (1, -1, 0), 2: (1, 0, -1)}
    expected = {k: (a * x + b * y + c) ** 2 / Fraction(a * a + b * b) for k, (a, b, c) in lines.items()}
    facets = e.facets()
    near = {int(k): (d, err) for k, d, err in zip(facets.neuron, facets.distances, facets.errors, strict=True)}
    assert set(near) == {0, 1}  # the line x = 1 touches the region behind its corner at (5/7, 5/7) only
    for k in (0, 1):
        middle, error = (Fraction(float(v)) for v in near[k])
        assert max(middle - error, 0) ** 2 <= expected[k] <= (middle + error) ** 2
    assert e.border is not None
    assert e.border.neuron == 1
    assert Fraction(e.border.distance) - Fraction(e.border.error) <= Fraction(e.border.distance)
    assert e.report["stopped"] == "complete"
    assert e.n_regions == 7  # of three lines in general position


def test_walk_crosses_a_corner_when_that_is_nearest() -> None:
    """The region across a corner is as far as the corner, though both lines around are nearer."""
    f = gr.Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]])
    for order, corner in ((2.0, 5.0), (1.0, 7.0), (np.inf, 4.0)):
        e = gr.explore(f, [3.0, 4.0], norm=order)
        assert e.patterns.unpack().tolist() == [[True, True], [False, True], [True, False], [False, False]]
        np.testing.assert_allclose(e.distances, [0.0, 3.0, 4.0, corner])
        assert e.parents.tolist()[:3] == [-1, 0, 0]
        assert e.entry_neuron.tolist()[:3] == [-1, 0, 1]


# ---- many inputs


def test_many_inputs_by_sampling() -> None:
    """100,000 points nearer than the border have x0's pattern, and nearer than the boundary its class."""
    f = random_network((40, 30), seed=5, n_inputs=60, n_outputs=5)
    rng = np.random.default_rng(0)
    x0 = rng.normal(size=60)
    for order in (2.0, np.inf):
        e = gr.explore(f, x0, max_regions=60 if order == 2.0 else 8, norm=order)
        assert e.border is not None
        steps = rng.normal(size=(100_000, 60)) if order == 2.0 else rng.uniform(-1, 1, (100_000, 60))
        steps /= np.linalg.norm(steps, ord=order, axis=1)[:, None]
        inside = x0 + steps * (e.border.distance - e.border.error) * (1 - 1e-9)
        assert (f.pattern_bits(inside) == e.patterns[0].unpack()).all()
        beyond = x0 + (e.border.point - x0) * (1 + 1e-7)
        assert (f.pattern_bits(beyond[None])[0] != e.patterns[0].unpack()[0]).nonzero()[0].tolist() == [e.border.neuron]
        # Patterns met by chance within the radius are all in the list.
        some = x0 + steps[:20_000] * e.radius * (1 - 1e-9)
        assert set(keys(f.patterns(some))) <= set(keys(e.patterns))
        assert len(set(keys(f.patterns(some)))) > 2


@pytest.mark.parametrize("order", NORMS)
def test_nearest_decision_boundary(order: float) -> None:
    f = random_network((8, 6), seed=11, n_inputs=6, n_outputs=3)
    x0 = np.random.default_rng(1).normal(size=6) * 0.3
    e = gr.explore(f, x0, norm=order, max_regions=40)
    assert e.boundary is not None
    leader, other = e.boundary.classes
    at = f(e.boundary.point[None])[0]
    assert np.argmax(f(x0[None])[0]) == leader
    assert at[leader] == pytest.approx(at[other], abs=1e-9)
    assert at.max() == pytest.approx(at[leader], abs=1e-9)
    beyond = x0 + (e.boundary.point - x0) * (1 + 1e-6)
    assert np.argmax(f(beyond[None])[0]) == other
    assert e.boundary.distance == pytest.approx(np.linalg.norm(e.boundary.point - x0, ord=order), rel=1e-9)
    rng = np.random.default_rng(2)
    steps = rng.uniform(-1, 1, (100_000, 6))
    steps *= ((e.boundary.distance - e.boundary.error) * (1 - 1e-9) / np.linalg.norm(steps, ord=order, axis=1))[:, None]
    assert (np.argmax(f(x0 + steps), axis=1) == leader).all()


def test_boundary_by_the_planar_engine() -> None:
    """The nearest point of the plane engine's exact segments; one output counts where it is zero."""
    for f in (random_network((6, 5), seed=5, n_outputs=3), random_network((6, 5), seed=4)):
        x0 = np.array([0.15, -0.1])
        e = gr.explore(f, x0, domain=gr.Box(-1, 1))
        ends = gr.partition(f, gr.Box(-1, 1)).decision_boundary().segments
        a, b = ends[:, 0], ends[:, 1]
        along = np.clip(((x0 - a) * (b - a)).sum(axis=1) / ((b - a) ** 2).sum(axis=1), 0.0, 1.0)
        nearest = np.linalg.norm(a + along[:, None] * (b - a) - x0, axis=1).min()
        assert e.boundary is not None
        assert e.boundary.distance == pytest.approx(nearest, abs=1e-9)


def test_no_boundary_is_proven_or_not_reached() -> None:
    far = gr.Network([np.eye(3), np.ones((1, 3))], [np.zeros(3), [1.0]])  # at least 1 everywhere
    e = gr.explore(far, [1.0, 2.0, 3.0], max_radius=100.0)
    assert (e.boundary, e.report["boundary"], e.report["border"]) == (None, "none within the radius", "found")
    near = gr.explore(far, [1.0, 2.0, 3.0], max_radius=0.5)
    assert (near.border, near.report["border"], near.n_regions) == (None, "none within the radius", 1)
    cut = gr.explore(far, [1.0, 2.0, 3.0], max_regions=2)
    assert (cut.boundary, cut.report["boundary"], cut.report["partial"]) == (None, "not reached", True)
    assert cut.n_regions == 2
    assert cut.radius == pytest.approx(2.0)


def test_ties_at_x0() -> None:
    two = gr.Network([np.eye(2), np.eye(2)])
    e = gr.explore(two, [1.0, 1.0])
    assert e.boundary is not None
    assert (e.boundary.distance, e.boundary.error, e.boundary.classes) == (0.0, 0.0, (0, 1))
    zero = gr.explore(SMALL, [2.0, 2.0])
    assert zero.boundary is not None
    assert zero.boundary.distance == 0.0


def test_an_affine_model_has_one_region() -> None:
    e = gr.explore(gr.Network([[[3.0, 4.0]]], [[-5.0]]), [0.0, 0.0])
    assert (e.n_regions, e.border, e.report["stopped"], e.chebyshev().radius) == (1, None, "complete", np.inf)
    assert e.boundary is not None
    assert e.boundary.distance == pytest.approx(1.0)
    assert len(e.facets().neuron) == 0


# ---- the largest ball


@pytest.mark.parametrize("order", NORMS)
def test_chebyshev_ball(order: float) -> None:
    """In [-1, 3] x [0, 2] it has radius 1 in all three norms; it lies inside for certain."""
    f = gr.Network([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[1.0, 0.0], [0.0]])
    e = gr.explore(f, [1.0, 1.5], norm=order, domain=gr.Box([-2, -2], [3, 2]))
    ball = e.chebyshev()
    assert ball.radius == pytest.approx(1.0, abs=1e-9)
    assert ball.radius <= 1.0
    A, b, *_ = e.facets()
    dual = {1.0: np.inf, 2.0: 2.0, np.inf: 1.0}[order]
    assert (A @ ball.center + ball.radius * np.linalg.norm(A, ord=dual, axis=1) <= b + 1e-12).all()
    open_region = gr.explore(f, [1.0, 1.5], norm=order)
    assert open_region.chebyshev().radius == np.inf
    assert np.isnan(open_region.chebyshev().center).all()


# ---- what is certain about bounds


def test_bounds_of_pages_hold() -> None:
    """No bound that rows are put off by exceeds the distance of the row's facet."""
    f = random_network((20, 15), seed=7, n_inputs=10)
    x0 = np.random.default_rng(7).normal(size=10)
    for order in NORMS:
        forms = Forms(f, x0, Norm(order))
        rows, _ = forms.region(f.pattern_bits(x0[None])[0])
        some = np.argsort(np.abs(rows.value) / rows.size)[:30]
        bounds = pages.page_bounds(forms, rows, some)
        found = 0
        for k, bound in zip(some.tolist(), bounds.tolist(), strict=True):
            verdict = decide(forms, rows, row_target(forms, rows, k), 1e6)
            assert verdict.kind in {"facet", "far"}
            if verdict.kind == "facet":
                found += 1
                assert bound <= verdict.upper
                assert verdict.lower <= verdict.upper
        assert found > 5


def test_forms_are_within_their_bounds() -> None:
    """Values and gradients of a deep network against integers."""
    f = random_network((12, 10, 8), seed=3, n_inputs=9, dtype=np.float32)
    x0 = np.random.default_rng(3).normal(size=9)
    forms = Forms(f, x0, Norm(2.0))
    bits = f.pattern_bits(x0[None])[0]
    rows, _ = forms.region(bits)
    at = forms.exact_at(x0)
    gradients, blur = forms.take(rows, np.arange(30))
    for layer, own in enumerate(f.hidden):
        values, first = at.forms(layer, forms.words(bits)), int(forms.firsts[layer])
        for j in range(own.n_neurons):
            k = first + j
            sign = 1 if bits[k] else -1
            true = Fraction(int(values[j, 0]) * sign, 1 << at.scales[layer])
            assert abs(true - Fraction(rows.value[k])) <= Fraction(rows.error[k])
            exact = [Fraction(v, 1 << forms.exact.scales[layer]) for v in forms.exact_row(rows, k)[:-1]]
            off = sum((a - Fraction(b)) ** 2 for a, b in zip(exact, gradients[k].tolist(), strict=True))
            assert off <= Fraction(blur[k]) ** 2
            size = float(np.sqrt(float(sum(a * a for a in exact))))
            assert rows.size[k] == pytest.approx(size, rel=1e-12)
    assert (blur[12:] > 0).all()
    assert blur.max() < 1e-12


# ---- models


def test_convolutions() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(27, 8),
        torch.nn.ReLU(), torch.nn.Linear(8, 3),
    )  # fmt: skip
    x0 = torch.rand(1, 8, 8)
    e = gr.explore(model, x0, max_regions=12, domain=gr.Box(np.zeros(64), np.ones(64)))
    assert e.n_regions == 12
    points = e.point + np.random.default_rng(0).normal(size=(2000, 64)) * e.radius / 40
    inside = (np.linalg.norm(points - e.point, axis=1) < e.radius) & ((points >= 0) & (points <= 1)).all(axis=1)
    assert set(keys(e.network.patterns(points[inside]))) <= set(keys(e.patterns))
    with torch.no_grad():
        own = model.double()(x0[None].double())[0].numpy()
    maps = e.input_maps([0])
    np.testing.assert_allclose(maps.A[0] @ e.point + maps.b[0], own, atol=1e-6)


def test_residual_networks_carry_passing_units() -> None:
    class Residual(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = torch.nn.Linear(3, 4), torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c(torch.relu(x + self.b(torch.relu(self.a(x)))))

    torch.manual_seed(1)
    box = gr.Box([-1.0] * 3, [1.0] * 3)
    model = Residual().double()
    e, p = gr.explore(model, [0.1, 0.2, 0.3], domain=box), gr.partition(model, box)
    assert set(keys(e.patterns)) == set(keys(p.patterns))


def test_result_is_read_only_and_pickles() -> None:
    e = gr.explore(SMALL, [1.0, 2.0])
    assert not e.distances.flags.writeable
    with pytest.raises(AttributeError):
        e.radius = 1.0  # type: ignore[misc]
    e.facets()
    twin = pickle.loads(pickle.dumps(e))
    np.testing.assert_array_equal(twin.distances, e.distances)
    assert not twin.facet_regions.flags.writeable
    assert twin.facets().neuron.tolist() == e.facets().neuron.tolist()
    assert "4 regions" in repr(e)


# ---- limits


def test_an_interrupt_keeps_what_was_found() -> None:
    f = random_network((60, 60), seed=0, n_inputs=30)
    started = threading.Event()

    def interrupt() -> None:
        started.wait(60)
        time.sleep(0.5)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    e = gr.explore(f, np.full(30, 0.1), max_regions=10**6, progress=lambda message, fraction: started.set())
    thread.join()
    assert (e.report["stopped"], e.report["partial"]) == ("interrupted", True)
    assert e.n_regions >= 1
    again = gr.explore(f, np.full(30, 0.1), max_regions=e.n_regions)
    assert keys(again.patterns)[: e.n_regions] == keys(e.patterns)
    assert e.radius > 0


def test_progress_ends_at_one() -> None:
    told: list[tuple[str, float]] = []
    gr.explore(SMALL, [1.0, 2.0], progress=lambda message, fraction: told.append((message, fraction)))
    assert told[-1] == ("4 regions", 1.0)


def pool() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 1, 1), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(1, 1)
    )


MISUSE: list[Misuse] = [
    ("shape", lambda: gr.explore(SMALL, [1.0, 2.0, 3.0]), InputDimensionError, ("x0", "3 numbers", "2")),
    ("nan", lambda: gr.explore(SMALL, [np.nan, 2.0]), InputError, ("x0", "nan", "finite")),
    ("text", lambda: gr.explore(SMALL, "here"), InputError, ("x0",)),
    ("norm", lambda: gr.explore(SMALL, [1.0, 2.0], norm=3), InputError, ("norm=3", "1, 2 or 'inf'")),
    ("norm's name", lambda: gr.explore(SMALL, [1.0, 2.0], norm="max"), InputError, ("norm='max'", "'inf'")),
    ("radius", lambda: gr.explore(SMALL, [1.0, 2.0], max_radius=-1), InputError, ("max_radius=-1", "above 0")),
    ("radius nan", lambda: gr.explore(SMALL, [1.0, 2.0], max_radius=np.nan), InputError, ("max_radius=nan", "above 0")),
    ("regions", lambda: gr.explore(SMALL, [1.0, 2.0], max_regions=0), InputError, ("max_regions=0", "at least 1")),
    ("regions half", lambda: gr.explore(SMALL, [1.0, 2.0], max_regions=1.5), InputError, ("max_regions=1.5", "whole")),
    ("domain", lambda: gr.explore(SMALL, [1.0, 2.0], domain=3), DomainError, ("domain 3", "gr.Box")),  # type: ignore[arg-type]
    ("outside", lambda: gr.explore(SMALL, [1.0, 2.0], domain=gr.Box(-1, 1)), DomainError, ("x0", "domain")),
    (
        "dimension", lambda: gr.explore(SMALL, [1.0, 2.0], domain=gr.Box([-3] * 3, [3] * 3)), InputDimensionError,
        ("dimension 3", "2"),
    ),
    ("pool", lambda: gr.explore(pool(), np.ones((1, 2, 2))), UnsupportedLayerError, ("max pooling", "gr.Slice")),
    ("progress", lambda: gr.explore(SMALL, [1.0, 2.0], progress=3), InputError, ("progress",)),  # type: ignore[arg-type]
    ("facets", lambda: gr.explore(SMALL, [1.0, 2.0]).facets(9), InputError, ("region 9", "0 to 3")),
    ("ball", lambda: gr.explore(SMALL, [1.0, 2.0]).chebyshev(-1), InputError, ("region -1", "0 to 3")),
]  # fmt: skip


@pytest.mark.parametrize("row", MISUSE, ids=[row[0] for row in MISUSE])
def test_bad_input(row: Misuse) -> None:
    assert_raises(*row[1:])


def test_tables_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomrelu.exploration.build._MOST_NUMBERS", 3)
    with pytest.raises(TooLargeError, match="table"):
        gr.explore(random_network((4, 4), seed=0), [0.0, 0.0])


@pytest.mark.skipif(not (DATA / "onnx").is_dir(), reason="needs ../shared/data (or GEOMRELU_DATA): MNIST")
def test_mnist() -> None:
    from geomrelu.importers.files import read_model

    f = read_model(DATA / "onnx" / "mnist-net_256x2.onnx")
    x0 = np.load(DATA / "mnist_inputs.npz")["x"][1]
    e = gr.explore(f, x0, max_regions=40)
    assert (e.n_regions, e.report["doubts"]) == (40, 0)
    assert e.distance_errors.max() < 1e-7
    steps = np.random.default_rng(0).normal(size=(2000, 784))
    steps /= np.linalg.norm(steps, axis=1)[:, None]
    assert set(keys(f.patterns(e.point + steps * e.radius))) <= set(keys(e.patterns))
    assert e.border is not None
    assert (f.pattern_bits(e.point + steps * e.border.distance * 0.999999) == e.patterns[0].unpack()).all()
