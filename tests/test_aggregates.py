"""Streamed aggregates are those of the partition, and of an enumeration in fractions; errors are bounds."""

from __future__ import annotations

import math
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.analysis.aggregates import AGGREGATES, aggregate
from geomrelu.analysis.measures import MEASURES, _join_largest, _largest, _largest_error, _spectral_norms, decades
from geomrelu.errors import InputError
from geomrelu.planar.cutter import Cutter, Task, root_block
from geomrelu.planar.forecast import expected_faces
from tests.drawn import ENTRIES, drawn_networks
from tests.networks import SQUARE, Case, degenerate_cases, integer_network, random_cases, random_network
from tests.oracles.fraction_definitions import activation_patterns
from tests.oracles.fraction_enumerator import Enumeration, enumerate_regions
from tests.soundness import INTERPRETED
from tests.test_engine_pools import build

CASES = [*degenerate_cases(), *random_cases()]
if INTERPRETED:
    CASES = CASES[::6]
EXAMPLES = 10 if INTERPRETED else 40
COUNTS = ("activation", "proper_activation", "open_connected", "affine")
ORDERS = {"lipschitz": 2, "lipschitz_1": 1, "lipschitz_inf": np.inf}


# ------------------------------------------------------------------ counts by definition


@pytest.mark.parametrize("block_values", [1, 300, 1 << 40])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_counts_by_definition_are_those_of_the_partition(case: Case, block_values: int) -> None:
    """Down to blocks of one face: borders through every vertex, and blocks in blocks."""
    p = gr.partition(case.network, case.domain)
    found = aggregate(case.network, case.domain, COUNTS, block_values=block_values)
    assert dict(found) == {name: p.count(name) for name in COUNTS}


@given(st.sampled_from(sorted(ENTRIES)).flatmap(lambda kind: drawn_networks(ENTRIES[kind], most_outputs=2)))
@settings(max_examples=EXAMPLES, deadline=None)
def test_counts_and_measures_against_fractions(network: gr.Network) -> None:
    oracle = enumerate_regions(network, SQUARE.vertices)
    found = aggregate(network, SQUARE, AGGREGATES, block_values=1)
    assert found["activation"] == len(activation_patterns(network, oracle))
    assert found["regions"] == found["proper_activation"] == oracle.n_regions
    assert found["open_connected"] == oracle.n_linear_regions
    assert found["affine"] == oracle.n_affine_pieces
    assert_extrema(found["extrema"], oracle)
    for name, order in ORDERS.items():
        assert_lipschitz(found[name], order, oracle)
    for o in range(network.n_outputs):
        exact = sum(c.area * _at(c.map[o], _centroid(c.polygon)) for c in oracle.cells)
        assert found["integral"][o] == pytest.approx(float(exact), rel=1e-9, abs=1e-9)


def _at(form: Any, point: Any) -> Fraction:
    return form[0] * point[0] + form[1] * point[1] + form[2]


def _centroid(polygon: Any) -> tuple[Fraction, Fraction]:
    area, x, y = Fraction(0), Fraction(0), Fraction(0)
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        cross = x0 * y1 - x1 * y0
        area, x, y = area + cross, x + (x0 + x1) * cross, y + (y0 + y1) * cross
    return x / (3 * area), y / (3 * area)


def assert_extrema(told: list[dict[str, Any]], oracle: Enumeration) -> None:
    """Within the error told, which is small."""
    for o, facts in enumerate(told):
        values = [_at(c.map[o], x) for c in oracle.cells for x in c.polygon]
        for name, exact in (("minimum", min(values)), ("maximum", max(values))):
            error = Fraction(facts[f"{name}_error"])
            assert abs(Fraction(facts[name]) - exact) <= error <= Fraction(1, 10**9)
            near = min(
                abs(_at(c.map[o], x) - exact)
                for c in oracle.cells
                for x in c.polygon
                if math.dist(x, facts[f"{name}_at"]) <= facts[f"{name}_at_error"] + 1e-15
            )
            assert near <= 2 * error


