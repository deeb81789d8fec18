"""Slices: the exact embedding of a plane, its frames, and every question about a plane domain asked on it."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import geomrelu as gr
from geomrelu.errors import DomainError, FileFormatError, InputDimensionError, InputError, ShapeError
from tests.misuse import Misuse, assert_raises
from tests.networks import random_network
from tests.oracles.fraction_enumerator import enumerate_regions

RNG = np.random.default_rng(0)
NETWORK = random_network((7, 6), 1, n_inputs=5, n_outputs=3)
INPUTS = RNG.normal(size=(3, 5)) * 2
PLANE = gr.Slice.through(*INPUTS)
P = gr.partition(NETWORK, PLANE)


# ---- the frame


@given(st.integers(0, 10**6), st.sampled_from([1e-150, 1e-9, 1.0, 1e9, 1e150]), st.sampled_from([1.0, 1e-6, 1e-13]))
@settings(max_examples=80, deadline=None)
def test_the_frame_is_orthonormal_and_holds_the_inputs(seed: int, size: float, flat: float) -> None:
    """However close to one line they are, and whatever their size."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 6)) * size
    c = a + (b - a) * rng.normal() + rng.normal(size=6) * size * flat
    s = gr.Slice.through(a, b, c)
    u, v = s.basis
    gram = [[sum(Fraction(x) * Fraction(y) for x, y in zip(p, q, strict=True)) for p in (u, v)] for q in (u, v)]
    assert abs(gram[0][0] - 1) < 1e-15
    assert abs(gram[1][1] - 1) < 1e-15
    assert abs(gram[0][1]) < 1e-15
    # The stated rounding, exactly: origin + basis u against the inputs.
    reach = Fraction(float(np.hypot(*s.marks.max(axis=0)))) / 2**51
    for mark, x in zip(s.marks.tolist(), (a, b, c), strict=True):
        for k in range(6):
            lifted = Fraction(s.origin[k]) + Fraction(mark[0]) * Fraction(u[k]) + Fraction(mark[1]) * Fraction(v[k])
            assert abs(lifted - Fraction(x[k])) <= reach
    assert (s.lift(s.marks[:1])[0] == a).all()
    assert s.contains(s.marks).all()


def test_three_inputs_on_a_line_are_refused_exactly() -> None:
    a, b = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.25, 0.75])
    with pytest.raises(DomainError, match="one line"):
        gr.Slice.through(a, b, a)
    with pytest.raises(DomainError, match="one line"):
        gr.Slice.through([0, 0, 0], [1, 2, 3], [3, 6, 9])
    off = np.array([3, 6, np.nextafter(9, 10)])
    assert gr.Slice.through([0, 0, 0], [1, 2, 3], off).marks[2, 1] > 0


def test_places_are_distances() -> None:
    s = gr.Slice.through([[1, 1], [0, 0]], [[4, 1], [0, 0]], [[4, 1], [4, 0]], margin=0.5)
    assert s.marks.tolist() == [[0, 0], [3, 0], [3, 4]]
    assert (s.domain, s.input_shape, s.n_inputs) == (gr.Box([-2, -2], [5, 6]), (2, 2), 4)
    assert s.lift(s.marks).tolist() == [[[1, 1], [0, 0]], [[4, 1], [0, 0]], [[4, 1], [4, 0]]]
    assert s.coordinates(s.lift([[0.5, -0.25]])).round(12).tolist() == [[0.5, -0.25]]
    # Off the plane: the nearest point of it.
    assert s.coordinates([[[1, 9], [0, 7]]]).round(12).tolist() == [[0, 0]]


def test_axes() -> None:
    at = np.arange(6.0).reshape(2, 3)
    s = gr.Slice.axes((0, 1), 5, at=at, domain=gr.Box([0, 10], [1, 20]))
    assert s.lift([[0.1, 10.3]]).tolist() == [[[0, 0.1, 2], [3, 4, 10.3]]]
    assert s.axis_labels == ("input (0, 1)", "input 5")
    assert s.with_domain(gr.Box(0, 1)).lift([[0.1, 0.3]]).tolist() == [[[0, 0.1, 2], [3, 4, 0.3]]]
    assert at[0, 1] == 1


# ---- partitions


