"""Domains: exact corners, exact validity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomrelu.domain import Box, Polygon, as_domain
from geomrelu.errors import DomainError

TINY = np.nextafter(0, 1)


def test_box_from_numbers_and_corners() -> None:
    assert Box(-1, 1).vertices.tolist() == [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    box = Box([-1, -2], [1, 3])
    assert (box.area, box.bounds, box.dimension) == (10.0, (-1.0, -2.0, 1.0, 3.0), 2)
    assert Box([0, 0, 0], 1).dimension == 3
    assert Box([-1, -2], 5).high.tolist() == [5, 5]


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (1, 1, "axis 0 runs from 1.0 to 1.0"),
        (1, -1, "low < high"),
        ([0, 1], [1, 1], "axis 1"),
        (0, np.inf, "inf"),
        (np.nan, 1, "nan"),
        ([0, 0], [1, 1, 1], "broadcast|equal lengths"),
        ([], [], "equal lengths"),
        ("a", "b", "dtype"),
        (None, 1, "dtype|finite"),
    ],
)
def test_bad_boxes(low: object, high: object, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        Box(low, high)  # type: ignore[arg-type]


def test_only_flat_boxes_have_corners() -> None:
    with pytest.raises(DomainError, match="dimension 3"):
        _ = Box([0, 0, 0], [1, 1, 1]).vertices


def test_box_contains_its_border() -> None:
    inside = Box(-1, 1).contains([[0, 0], [1, 1], [-1, 0.5], [np.nextafter(1, 2), 0], [np.nan, 0], [0, -np.inf]])
    assert inside.tolist() == [True, True, True, False, False, False]


def test_corners_are_kept_exactly() -> None:
    corners = np.array([[0.1, 0.2], [1 / 3, 0.2], [0.3, np.nextafter(0.7, 1)]])
    assert Polygon(corners).vertices.tolist() == corners.tolist()
    assert Polygon(corners.astype(np.float32)).vertices.tolist() == corners.astype(np.float32).astype(float).tolist()


def test_either_orientation_gives_a_counter_clockwise_ring() -> None:
    ring = [[0, 0], [2, 0], [2, 1], [0, 1]]
    for corners in (ring, ring[::-1]):
        got = Polygon(corners).vertices
        x, y = got.T
        assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() == 4
    assert Polygon(ring).area == 2


def test_repeated_and_collinear_corners_are_dropped() -> None:
    ring = [[0, 0], [0, 0], [1, 0], [2, 0], [2, 2], [0, 2], [0, 1], [0, 0]]
    assert Polygon(ring).vertices.tolist() == [[2, 0], [2, 2], [0, 2], [0, 0]] or len(Polygon(ring).vertices) == 4


def test_shapely_polygons() -> None:
    shapely = pytest.importorskip("shapely")
    assert Polygon(shapely.box(0, 0, 2, 1)).area == 2
    assert len(as_domain(shapely.Polygon([(0, 0), (1, 0), (0, 1)])).vertices) == 3
    with pytest.raises(DomainError, match="hole"):
        Polygon(shapely.Polygon([(0, 0), (9, 0), (0, 9)], [[(1, 1), (2, 1), (1, 2)]]))
    with pytest.raises(DomainError, match="empty"):
        Polygon(shapely.Polygon())
    with pytest.raises(DomainError, match="LineString"):
        Polygon(shapely.LineString([(0, 0), (1, 1)]))


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        ([[0, 0], [1, 0]], "no area"),
        ([[0, 0], [1, 1], [2, 2]], "no area"),
        ([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.7, 0.7]], "no area"),
        ([[0, 0], [2, 0], [2, 2], [1, 0.5]], "not convex at corner"),
        ([[0, 0], [1, 1], [1, 0], [0, 1]], "no area|convex|crosses"),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], r"expected \(N, 2\)"),
        ([[0, 0], [1, 0], [0, np.inf]], "inf"),
        ([], "expected"),
        ([[0, 0], [0, 0], [0, 0]], "no area"),
    ],
)
def test_bad_polygons(corners: list, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        Polygon(corners)


def test_a_ring_that_goes_round_twice_is_refused() -> None:
    turn = 2 * np.pi * 2 * np.arange(5) / 5  # a pentagram: left turns only
    with pytest.raises(DomainError, match="crosses itself"):
        Polygon(np.column_stack([np.cos(turn), np.sin(turn)]))


def test_convexity_is_decided_exactly() -> None:
    """The middle corner is off the side by less than the rounding of the orientation determinant."""
    below, above = np.nextafter(0.5, 0), np.nextafter(0.5, 1)
    assert len(Polygon([[0, 0], [0.5, below], [1, 1], [0, 1]]).vertices) == 4
    assert len(Polygon([[0, 0], [0.5, 0.5], [1, 1], [0, 1]]).vertices) == 3
    with pytest.raises(DomainError, match="not convex"):
        Polygon([[0, 0], [0.5, above], [1, 1], [0, 1]])
    assert Polygon([[0, 0], [1, 0], [0, 1e-300]]).vertices.shape == (3, 2)
    assert Polygon([[0, 0], [TINY, 0], [0, TINY]]).vertices.shape == (3, 2)


@given(st.floats(-2, 2), st.integers(-3, 3))
def test_polygon_membership_is_exact(x: float, ulps: int) -> None:
    """Points within a few ulps of the side y = x of a triangle."""
    y = x
    for _ in range(abs(ulps)):
        y = float(np.nextafter(y, 9 if ulps > 0 else -9))
    triangle = Polygon([[-2, -2], [2, 2], [-2, 2]])
    assert triangle.contains([[x, y]]).tolist() == [y >= x and y <= 2]


def test_points_that_are_not_finite_are_outside() -> None:
    points = [[np.nan, 0], [np.inf, 0], [0, -np.inf], [0.25, 0.25]]
    assert Polygon([[0, 0], [1, 0], [0, 1]]).contains(points).tolist() == [False, False, False, True]


def test_as_domain() -> None:
    box = Box(0, 1)
    assert as_domain(box) is box
    assert isinstance(as_domain([[0, 0], [1, 0], [0, 1]]), Polygon)
    with pytest.raises(DomainError, match="got None"):
        as_domain(None)