def assert_lipschitz(told: dict[str, Any], order: float, oracle: Enumeration) -> None:
    low, high = (Fraction(told["constant"]) + sign * Fraction(told["error"]) for sign in (-1, 1))
    assert told["error"] <= 1e-9
    maps = [[row[:2] for row in c.map] for c in oracle.cells]
    if order == 2:
        # Squares of singular values are the roots of t^2 - trace t + determinant.
        above = [_beyond(m, high) for m in maps]
        reached = [low <= 0 or not _beyond(m, low) for m in maps]
        assert all(above)
        assert any(reached)
        return
    axes = [m if order == np.inf else list(zip(*m, strict=True)) for m in maps]
    exact = max(sum(abs(v) for v in row) for m in axes for row in m)
    assert low <= exact <= high


def _beyond(matrix: Any, norm: Fraction) -> bool:
    """Whether a number is at least, and a little more than, the matrix's largest singular value."""
    trace = sum(v * v for row in matrix for v in row)
    a, b, c = (sum(row[i] * row[j] for row in matrix) for i, j in ((0, 0), (0, 1), (1, 1)))
    t = norm * norm
    return bool(2 * t >= trace and t * t - trace * t + a * c - b * b >= 0)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_counts_do_not_depend_on_workers(n_jobs: int) -> None:
    network = integer_network((8, 8, 6), 1)
    expected = aggregate(network, SQUARE, AGGREGATES, block_values=500)
    assert dict(aggregate(network, SQUARE, AGGREGATES, block_values=500, n_jobs=n_jobs)) == dict(expected)


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")
def test_counts_in_processes() -> None:
    network = integer_network((8, 8, 6), 1)
    with joblib.parallel_config("loky", n_jobs=2):
        found = aggregate(network, SQUARE, AGGREGATES, block_values=500)
    assert dict(found) == dict(aggregate(network, SQUARE, AGGREGATES, block_values=500))


@pytest.mark.parametrize("block_values", [1, 100, 1 << 40])
def test_networks_with_a_pooling(block_values: int) -> None:
    network, _ = build(random_network((6,), 3), [[0, 1, 2], [2, 3, 4, 5]], (5,), 1)
    p = gr.partition(network, SQUARE)
    names = [name for name in AGGREGATES if name != "activation"]
    found = aggregate(network, SQUARE, names, block_values=block_values)
    assert {name: found[name] for name in COUNTS[1:]} == {name: p.count(name) for name in COUNTS[1:]}
    assert found["area"]["total"] == pytest.approx(4.0)
    # Edges and vertices that only losers make are told apart on a kept partition only.
    assert all(set(layer) == {"regions"} for layer in found.report["layers"])
    with pytest.raises(InputError, match="max pooling is counted on a kept partition only"):
        gr.aggregate(network, SQUARE, ["activation"])


@pytest.mark.parametrize(("name", "why"), [("convex", "minimum over complexes"), ("closed_connected", "paths")])
def test_definitions_that_do_not_compose_are_refused(name: str, why: str) -> None:
    with pytest.raises(InputError, match=f"{name!r} cannot be counted without keeping the partition.*{why}"):
        gr.aggregate(random_network((3,), 1), SQUARE, ["regions", name])