def test_the_partition_is_that_of_the_embedded_network() -> None:
    """Against an enumeration, in fractions, of the network with its first layer multiplied out exactly."""
    integers = np.random.default_rng(3)
    network = gr.Network(
        [integers.integers(-3, 4, (6, 4)), integers.integers(-3, 4, (4, 6)), integers.integers(-3, 4, (2, 4))],
        [integers.integers(-3, 4, 6), integers.integers(-3, 4, 4), np.zeros(2)],
    )
    basis, origin = integers.integers(-2, 3, (2, 4)), integers.integers(-2, 3, 4)
    s = gr.Slice(origin, basis, gr.Box(-2, 2))
    p = gr.partition(network, s)
    # Small whole numbers: these products are exact.
    first = network.layers[0]
    flat = gr.Network(
        [first.weight @ basis.T, *[layer.weight for layer in network.layers[1:]]],
        [first.weight @ origin + first.bias, *[layer.bias for layer in network.layers[1:]]],
    )
    cells = enumerate_regions(flat, s.vertices)
    assert (p.n_regions, p.n_vertices, p.n_edges) == (cells.n_regions, cells.n_vertices, cells.n_edges)
    patterns = {tuple(map(int, row)) for row in p.patterns.unpack()}
    assert patterns == {cell.pattern for cell in cells.cells}
    p.check(level="exact")
    q = gr.partition(flat, s.domain)
    assert (p.n_linear_regions, p.n_affine_pieces) == (q.n_linear_regions, q.n_affine_pieces)


def test_every_question_of_a_plane_domain() -> None:
    P.check()
    P.check(level="exact")
    assert gr.crosscheck(P).ok
    assert P.n_regions == gr.count_regions(NETWORK, PLANE) == gr.aggregate(NETWORK, PLANE, ["regions"])["regions"]
    assert gr.sample(NETWORK, PLANE, n=31).n_maps <= P.n_affine_pieces
    assert gr.refinement(P, [5]).rows[0].n_patterns <= P.n_regions
    assert (P.locate(P.centroids) == np.arange(P.n_regions)).all()
    np.testing.assert_allclose(P.areas.sum(), PLANE.area)
    np.testing.assert_allclose(P(P.centroids), NETWORK(PLANE.lift(P.centroids)), atol=1e-12)
    assert P.n_regions == gr.partition(NETWORK, PLANE, n_jobs=2).n_regions
    assert P.input_network.n_inputs == 5
    assert NETWORK.patterns(PLANE.lift(P.centroids)).words.tolist() == P.patterns.words.tolist()


