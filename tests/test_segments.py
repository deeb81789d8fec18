"""Segments: pieces against an enumerator in fractions, degenerate ones included; questions; many at once."""

from __future__ import annotations

import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import geomrelu as gr
from geomrelu.domain.segments import Segments
from geomrelu.errors import DomainError, InputDimensionError, InputError, InvariantError, ShapeError, WeightError
from geomrelu.linear import engine
from geomrelu.linear.build import build_linear
from geomrelu.linear.engine import Prepared
from tests.misuse import Misuse, assert_raises
from tests.networks import Case, degenerate_cases, integer_network, random_network
from tests.oracles.fraction_segments import Piece, enumerate_pieces, merged
from tests.test_engine_pools import build as build_pool

TENT = gr.Network([[[1.0], [1.0]], [[2.0, -4.0]]], [[0.0, -0.5], [0.0]])
SEGMENT = gr.Segment([0.0], [1.0])


def oracle(network: gr.Network, segment: gr.Segment) -> list[Piece]:
    pieces = enumerate_pieces(network, segment.a.ravel(), segment.b.ravel())
    if network.has_pools:
        bits = np.array([piece.pattern for piece in pieces], dtype=bool)
        own = network.packed(bits).unpack().astype(int)
        pieces = [replace(piece, pattern=tuple(row)) for piece, row in zip(pieces, own.tolist(), strict=True)]
    return merged(pieces)


def assert_equals_oracle(network: gr.Network, segment: gr.Segment, p: gr.linear.complex.LinearComplex) -> None:
    pieces = oracle(network, segment)
    assert p.n_regions == len(pieces)
    assert [p.exact_breakpoint(k) for k in range(len(pieces) + 1)] == [0, *(piece.high for piece in pieces)]
    assert p.patterns.unpack().astype(int).tolist() == [list(piece.pattern) for piece in pieces]
    for k, piece in enumerate(pieces):
        assert abs(Fraction(p.breakpoints[k]) - piece.low) <= Fraction(p.breakpoint_errors[k])
        for output, (slope, constant) in enumerate(piece.map):
            for vertex, t in ((k, piece.low), (k + 1, piece.high)):
                off = abs(Fraction(p.values[vertex, output]) - (slope * t + constant))
                assert off <= Fraction(p.value_errors[vertex])
            size = max(1.0, abs(float(slope)), abs(float(constant)))
            assert abs(p.affine_maps.A[k, output, 0] - float(slope)) <= 1e-11 * size
            assert abs(p.affine_maps.b[k, output] - float(constant)) <= 1e-11 * size
    p.check()
    p.check(level="exact")


ENDS = [
    ([-1.0, -1.0], [1.0, 1.0]),  # diagonal: through crossings and corners, along creases
    ([-1.0, 0.0], [1.0, 0.0]),  # along the axis, on which many neurons are zero
    ([0.0, 1.0], [0.0, -1.0]),
    ([-1.0, 0.3], [1.0, -0.7]),
    ([0.0, 0.0], [0.5, -0.25]),  # from a crossing
]


@pytest.mark.parametrize("case", degenerate_cases(), ids=str)
def test_degenerate_networks(case: Case) -> None:
    for a, b in ENDS:
        segment = gr.Segment(a, b)
        assert_equals_oracle(case.network, segment, gr.partition(case.network, segment))


@pytest.mark.parametrize("case", degenerate_cases()[1::3], ids=str)
def test_many_degenerate_segments_at_once(case: Case) -> None:
    """Exact decisions know which segment they are about."""
    a, b = (np.array(ends) for ends in zip(*ENDS, strict=True))
    p = gr.partition(case.network, gr.Segments(a, b))
    # In one block that is split on the way.
    widest = Prepared(case.network).widest
    split = build_linear(case.network, Segments(a, b), block_numbers=2 * widest * len(ENDS))
    assert np.array_equal(split.offsets, p.offsets)
    assert split.patterns == p.patterns
    for s in range(len(ENDS)):
        assert_equals_oracle(case.network, gr.Segment(a[s], b[s]), p[s])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("widths", [(1,), (9,), (70,), (7, 6), (5, 4, 5), (3, 3, 3, 3)], ids=str)