@pytest.mark.parametrize("block_values", [1, 500, 1 << 40])
@pytest.mark.parametrize("network", [random_network((10, 10), 4, n_outputs=2), integer_network((7, 5), 3)], ids=str)
def test_aggregates_are_those_of_the_partition(network: gr.Network, block_values: int) -> None:
    p = gr.partition(network, SQUARE)
    found = aggregate(network, SQUARE, AGGREGATES, block_values=block_values)
    assert found["regions"] == p.n_regions == gr.count_regions(network, SQUARE)
    assert found.report["layers"] == p.report["layers"]
    assert found["area"]["total"] == pytest.approx(4.0)
    assert found["area"]["smallest"] == pytest.approx(p.areas.min(), rel=1e-6)
    assert found["area"]["largest"] == pytest.approx(p.areas.max())
    assert sum(found["area_decades"].values()) == p.n_regions
    active = p.patterns.unpack().sum(axis=1)
    assert found["active_neurons"] == {int(k): int((active == k).sum()) for k in np.unique(active)}
    for name, order in ORDERS.items():
        norms = np.linalg.norm(p.affine_maps.A, ord=order, axis=(1, 2))
        assert found[name]["constant"] == pytest.approx(norms.max(), rel=1e-12)
        assert norms[p.locate([found[name]["at"]])[0]] == pytest.approx(norms.max(), rel=1e-12)
    lengths = np.linalg.norm(p.affine_maps.A, axis=2)
    for told, own in zip(found["gradient_decades"], lengths.T, strict=True):
        assert told["zero"] == (own == 0).sum()
        assert sum(told["decades"].values()) == (own > 0).sum()
        for k, n in told["decades"].items():
            assert n == ((own >= float(f"1e{k}")) & (own < float(f"1e{k + 1}"))).sum()


def test_extrema_and_integrals_beside_samples() -> None:
    network = random_network((10, 10), 4, n_outputs=2)
    found = gr.aggregate(network, SQUARE, ["extrema", "integral"])
    grid = (np.stack(np.meshgrid(*[np.arange(400)] * 2), axis=-1).reshape(-1, 2) + 0.5) / 200 - 1
    values = network(grid)
    for o, extrema in enumerate(found["extrema"]):
        # A sample may never exceed an extremum, and comes near it.
        assert extrema["minimum"] <= values[:, o].min() <= extrema["minimum"] + 0.05
        assert extrema["maximum"] >= values[:, o].max() >= extrema["maximum"] - 0.05
        np.testing.assert_allclose(network([extrema["maximum_at"]])[0, o], extrema["maximum"], rtol=1e-12)
    np.testing.assert_allclose(found["integral"], 4 * values.mean(axis=0), rtol=1e-4)


def test_names_may_be_an_iterator() -> None:
    found = gr.aggregate(random_network((3,), 1), SQUARE, (name for name in ["regions", "area"]))
    assert list(found) == ["regions", "area"]


def test_integrals_over_a_domain_whose_areas_underflow() -> None:
    """The integral of 2^200 x over [0, s]^2 is 2^200 s^3 / 2."""
    network = gr.Network([[[1.0, 0.0]], [[2.0**200]]])
    half = gr.aggregate(network, gr.Box(0, 2.0**-360), ["integral"])["integral"][0]
    assert half == pytest.approx(2.0 ** (200 - 3 * 360 - 1), rel=1e-12)


@pytest.mark.parametrize("names", [["area", "volume"], [], "perimeter", None, [[]], 3])
def test_unknown_aggregates(names: Any) -> None:
    with pytest.raises(InputError, match="expected a list of names from regions, activation"):
        gr.aggregate(random_network((3,), 1), SQUARE, names)


# ------------------------------------------------------------------ memory