def test_maps_in_the_input_space() -> None:
    maps = P.input_maps()
    x = PLANE.lift(P.centroids)
    np.testing.assert_allclose(np.einsum("foi,fi->fo", maps.A, x) + maps.b, NETWORK(x), atol=1e-12)
    np.testing.assert_allclose(maps.A @ PLANE.basis.T, P.affine_maps.A, atol=1e-12)
    np.testing.assert_allclose(maps.A @ PLANE.origin + maps.b, P.affine_maps.b, atol=1e-12)
    assert np.array_equal(P.input_maps([3, 1]).A, maps.A[[3, 1]])
    batches = list(P.input_map_batches(4))
    assert [len(ids) for ids, _ in batches] == [4] * (P.n_regions // 4) + [P.n_regions % 4] * bool(P.n_regions % 4)
    assert np.array_equal(np.concatenate([found.A for _, found in batches]), maps.A)
    plain = gr.partition(random_network((5,), 0), gr.Box(-1, 1))
    assert np.array_equal(plain.input_maps().A, plain.affine_maps.A)


def test_a_torch_module_is_crosschecked_on_its_own_inputs() -> None:
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    p = gr.partition(model, PLANE)
    assert gr.crosscheck(p, model=model).ok
    assert gr.sample(model, PLANE, n=21).n_maps > 1
    other = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    assert not gr.crosscheck(p, model=other, n=11).ok


def test_saved_and_loaded(tmp_path: Path) -> None:
    s = PLANE.with_domain(gr.Polygon([[0, 0], [3, 0], [0, 3]]))
    p = gr.partition(NETWORK, s)
    p.save(tmp_path / "p.npz")
    q = gr.load(tmp_path / "p.npz")
    assert q.domain == s
    assert q.domain.labels == ("a", "b", "c")
    np.testing.assert_array_equal(q.input_maps().A, p.input_maps().A)
    p.to_geojson(tmp_path / "p.geojson")
    p.to_svg(tmp_path / "p.svg")
    content = dict(np.load(tmp_path / "p.npz"))
    content["slice_basis"] = content["slice_basis"] * 2
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(FileFormatError, match="embedding"):
        gr.load(tmp_path / "bad.npz")


def test_slices_compare_by_value_and_stay_read_only() -> None:
    twin = pickle.loads(pickle.dumps(PLANE))
    assert twin == PLANE
    assert hash(twin) == hash(PLANE)
    assert twin != PLANE.with_domain(gr.Box(-1, 1))
    assert twin != gr.Slice.through(*INPUTS, labels="xyz")
    assert not twin.basis.flags.writeable
    with pytest.raises(AttributeError):
        PLANE.origin = INPUTS[0]  # type: ignore[misc]
    segment = gr.Segment(*INPUTS[:2])
    assert segment == pickle.loads(pickle.dumps(segment))
    assert len({segment, gr.Segment(*INPUTS[:2]), gr.Segment(*INPUTS[1:])}) == 2


def test_figures_show_marks_and_names() -> None:
    ax = P.plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$u_0$", "$u_1$")
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c"]
    np.testing.assert_array_equal([line.get_xydata()[0] for line in ax.get_lines()], PLANE.marks)
    assert not gr.partition(NETWORK, PLANE.with_domain(gr.Box(-9, -8))).plot().texts
    axes = gr.Slice.axes(3, 0, at=INPUTS[0], domain=gr.Box(-1, 1))
    assert gr.partition(NETWORK, axes).plot().get_xlabel() == "input 3"
    assert gr.partition(NETWORK, axes).plot_surface().get_ylabel() == "input 0"


# ---- misuse

BOX = gr.Box(-1, 1)
ROWS: list[Misuse] = [
    ("parallel", lambda: gr.Slice([0, 0, 0], [[1, 2, 3], [2, 4, 6]], BOX), DomainError, ("parallel",)),
    ("zero", lambda: gr.Slice([0, 0, 0], [[1, 2, 3], [0, 0, 0]], BOX), DomainError, ("zero",)),
    ("columns", lambda: gr.Slice([0, 0, 0], np.ones((3, 2)), BOX), ShapeError, ("(3,)", "(3, 2)", "stacked")),
    ("one input", lambda: gr.Slice([0], [[1], [2]], BOX), ShapeError, ("(1,)",)),
    ("nan", lambda: gr.Slice([0, np.nan], [[1, 0], [0, 1]], BOX), DomainError, ("nan",)),
    ("no domain", lambda: gr.Slice([0, 0], [[1, 0], [0, 1]], None), DomainError, ("None", "gr.Box")),
    ("slice of a slice", lambda: PLANE.with_domain(PLANE), DomainError, ("Slice",)),
    ("3-D box", lambda: PLANE.with_domain(gr.Box([0, 0, 0], 1)), DomainError, ("dimension 3",)),
    ("marks", lambda: gr.Slice([0, 0], [[1, 0], [0, 1]], BOX, marks=[1, 2]), ShapeError, ("(k, 2)",)),
    ("labels", lambda: gr.Slice.through(*INPUTS, labels="ab"), ShapeError, ("2 labels", "3 marks")),
    ("shapes", lambda: gr.Slice.through([1, 2], [1, 2, 3], [1, 2]), ShapeError, ("(2,), (3,)",)),
    ("margin", lambda: gr.Slice.through(*INPUTS, margin=-1), InputError, ("margin=-1",)),
    ("axes", lambda: gr.Slice.axes(0, 5, at=INPUTS[0], domain=BOX), DomainError, ("input 5", "0 to 4")),
    ("negative axis", lambda: gr.Slice.axes(-1, 2, at=INPUTS[0], domain=BOX), DomainError, ("input -1",)),
    ("same axis", lambda: gr.Slice.axes(2, 2, at=INPUTS[0], domain=BOX), DomainError, ("twice",)),
    ("lift", lambda: PLANE.lift([1, 2]), ShapeError, ("(2,)", "[[u, v]]")),
    ("coordinates", lambda: PLANE.coordinates([[1, 2]]), ShapeError, ("(N, 5)",)),
    ("other inputs", lambda: gr.partition(random_network((3,), 0), PLANE), InputDimensionError, ("5", "takes 2")),
    ("not on a plane", lambda: gr.partition(NETWORK, BOX), InputDimensionError, ("gr.Slice.through", "gr.Segment")),
    ("map of no face", lambda: P.input_maps([P.n_regions]), InputError, ("whole numbers",)),
    ("map of a mask", lambda: P.input_maps([True, False]), InputError, ("whole numbers",)),
    ("batch size", lambda: P.input_map_batches(0), InputError, ("size=0",)),
]


@pytest.mark.parametrize(("call", "error", "parts"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_misuse(call: Any, error: Any, parts: tuple[str, ...]) -> None:
    assert_raises(call, error, parts)
