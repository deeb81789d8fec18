"""The slow enumerator itself, held to theorems and to plain forward passes."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from tests.networks import (
    SQUARE,
    UNIT,
    Case,
    degenerate_cases,
    fold,
    grid,
    integer_network,
    lines,
    random_cases,
    random_network,
    sawtooth,
    triangle,
)
from tests.oracles.fraction_enumerator import Enumeration, enumerate_regions, evaluate, pattern_at, polygon_area

ALL_CASES = [*degenerate_cases(), *random_cases()]


def enumerate_case(case: Case) -> Enumeration:
    return enumerate_regions(case.network, case.domain.vertices)


def crossings_and_lines_inside(table: np.ndarray) -> tuple[int, int]:
    """Lines that meet the open square [-1, 1]^2, and pairs that cross in it; by Cramer's rule."""
    exact = [[Fraction(float(v)) for v in row] for row in table]
    at_corners = [[a * x + b * y + c for x in (-1, 1) for y in (-1, 1)] for a, b, c in exact]
    meeting = sum(min(v) < 0 < max(v) for v in at_corners)
    crossing = 0
    for (a, b, c), (d, e, f) in combinations(exact, 2):
        det = a * e - b * d
        if det and abs((b * f - c * e) / det) < 1 and abs((c * d - a * f) / det) < 1:
            crossing += 1
    return crossing, meeting


@pytest.mark.parametrize(("n", "seed"), [(1, 0), (5, 1), (12, 2), (20, 3), (30, 4)])
def test_lines_in_general_position(n: int, seed: int) -> None:
    table = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    crossing, meeting = crossings_and_lines_inside(table)
    found = enumerate_regions(lines(table), SQUARE.vertices)
    assert found.n_regions == 1 + meeting + crossing
    assert found.n_vertices == 4 + 2 * meeting + crossing
    assert found.n_edges == 4 + 3 * meeting + 2 * crossing


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
def test_sawtooth_has_two_to_the_depth_pieces(depth: int) -> None:
    found = enumerate_regions(sawtooth(depth), UNIT.vertices)
    assert found.n_regions == found.n_linear_regions == found.n_affine_pieces == 2**depth
    assert {cell.area for cell in found.cells} == {Fraction(1, 2**depth)}
    centred = enumerate_regions(sawtooth(depth, -1, 1), SQUARE.vertices)
    assert centred.n_regions == 2**depth


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_fold_has_four_to_the_depth_regions(depth: int) -> None:
    found = enumerate_regions(fold(depth), UNIT.vertices)
    assert found.n_regions == found.n_linear_regions == 4**depth
    assert found.n_affine_pieces == 4 * (2**depth - 1)
    assert found.n_vertices == (2**depth + 1) ** 2
    assert enumerate_regions(fold(depth, -1, 1), SQUARE.vertices).n_regions == 4**depth
    # On [-1, 1]^2 the strips with x < 0 or y < 0 come on top.
    assert enumerate_regions(fold(depth), SQUARE.vertices).n_regions == (2**depth + 1) ** 2


@pytest.mark.parametrize("n", [2, 3, 7])
def test_grid(n: int) -> None:
    found = enumerate_regions(grid(n, diagonals=False), SQUARE.vertices)
    assert (found.n_regions, found.n_vertices, found.n_edges) == ((n + 1) ** 2, (n + 2) ** 2, 2 * (n + 1) * (n + 2))


def test_three_lines_bound_a_triangle_of_any_size() -> None:
    for size in (0.5, 1e-6, 1e-15, 1e-100):
        found = enumerate_regions(triangle(size), SQUARE.vertices)
        assert found.n_regions == 7
        legs = Fraction(size)
        assert min(cell.area for cell in found.cells) == legs**2 / 2


def test_known_small_network() -> None:
    """f = relu(relu(x) - relu(y)): eight numbers worked out by hand."""
    from geomrelu.network import Network

    network = Network([[[1, 0], [0, 1]], [[1, -1]], [[1]]])
    found = enumerate_regions(network, SQUARE.vertices)
    assert set(found.by_pattern) == {(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0)}
    assert found.by_pattern[1, 1, 1].area == Fraction(1, 2)
    assert found.by_pattern[1, 1, 1].map == ((1, -1, 0),)
    assert found.by_pattern[1, 0, 1].map == ((1, 0, 0),)
    assert (found.n_linear_regions, found.n_affine_pieces) == (3, 3)
    # Corners 4, the origin, where x = 0 and y = 0 meet the border 4 times; x = y ends in a corner.
    assert (found.n_vertices, found.n_edges) == (9, 13)


@pytest.mark.parametrize("case", ALL_CASES, ids=str)
def test_cells_tile_the_domain(case: Case) -> None:
    found = enumerate_case(case)
    domain = [(Fraction(float(x)), Fraction(float(y))) for x, y in case.domain.vertices]
    assert sum(cell.area for cell in found.cells) == polygon_area(domain)
    assert min(cell.area for cell in found.cells) > 0
    assert len(found.by_pattern) == found.n_regions
    assert found.n_vertices - found.n_edges + found.n_regions == 1
    assert all(len(edge.cells) in (1, 2) for edge in found.edges)
    assert found.n_affine_pieces <= found.n_linear_regions <= found.n_regions


@pytest.mark.parametrize("case", ALL_CASES, ids=str)
def test_patterns_and_maps_are_those_of_a_forward_pass(case: Case) -> None:
    for cell in enumerate_case(case).cells:
        x, y = cell.inside
        assert pattern_at(case.network, (x, y)) == cell.pattern
        for px, py in ((x, y), *cell.polygon):
            assert evaluate(case.network, (px, py)) == tuple(a * px + b * py + c for a, b, c in cell.map)


@pytest.mark.parametrize("seed", range(4))
def test_random_points_fall_into_cells_with_their_pattern(seed: int) -> None:
    network = random_network((6, 5), seed, np.float32)
    found = enumerate_regions(network, SQUARE.vertices)
    for point in np.random.default_rng(seed).uniform(-1, 1, (50, 2)):
        x, y = (Fraction(float(v)) for v in point)
        cell = found.by_pattern[pattern_at(network, (x, y))]
        ring = cell.polygon
        for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
            assert (x1 - x0) * (y - y0) >= (y1 - y0) * (x - x0)


def test_passing_units_are_not_neurons() -> None:
    from geomrelu.network import joint_network

    a, b = integer_network((3,), 1, 2), integer_network((4, 2), 2, 2)
    joint = enumerate_regions(joint_network(a, b), SQUARE.vertices)
    assert len(joint.cells[0].pattern) == a.n_neurons + b.n_neurons
    maps_a = {cell.map[0] for cell in enumerate_regions(a, SQUARE.vertices).cells}
    maps_b = {cell.map[0] for cell in enumerate_regions(b, SQUARE.vertices).cells}
    assert {cell.map[0] for cell in joint.cells} == maps_a
    assert {cell.map[1] for cell in joint.cells} == maps_b