def waves(n: int, widths: tuple[int, ...]) -> gr.Network:
    """Random layers behind two triangle waves of n half-periods: as many regions in every cell of the waves."""
    rng = np.random.default_rng(0)
    kinks = np.arange(n) - n // 2 + np.array([[0.41], [0.57]])
    directions = [[np.cos(angle), np.sin(angle)] for angle in (0.3, 1.9)]
    slopes = 4 * (-1.0) ** np.arange(n)
    slopes[0] /= 2
    sizes = (2, *widths, 1)
    weights = [rng.standard_normal((b, a)) * np.sqrt(2 / a) for a, b in pairwise(sizes)]
    biases = [rng.uniform(-1, 1, b) / np.sqrt(a) for a, b in pairwise(sizes)]
    biases[0] -= weights[0].sum(axis=1)
    weights[0] = weights[0] @ np.kron(np.eye(2), slopes)
    return gr.Network([np.repeat(directions, n, axis=0), *weights], [-kinks.ravel(), *biases])


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels take the smaller cases")
def test_memory_does_not_grow_with_the_domain() -> None:
    """Of arrays, as tracemalloc has it: what the process holds depends on the system's allocator, too."""
    network, names = waves(16, (12, 12)), ["regions", *MEASURES, "open_connected"]
    aggregate(network, gr.Box(-4, 4), names, block_values=8000)  # imports and compiles
    peaks, regions = [], []
    for half in (4, 8):
        tracemalloc.start()
        # In a thread of its own, whose pool is empty: memory from before would not be seen.
        with ThreadPoolExecutor(1) as thread:
            run = thread.submit(aggregate, network, gr.Box(-half, half), names, block_values=8000)
            regions.append(run.result()["regions"])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert regions[1] > 3 * regions[0]
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("network", [waves(8, (16, 16)), random_network((24, 24, 24), 1)], ids=["waves", "random"])
def test_forecasts_are_near(network: gr.Network) -> None:
    """Within a factor of two of what a layer leaves, and never below the faces that it is given."""
    task = Task(network, gr.Box(-3, 3))
    cutter = Cutter(task, root_block(task))
    cutter.advance()
    while cutter.layer < len(network.hidden):
        expected = expected_faces(cutter, 0)
        before = cutter.n_faces
        cutter.advance()
        assert before <= expected
        assert 0.5 < expected / cutter.n_faces < 2
    assert expected_faces(cutter, 0) == cutter.n_faces


# ------------------------------------------------------------------ parts


def test_errors_reach_the_farther_end() -> None:
    """The largest of 1 +- 0.5, 2 +- 0.1 and 1.9 +- 0.4 is between 1.9 and 2.3."""
    state = _largest(np.array([[1.0], [2.0], [1.9]]), np.array([[0.5], [0.1], [0.4]]), np.arange(3.0)[:, None])
    assert state["value"][0] == 2.0
    assert state["place"].tolist() == [[1.0]]
    assert state["low"][0] == 1.9
    assert state["high"][0] == pytest.approx(2.3)
    assert 0.3 <= _largest_error(state)[0] < 0.301


def test_errors_of_all_blocks_count() -> None:
    """The largest of 1 +- 5 and 2 +- 0.1 is between 1.9 and 6, whichever block comes first."""
    blocks = [_largest(np.array([[v]]), np.array([[e]]), np.array([[v, 0.0]])) for v, e in ((1.0, 5.0), (2.0, 0.1))]
    for order in (blocks, blocks[::-1]):
        state = _join_largest(order)
        assert state["place"].tolist() == [[2.0, 0.0]]
        assert (state["low"][0], state["high"][0]) == (1.9, 6.0)
        assert 4.0 <= _largest_error(state)[0] < 4.01


def test_what_overflowed_has_an_infinite_error() -> None:
    state = _largest(np.array([[1.0], [np.nan]]), np.array([[0.5], [0.1]]), np.zeros((2, 1)))
    assert state["value"][0] == 1.0
    assert _largest_error(state)[0] == np.inf


@pytest.mark.parametrize("k", range(-300, 300, 7))
def test_decades_at_powers_of_ten(k: int) -> None:
    power = float(f"1e{k}")
    values = np.array([np.nextafter(power, 0), power, np.nextafter(power, np.inf)])
    assert decades(values).tolist() == [k - 1, k, k]


def test_decades_of_extremes() -> None:
    assert decades(np.array([5e-324, np.finfo(np.float64).max, np.inf])).tolist() == [-324, 308, 308]
    assert decades(np.empty(0)).tolist() == []


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_spectral_norms_beside_singular_values(scale: float) -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((500, 3, 2)) * 10.0 ** rng.uniform(-8, 8, (500, 3, 2))
    A[::5] = A[::5, :, :1] * [1.0, -2.0]  # of rank one
    A[0] = 0
    # scipy's singular values are good to some ulps of the largest.
    np.testing.assert_allclose(_spectral_norms(A * scale) / scale, np.linalg.norm(A, ord=2, axis=(1, 2)), rtol=1e-14)