def test_random_networks(widths: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    network = random_network(widths, seed, n_inputs=n, n_outputs=2, dtype=np.float32 if seed % 2 else np.float64)
    segment = gr.Segment(*rng.normal(size=(2, n)) * 4)
    assert_equals_oracle(network, segment, gr.partition(network, segment))


@given(st.integers(0, 10**6), st.integers(1, 3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_small_integers_tie_all_the_time(seed: int, largest: int, bias: bool) -> None:
    network = integer_network((5, 4, 3), seed, largest, bias)
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-2, 3, (2, 2)).astype(float)
    if (a != b).any():
        segment = gr.Segment(a, b)
        assert_equals_oracle(network, segment, gr.partition(network, segment))


@pytest.mark.parametrize("factor", [1e3, 1e9, np.inf])
def test_more_in_doubt_changes_nothing(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With inflated bounds more decisions are exact, infinitely inflated all of them."""
    networks = [case.network for case in degenerate_cases()[::5]] + [random_network((8, 7, 6), 3)]
    segment = gr.Segment([-1.0, 0.25], [1.0, -0.5])
    plain = [gr.partition(network, segment) for network in networks]
    own = engine.bounded_errors

    def inflated(*given: Any) -> tuple[Any, Any]:
        entry, row = own(*given)
        return entry * factor, row

    monkeypatch.setattr(engine, "bounded_errors", inflated)
    for network, p in zip(networks, plain, strict=True):
        q = build_linear(network, segment)
        assert q.n_regions == p.n_regions
        assert q.patterns == p.patterns
        if np.isinf(factor) and network.n_neurons:
            assert q.report["signs_exact"] == q.report["signs"]
        q.check(level="exact")


def test_max_pooling() -> None:
    for seed, windows in enumerate([[[0, 1]], [[0, 1, 2, 3], [2, 3, 4, 5]], [[0, 1, 2, 3, 4], [5, 4]]]):
        network, _ = build_pool(random_network((6,), seed), windows, (4,), seed)
        for a, b in ENDS:
            segment = gr.Segment(a, b)
            p = gr.partition(network, segment)
            pieces = oracle(network, segment)
            assert p.n_regions == len(pieces)
            assert [p.exact_breakpoint(k + 1) for k in range(len(pieces))] == [piece.high for piece in pieces]
            p.check()
            p.check(level="exact")


def test_ties_are_one_breakpoint() -> None:
    network = gr.Network([[[1.0], [3.0], [-1.0]], [[1.0, 1.0, 1.0]]], [[-1 / 4, -3 / 4, 1 / 4], [0.0]])
    p = gr.partition(network, SEGMENT)
    assert p.breakpoints.tolist() == [0.0, 0.25, 1.0]
    assert (p.report["ties"], p.report["generic"]) == (2, False)


def test_sparse_weights_and_steps() -> None:
    network = random_network((12, 9), 3, n_inputs=5, n_outputs=3)
    sparse = gr.Network.from_layers([replace(layer, weight=csr_array(layer.weight)) for layer in network.layers])
    step = gr.Layer(np.eye(5), np.zeros(5), 0)
    longer = gr.Network.from_layers([step, step, *network.layers])
    segment = gr.Segment(*np.random.default_rng(0).normal(size=(2, 5)) * 3)
    p = gr.partition(network, segment)
    for other in (sparse, longer):
        q = gr.partition(other, segment)
        assert np.array_equal(q.patterns.words, p.patterns.words)
        np.testing.assert_allclose(q.affine_maps.A, p.affine_maps.A, atol=1e-12)
        assert q.input_maps([0]).A.shape == (1, 3, 5)
        assert_equals_oracle(longer if other is longer else network, segment, q)


def test_many_segments_are_the_single_ones() -> None:
    rng = np.random.default_rng(1)
    network = random_network((20, 15), 2, n_inputs=8, n_outputs=2)
    a, b = rng.normal(size=(2, 40, 8)) * 2
    p = gr.partition(network, gr.Segments(a, b))
    small = build_linear(network, Segments(a, b), block_numbers=200)
    assert np.array_equal(small.offsets, p.offsets)
    assert np.array_equal(small.patterns.words, p.patterns.words)
    assert (len(p), p.n_segments, p.n_regions) == (40, 40, int(p.offsets[-1]))
    for s in (0, 7, 39):
        single, own = gr.partition(network, gr.Segment(a[s], b[s])), p[s]
        assert own.domain == single.domain
        assert np.array_equal(own.patterns.words, single.patterns.words)
        np.testing.assert_allclose(own.breakpoints, single.breakpoints, atol=1e-12)
        np.testing.assert_allclose(own.values, single.values, atol=1e-12)
        own.check(level="exact")
    t = rng.uniform(size=100)
    s = rng.integers(0, 40, 100)
    x = (1 - t)[:, None] * a[s] + t[:, None] * b[s]
    np.testing.assert_allclose(p(t, s), network(x), atol=1e-12)
    np.testing.assert_allclose(p.points[p.left[-1] + 1], b[-1])
    assert [len(maps.A) for _, maps in p.input_map_batches(300)][:1] == [300]
    assert sum(len(ids) for ids, _ in p.input_map_batches(300)) == p.n_regions


def test_a_torch_model_on_shaped_inputs() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 9), torch.nn.ReLU(), torch.nn.Linear(9, 2))
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32) * 3
    segment = gr.Segment(a, b)
    try:
        p = gr.partition(model, segment)
    except InputError:
        pytest.skip("modules of shaped inputs are not read yet")
    t = np.linspace(0, 1, 50)
    with torch.no_grad():
        wanted = model.double()(torch.tensor(segment.lift(t)))
    np.testing.assert_allclose(p(t), wanted.numpy(), atol=1e-12)
    assert gr.count_regions(model, segment) == p.n_regions
    assert p.points.shape == (p.n_regions + 1, 3, 4)


# ---- places


def test_places_are_located_exactly() -> None:
    # Zero at the float next to 1/3 on either side, and at 1/3 itself, which no float is.
    third = 1 / 3
    network = gr.Network([[[3.0], [1.0], [1.0]], [[1.0, 1.0, 1.0]]], [[-1.0, -third, -np.nextafter(third, 1)], [0.0]])
    p = gr.partition(network, SEGMENT)
    assert p.n_regions == 4
    assert Fraction(third) < Fraction(1, 3)
    at = [np.nextafter(third, 0), third, np.nextafter(third, 1), np.nextafter(np.nextafter(third, 1), 1)]
    # On a breakpoint the neuron is zero, so inactive: the piece on the left.
    assert p.locate(at).tolist() == [0, 0, 2, 3]
    assert p.locate([-1e-300, 0, 1, 1 + 1e-15, np.nan, np.inf]).tolist() == [-1, 0, 3, -1, -1, -1]
    assert np.isnan(p([2.0])).all()


def test_a_breakpoint_belongs_to_the_piece_of_its_pattern() -> None:
    falling = gr.Network([[[-1.0]], [[1.0]]], [[0.5], [0.0]])
    rising = gr.Network([[[1.0]], [[1.0]]], [[-0.5], [0.0]])
    assert gr.partition(rising, SEGMENT).locate([0.5]).tolist() == [0]
    assert gr.partition(falling, SEGMENT).locate([0.5]).tolist() == [1]


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_located_pieces_are_those_of_the_forward_pass(seed: int) -> None:
    network = random_network((9, 8), seed, n_inputs=4)
    rng = np.random.default_rng(seed)
    p = gr.partition(network, gr.Segment(*rng.normal(size=(2, 4)) * 3))
    t = np.concatenate([rng.uniform(size=30), p.breakpoints])
    pieces = p.locate(t)
    for place, piece in zip(t.tolist(), pieces.tolist(), strict=True):
        assert p.exact_breakpoint(piece) <= Fraction(place) <= p.exact_breakpoint(piece + 1)


# ---- questions


@pytest.mark.parametrize("seed", range(5))
def test_questions_against_fractions(seed: int) -> None:
    network = random_network((8, 6), seed, n_inputs=3, n_outputs=3)
    segment = gr.Segment(*np.random.default_rng(seed).normal(size=(2, 3)) * 3)
    p, pieces = gr.partition(network, segment), oracle(network, segment)
    weights = np.array([1.0, -2.0, 0.5])
    ends = [
        (t, [s * t + c for s, c in piece.map], k) for k, piece in enumerate(pieces) for t in (piece.low, piece.high)
    ]
    expression = "y0 - 2*y1 + y2/2"
    for chosen in (0, 2, weights, expression):
        row = np.eye(3)[chosen] if isinstance(chosen, int) else weights
        values = [sum(Fraction(w) * y for w, y in zip(row.tolist(), ys, strict=True)) for _, ys, _ in ends]
        for found, best in ((p.maximum(chosen), max(values)), (p.minimum(chosen), min(values))):
            assert found.value == float(best)
            assert found.exact_value == best
            assert found.exact_point == ends[values.index(best)][0] == p.exact_breakpoint(found.vertex)
            assert found.point == p.breakpoints[found.vertex]
            assert p.breakpoints[found.region] <= found.point <= p.breakpoints[found.region + 1]
    assert p.maximum("3 - y1").exact_value == 3 - p.minimum(1).exact_value
    assert p.output_range(expression).tolist() == [p.minimum(weights).value, p.maximum(weights).value]
    assert p.output_range().tolist() == [[p.minimum(k).value, p.maximum(k).value] for k in range(3)]
    t = np.linspace(0, 1, 2001)
    sampled = network(segment.lift(t))
    assert (sampled <= p.output_range()[:, 1] + 1e-12).all()
    assert (sampled >= p.output_range()[:, 0] - 1e-12).all()
    slopes = [[abs(s) for s, _ in piece.map] for piece in pieces]
    assert p.lipschitz(1).constant == float(max(map(sum, slopes)))
    assert p.lipschitz(float("inf")).constant == float(max(map(max, slopes)))
    square = max(sum(s * s for s in row) for row in slopes)
    assert abs(p.lipschitz(2).constant - float(square) ** 0.5) <= 4e-16 * float(square) ** 0.5
    assert p.lipschitz(2).region == int(np.argmax([float(sum(s * s for s in row)) for row in slopes]))


def test_level_sets() -> None:
    p = gr.partition(TENT, SEGMENT)
    assert p.level_set(0.5).points.tolist() == [0.25, 0.75]
    assert p.level_set(0.5).regions.tolist() == [0, 1]
    assert p.level_set(1.0).points.tolist() == [0.5]
    assert p.level_set(1.5).points.tolist() == []
    assert p.level_set(0.0).points.tolist() == [0.0, 1.0]
    flat = gr.partition(gr.Network([[[1.0]], [[1.0]]], [[-0.5], [0.25]]), SEGMENT)
    found = flat.level_set(0.25)
    assert (found.points.tolist(), found.flat.tolist()) == ([0.0, 0.5], [0])
    # A level that floats cannot tell from the values: 1/3 is below its neighbour.
    third = gr.partition(gr.Network([[[1.0]]], [[0.0]]), gr.Segment([0.0], [1 / 3]))
    assert len(third.level_set(1 / 3).points) == 1
    assert len(third.level_set(float(np.nextafter(1 / 3, 1))).points) == 0


# ---- damage and misuse


def test_damage_is_found() -> None:
    p = gr.partition(random_network((9, 8), 0, n_inputs=3), gr.Segment([-2.0, -2, 1], [2.0, 1, 3]))
    assert p.n_regions > 4
    words = p.patterns.words.copy()
    words[2, 0] ^= np.uint64(1)
    order = p.breakpoints.copy()
    order[[2, 3]] = order[[3, 2]]
    moved = p.breakpoints.copy()
    moved[2] = (moved[2] + moved[3]) / 2
    values = p.values.copy()
    values[3] += 1e-3
    for changes, level in [
        ({"patterns": gr.Patterns(words, p.patterns.widths)}, "float"),
        ({"breakpoints": order}, "float"),
        ({"values": values}, "float"),
        ({"breakpoints": moved}, "exact"),
        ({"breakpoint_neuron": np.roll(p.breakpoint_neuron, 1)}, "float"),
    ]:
        with pytest.raises(InvariantError):
            replace(p, **changes).check(level=level)


def test_partitions_are_read_only_and_can_be_pickled() -> None:
    p = gr.partition(TENT, SEGMENT)
    with pytest.raises(AttributeError):
        p.offsets = np.zeros(1)  # type: ignore[misc]
    for array in (p.offsets, p.breakpoints, p.values, p.affine_maps.A, p.segment):
        assert not array.flags.writeable
    q = pickle.loads(pickle.dumps(p))
    assert q.breakpoints.tolist() == p.breakpoints.tolist()
    assert not q.breakpoints.flags.writeable
    q.check(level="exact")


MANY = gr.partition(TENT, gr.Segments([[0.0], [1.0]], [[1.0], [0.0]]))
ROWS: list[Misuse] = [
    ("equal ends", lambda: gr.Segment([1.0, 2], [1.0, 2]), DomainError, ("equal", "different")),
    ("equal ends of one", lambda: gr.Segments([[1.0], [2]], [[3.0], [2]]), DomainError, ("segment 1",)),
    ("shapes", lambda: gr.Segment([1.0, 2], [1.0]), ShapeError, ("(2,)", "(1,)")),
    ("many as one", lambda: gr.Segments([1.0], [2.0]), ShapeError, ("(S, *input_shape)",)),
    ("nan", lambda: gr.Segment([np.nan], [1.0]), DomainError, ("nan", "finite")),
    ("other inputs", lambda: gr.partition(TENT, gr.Segment([0.0, 1], [1.0, 1])), InputDimensionError, ("2", "takes 1")),
    ("resume", lambda: gr.partition(TENT, SEGMENT, resume="x"), InputError, ("resume",)),
    ("aggregate", lambda: gr.aggregate(TENT, SEGMENT, ["area"]), DomainError, ("Segment", "expected two")),
    ("sample", lambda: gr.sample(TENT, SEGMENT), DomainError, ("Segment",)),
    ("which segment", lambda: MANY([0.5]), InputError, ("2 segments",)),
    ("no such segment", lambda: MANY.locate([0.5], 2), InputError, ("from 0 to 1",)),
    ("not as many", lambda: MANY.locate([0.5], [0, 1]), ShapeError, ("2 numbers for 1",)),
    ("shape of t", lambda: MANY.locate([[0.5]], 0), ShapeError, ("(N,)",)),
    ("output", lambda: MANY.maximum(1), InputError, ("maximum: got output 1", "only 0")),
    ("weights", lambda: MANY.maximum([1.0, 2.0]), ShapeError, ("(1,)",)),
    ("expression", lambda: MANY.maximum("y0*y0"), InputError, ("maximum: got 'y0*y0'", "not linear")),
    ("no output", lambda: MANY.minimum("y3"), InputError, ("minimum: got 'y3'", "only y0")),
    ("no level", lambda: MANY.level_set([0.0, 1.0]), InputError, ("(2,)", "one number")),
    ("nan weights", lambda: MANY.maximum([np.nan]), WeightError, ("nan",)),
    ("level", lambda: MANY.level_set(np.nan), WeightError, ("nan",)),
    ("ord", lambda: MANY.lipschitz(3), InputError, ("ord=3", "1, 2")),
    ("plot of many", lambda: MANY.plot(), InputError, ("2 segments",)),
    ("plot outputs", lambda: MANY[0].plot(outputs=[3]), InputError, ("[3]",)),
    ("check level", lambda: MANY.check("some"), InputError, ("'some'",)),
    ("breakpoint", lambda: MANY.exact_breakpoint(6), InputError, ("from 0 to 5",)),
    ("input maps", lambda: MANY.input_maps([9]), InputError, ("[9]",)),
    ("crosscheck", lambda: gr.crosscheck(MANY), InputError, ("LinearComplex",)),
]


@pytest.mark.parametrize(("call", "error", "parts"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_misuse(call: Any, error: Any, parts: tuple[str, ...]) -> None:
    assert_raises(call, error, parts)


def test_numbers_out_of_range_are_told() -> None:
    huge = gr.Network([[[1e200]], [[1e200]]], [[0.0], [0.0]])
    p = gr.partition(huge, gr.Segment([-1.0], [1.0]))
    assert p.n_regions == 2
    for call in (lambda: p.affine_maps, p.input_maps, p.maximum):
        with pytest.raises(gr.errors.RangeError):
            call()


def test_bounds_hold_the_output_layer() -> None:
    network = random_network((5, 4), 0, n_inputs=3, n_outputs=2)
    prepared = Prepared(network)
    assert len(prepared.bounds) == len(network.layers)
    assert prepared.bounds[-1].operator_norm >= np.linalg.norm(network.layers[-1].weight, 2)


def test_figure(tmp_path: Path) -> None:
    p = gr.partition(random_network((9, 8), 0, n_inputs=3, n_outputs=3), gr.Segment([-2.0, -2, 1], [2.0, 1, 3]))
    ax = p.plot(labels=["a", "b", "c"])
    assert [line.get_label() for line in ax.get_lines()] == ["a", "b", "c"]
    np.testing.assert_array_equal(ax.get_lines()[1].get_xydata(), np.column_stack([p.breakpoints, p.values[:, 1]]))
    assert len(p.plot(outputs=[2], breakpoints=False).get_lines()) == 1
    ax.figure.savefig(tmp_path / "x.png")


def test_a_stack_given_to_segment_is_told_of_segments() -> None:
    network = gr.Network([np.ones((3, 4)), np.ones((1, 3))])
    with pytest.raises(InputDimensionError, match=r"not a stack of 5 \(for many segments see gr.Segments\)"):
        gr.partition(network, gr.Segment(np.zeros((5, 4)), np.ones((5, 4))))
