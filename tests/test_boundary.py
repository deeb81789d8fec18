"""Decision boundaries, level sets and class regions: against fractions, the engine, samples and known shapes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.analysis.boundary import Boundary
from geomrelu.errors import InputError, WeightError
from geomrelu.network import Layer
from geomrelu.planar.complex import PlanarComplex
from tests.drawn import ENTRIES, drawn_networks
from tests.networks import Case, degenerate_cases, random_cases, random_network
from tests.oracles.fraction_boundary import class_areas, edge_segments, inner_segments, value
from tests.oracles.fraction_enumerator import Enumeration, enumerate_regions
from tests.test_engine_pools import pool


def oracle(p: PlanarComplex) -> Enumeration:
    return enumerate_regions(p.network, p.domain.vertices.tolist())


def as_float(segment: Any) -> np.ndarray:
    """Both ends, (2, 2), in order of their coordinates."""
    return np.array(sorted((float(x), float(y)) for x, y in segment))


def assert_same_segments(p: PlanarComplex, got: Boundary, **asked: Any) -> None:
    """The same segments with the same classes in the same regions, each end within its bound."""
    found = oracle(p)
    inner, along = inner_segments(found, **asked), edge_segments(found, **asked)
    assert got.n_pieces == len(inner) + len(along)
    expected = [(as_float(ends), facts) for ends, facts in inner.items()] + [(as_float(ends), None) for ends in along]
    patterns = p.patterns.unpack().astype(int)
    close = 1e-9 * np.abs(p.domain.vertices).max()
    left = list(range(got.n_pieces))
    for ends, facts in expected:
        matching = [
            s
            for s in left
            if min(np.abs(got.segments[s] - ends).max(), np.abs(got.segments[s][::-1] - ends).max()) <= close
            and (facts is None or (*got.classes[s].tolist(), tuple(patterns[got.face[s]])) == facts)
        ]
        assert matching, f"no segment {ends.tolist()} with {facts}"
        own = matching[0]
        left.remove(own)
        bound = got.node_errors[got.ends[own]] + 1e-300
        distances = [np.hypot(*(got.segments[own] - e).T) for e in (ends, ends[::-1])]
        # The exact ends are rounded, too.
        assert any((d <= bound * (1 + 1e-9) + 2**-52 * np.abs(ends).max()).all() for d in distances)
    assert (got.classes[:, 0] < got.classes[:, 1]).all()


def assert_same_areas(p: PlanarComplex) -> None:
    found = p.class_regions()
    n = max(2, p.network.n_outputs)
    exact = np.array([float(a) for a in class_areas(oracle(p), n)])
    np.testing.assert_allclose(found.areas, exact, rtol=1e-9, atol=1e-11 * p.domain.area)
    np.testing.assert_allclose(shapely.area(found.polygons), exact, rtol=1e-9, atol=1e-11 * p.domain.area)


def with_outputs(network: gr.Network, n_outputs: int, seed: int, whole: bool) -> gr.Network:
    """The same hidden layers with other outputs."""
    rng = np.random.default_rng(seed)
    shape = (n_outputs, network.output.n_inputs)
    weight = rng.integers(-2, 3, shape) if whole else rng.normal(size=shape)
    bias = rng.integers(-1, 2, n_outputs) if whole else rng.normal(size=n_outputs)
    return gr.Network.from_layers([*network.hidden, Layer(weight.astype(float), bias.astype(float), 0)])


CASES = [case for case in degenerate_cases() if "2^" not in case.name] + random_cases()[::3]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_boundary_equals_fractions(case: Case) -> None:
    for n_outputs in (1, 2, 3, 5):
        for whole in (True, False):
            p = gr.partition(with_outputs(case.network, n_outputs, n_outputs, whole), case.domain)
            if p.n_regions > 120:
                continue
            assert_same_segments(p, p.decision_boundary())
            assert_same_areas(p)


@settings(max_examples=150, deadline=None)
@given(st.one_of(*(drawn_networks(entries, most_outputs=4) for entries in ENTRIES.values())))
def test_boundaries_of_drawn_networks_equal_fractions(network: gr.Network) -> None:
    p = gr.partition(network, gr.Box(-1, 1))
    assert_same_segments(p, p.decision_boundary())
    assert_same_areas(p)


# ---------------------------------------------------------------------- level sets


@pytest.mark.parametrize("case", CASES[::2], ids=str)
def test_level_sets_equal_fractions(case: Case) -> None:
    p = gr.partition(with_outputs(case.network, 2, 4, True), case.domain)
    if p.n_regions > 120:
        pytest.skip("large for the oracle")
    low, high = p.output_range(1)
    # Levels that vertices have, and others.
    levels = {0.0, 1.0, float(np.median(p._vertex_outputs.values[:, 1])), float(0.3 * low + 0.7 * high)}
    for level in levels:
        assert_same_segments(p, p.level_set(level, 1), level=Fraction(level), output=1)


@pytest.mark.parametrize("widths", [(20,), (16, 16), (24, 24, 12)])
def test_a_level_set_is_what_the_engine_cuts_with_one_more_neuron(widths: tuple[int, ...]) -> None:
    """Independent: the output minus the level as a neuron of one more layer, cut by the planar engine."""
    network = random_network(widths, 7)
    p = gr.partition(network, gr.Box(-1, 1))
    level = float(p.output_range(0).mean())
    layers = [*network.hidden, Layer(network.output.weight, network.output.bias - level, 1)]
    # The bias must hold the level exactly: take what the float sum makes of it.
    level = float(network.output.bias[0] - layers[-1].bias[0])
    if network.output.bias[0] - level != layers[-1].bias[0]:
        pytest.skip("the level is rounded")
    cut = gr.partition(gr.Network.from_layers([*layers, Layer(np.ones((1, 1)), np.zeros(1), 0)]), gr.Box(-1, 1))
    own = np.flatnonzero(cut.edge_neuron == network.n_neurons)
    got = p.level_set(level)
    assert got.n_pieces == len(own) > 5
    assert cut.n_regions == p.n_regions + len(own)
    expected = np.sort(cut.vertices[cut.edges[own]].mean(axis=1), axis=0)
    np.testing.assert_allclose(np.sort(got.segments.mean(axis=1), axis=0), expected, atol=1e-12)


def test_the_boundary_of_two_classes_is_what_the_engine_cuts() -> None:
    for seed in range(3):
        network = random_network((14, 14), seed, n_outputs=2)
        p = gr.partition(network, gr.Box(-1, 1))
        layers = [*network.layers[:-1], Layer(network.output.weight, network.output.bias, 0),
                  Layer(np.array([[1.0, -1.0]]), np.zeros(1), 1), Layer(np.ones((1, 1)), np.zeros(1), 0)]  # fmt: skip
        cut = gr.partition(gr.Network.from_layers(layers), gr.Box(-1, 1))
        assert p.decision_boundary().n_pieces == np.count_nonzero(cut.edge_neuron == network.n_neurons)


# ---------------------------------------------------------------------- structure


def test_segments_have_the_lower_class_on_their_left() -> None:
    p = gr.partition(random_network((20, 20), 4, n_outputs=4), gr.Box(-1, 1))
    boundary = p.decision_boundary()
    a, b = boundary.segments[:, 0], boundary.segments[:, 1]
    step = b - a
    left = np.stack([-step[:, 1], step[:, 0]], axis=1)
    reach = 1e-9 / np.hypot(*step.T)[:, None]
    for side in range(2):
        points = (a + b) / 2 + (1 - 2 * side) * left * reach
        inside = p.domain.contains(points)
        classes = p.network(points).argmax(axis=1)
        assert (classes == boundary.classes[:, side])[inside].all()


def test_polylines_hold_every_segment_once() -> None:
    p = gr.partition(random_network((30, 30), 3, n_outputs=4), gr.Box(-2, 2))
    boundary = p.decision_boundary()
    assert boundary.n_polylines > 1
    pairs = []
    for k in range(boundary.n_polylines):
        path = boundary.polyline_nodes[boundary.polyline_offsets[k] : boundary.polyline_offsets[k + 1]]
        pairs += [tuple(sorted(ends)) for ends in zip(path[:-1].tolist(), path[1:].tolist(), strict=True)]
    assert sorted(pairs) == sorted(tuple(sorted(ends)) for ends in boundary.ends.tolist())
    assert sum(line.length for line in boundary.polylines) == pytest.approx(boundary.length)
    # An end of an open polyline is on the domain's border or where three classes meet.
    degree = np.bincount(boundary.ends.ravel())
    x = boundary.nodes
    assert (np.abs(x[degree == 1]).max(axis=1) == 2).all()
    assert (degree <= 3).all()


def test_classes_of_samples_are_those_of_the_regions() -> None:
    p = gr.partition(random_network((20, 20), 6, n_outputs=5), gr.Box(-1, 1))
    regions = p.class_regions()
    x = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    classes = p.network(x).argmax(axis=1)
    points = shapely.points(x)
    inside = np.array([shapely.contains(polygon, points) for polygon in regions.polygons])
    assert (inside.argmax(axis=0) == classes).mean() > 0.999
    assert (inside.sum(axis=0) <= 1).all()
    assert regions.areas.sum() == pytest.approx(4, abs=1e-12)


def test_ties_over_whole_regions_are_reported() -> None:
    # relu(x): below 0 the output is 0.  Classes 0 and 1 of a single output tie there.
    p = gr.partition(gr.Network([[[1.0, 0.0]], [[1.0]]]), gr.Box(-1, 1))
    boundary = p.decision_boundary()
    region = int(p.locate([[-0.5, 0.0]])[0])
    assert boundary.tied.tolist() == [[region, 0, 1]]
    assert boundary.segments.tolist() in ([[[0, -1], [0, 1]]], [[[0, 1], [0, -1]]])
    assert p.class_regions().tied_area == 2.0
    assert p.class_regions().areas.tolist() == [2.0, 2.0]
    # |x| + |y| is 0 in a point only.
    p = gr.partition(gr.Network([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 1, 1]]]), gr.Box(-1, 1))
    assert p.level_set(0).isolated.tolist() == [[0, 0]]
    assert p.level_set(0).n_pieces == 0
    closed = p.level_set(0.5)
    assert (closed.n_pieces, closed.n_polylines) == (4, 1)
    assert closed.length == pytest.approx(4 * np.sqrt(0.5))
    assert closed.polyline_nodes[0] == closed.polyline_nodes[-1]
    # All outputs equal: nothing but ties.
    p = gr.partition(gr.Network([[[1.0, 0.0]], [[1.0], [1.0], [1.0]]]), gr.Box(-1, 1))
    assert p.decision_boundary().n_pieces == 0
    assert len(p.decision_boundary().tied) == p.n_regions


def test_a_tie_of_three_along_an_edge_is_one_piece_though_two_of_them_are_equal_everywhere() -> None:
    # y0 = y1 = -|x| and y2 = 0: by the definition the largest is tied on x = 0, and nowhere else.
    p = gr.partition(gr.Network([[[1, 0], [-1, 0]], [[-1, -1], [-1, -1], [0, 0]]]), gr.Box(-1, 1))
    boundary = p.decision_boundary()
    assert np.sort(boundary.segments, axis=1).tolist() == [[[0, -1], [0, 1]]]
    assert boundary.classes.tolist() == [[0, 1]]
    assert len(boundary.tied) == 0
    assert p.class_regions().areas.tolist() == [0, 0, 4]


def test_scikit_learn_binary_and_multiclass_agree_with_predict() -> None:
    from sklearn.datasets import make_blobs, make_moons
    from sklearn.neural_network import MLPClassifier

    for x, y in (make_moons(80, noise=0.1, random_state=0), make_blobs(90, random_state=0)):
        model = MLPClassifier((8, 8), solver="lbfgs", max_iter=300, random_state=0).fit(x, y)
        p = gr.partition(model, gr.Box(x.min(axis=0) - 1, x.max(axis=0) + 1))
        polygons = p.class_regions().polygons
        assert [shapely.contains(polygons, shapely.points(*q)).argmax() for q in x] == model.predict(x).tolist()


def test_class_colours_and_interiors_of_deep_networks_use_refined_places() -> None:
    p = gr.partition(random_network((24,) * 8, 1, n_outputs=3), gr.Box(-1, 1))
    boundary = p.decision_boundary()
    assert (boundary.node_errors <= 2.0**-16 * 2).all()
    gap = np.sort(p.network(boundary.nodes), axis=1)
    assert (gap[:, -1] - gap[:, -2] <= 1e-9 + 1e3 * boundary.node_errors).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, "x", [0.0, 1.0], None])
def test_levels_that_are_no_number_are_refused(bad: Any) -> None:
    p = gr.partition(random_network((4,), 0), gr.Box(-1, 1))
    with pytest.raises(InputError):
        p.level_set(bad)


def test_outputs_that_are_not_there_are_refused() -> None:
    p = gr.partition(random_network((4,), 0, n_outputs=2), gr.Box(-1, 1))
    for bad in (2, -1, 0.5, "0", True, None):
        with pytest.raises(InputError, match="0 to 1"):
            p.level_set(0.0, bad)
    with pytest.raises(WeightError, match="finite"):
        p.level_set(np.nan)


# ---------------------------------------------------------------------- max pooling


@pytest.mark.parametrize("n_outputs", [3, 5, 8])
def test_the_boundary_is_what_a_max_pooling_of_the_outputs_cuts(n_outputs: int) -> None:
    """Independent: the engine's tournament of the outputs cuts a region exactly where its winner changes."""
    network = random_network((12, 10), 3, n_outputs=n_outputs)
    p = gr.partition(network, gr.Box(-2, 2))
    outputs = Layer(network.output.weight, network.output.bias, 0)
    pooled = gr.Network.from_layers([*network.hidden, outputs, *pool([range(n_outputs)], n_outputs)])
    cut = gr.partition(pooled, gr.Box(-2, 2))
    boundary = p.decision_boundary()
    own = np.flatnonzero(cut.edge_neuron >= network.n_neurons)
    assert boundary.n_pieces == len(own) >= 20
    middles = cut.vertices[cut.edges[own]].mean(axis=1)
    np.testing.assert_allclose(
        np.sort(boundary.segments.mean(axis=1), axis=0), np.sort(middles, axis=0), rtol=0, atol=1e-11
    )
    assert cut.n_regions == np.count_nonzero(p._class_ties.winner >= 0) + len(p._class_ties.cell_class)


@pytest.mark.parametrize("seed", range(3))
def test_answers_on_a_network_with_max_pooling_equal_fractions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hidden = random_network((6,), seed).hidden
    *rounds, winners = pool([[0, 1, 2], [2, 3, 4, 5], [1, 5]], 6)
    rows = Layer(winners.weight, winners.bias, 0)
    last = Layer(rng.integers(-2, 3, (3, 3)).astype(float), rng.integers(-1, 2, 3).astype(float), 0)
    network = gr.Network.from_layers([*hidden, *rounds, rows, last])
    p = gr.partition(network, gr.Box(-1, 1))
    assert_same_areas(p)
    exact = max(value(cell.map[1], corner) for cell in oracle(p).cells for corner in cell.polygon)
    assert p.maximum(1).exact_value == exact
    # The oracle's cells are finer, so only what lies along no edge of its own is told apart: lengths agree.
    segments = [*inner_segments(oracle(p)), *edge_segments(oracle(p))]
    length = sum(float(np.hypot(*np.ptp(as_float(ends), axis=0))) for ends in segments)
    assert p.decision_boundary().length == pytest.approx(length)
