"""Plane domains: boxes (of any dimension) and convex polygons.

Corners keep exactly the float64 values they were given; validity (orientation, convexity,
area above zero) is decided in exact rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, ReadOnly, float_array, frozen, real_array
from geomrelu.errors import DomainError, GeomReluError, RangeError

__all__ = ["Box", "Polygon", "domain_array"]

# Differences of coordinates up to this, and sums of a few such, stay finite.
_LARGEST = 2.0**1022
_Point: TypeAlias = tuple[Fraction, Fraction]
_CROSSED = (
    "Polygon: the ring crosses itself; expected the corners of a convex polygon in order around it, so reorder them"
)


class Box(ReadOnly):
    """Axis-parallel box, ``low <= x <= high``.

    Parameters
    ----------
    low, high : float or (d,) array_like
        Corners; two plain numbers mean the square ``[low, high]^2``.

    Raises
    ------
    DomainError
        If a bound is not finite, or the box is empty or flat.

    Examples
    --------
    >>> Box(-1, 1).area, Box([-1, -2], [1, 2]).area
    (4.0, 8.0)
    """

    low: FloatArray
    high: FloatArray

    def __init__(self, low: npt.ArrayLike, high: npt.ArrayLike) -> None:
        a, b = domain_array(low, "Box low"), domain_array(high, "Box high")
        if a.ndim == 0 and b.ndim == 0:
            a, b = np.full(2, float(a)), np.full(2, float(b))
        elif a.ndim == 0 or b.ndim == 0:
            a, b = (np.array(v) for v in np.broadcast_arrays(a, b))
        if a.ndim != 1 or a.shape != b.shape or len(a) == 0:
            raise DomainError(
                f"Box: got low of shape {a.shape} and high of shape {b.shape}; "
                "expected equal lengths: two numbers, or two points"
            )
        if not (a < b).all():
            axis = int(np.argmin(a < b))
            raise DomainError(
                f"Box: axis {axis} runs from {a[axis]} to {b[axis]}; expected low < high, so that the box is not empty"
            )
        vars(self).update(low=frozen(a), high=frozen(b))

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return len(self.low)

    @property
    def vertices(self) -> FloatArray:
        """The four corners of a 2-D box, counter-clockwise, (4, 2)."""
        if self.dimension != 2:
            raise DomainError(f"Box: corners are listed for 2-D boxes only; this one has dimension {self.dimension}")
        (x0, y0), (x1, y1) = self.low, self.high
        return frozen(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(xmin, ymin, xmax, ymax) of a 2-D box."""
        return _bounds(self.vertices)

    @property
    def area(self) -> float:
        """Area (in d dimensions: volume), rounded to float64; RangeError if that is too large."""
        with np.errstate(over="ignore"):
            area = float(np.prod(self.high - self.low))
        return area if np.isfinite(area) else _too_large()

    def contains(self, points: npt.ArrayLike) -> BoolArray:
        """Whether each point (N, d) lies in the box, its border included; exact."""
        x = float_array(points, "points")
        return np.asarray(((self.low <= x) & (x <= self.high)).all(axis=1))

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Box) and np.array_equal(self.low, other.low)
        return same and np.array_equal(self.high, other.high)  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(("Box", *self.low.tolist(), *self.high.tolist()))

    def __repr__(self) -> str:
        return f"Box({self.low.tolist()}, {self.high.tolist()})"


class Polygon(ReadOnly):
    """Convex polygon.

    Parameters
    ----------
    shape : shapely.Polygon, Box or (N, 2) array_like
        Corners in either orientation.  Repeated corners and corners in the middle of a
        side are dropped, so the set stays the same.

    Polygons are equal if they have the same corners in the same order: sides are numbered.

    Raises
    ------
    DomainError
        If it has fewer than three corners, holes, no area, is not convex, or not finite.

    Examples
    --------
    >>> Polygon([[0, 0], [0, 1], [1, 0]]).vertices.tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """

    vertices: FloatArray

    def __init__(self, shape: Any) -> None:
        vars(self)["vertices"] = frozen(_convex_ring(_corners(shape)))

    @property
    def dimension(self) -> int:
        """Number of coordinates: 2."""
        return 2

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(xmin, ymin, xmax, ymax)."""
        return _bounds(self.vertices)

    @property
    def area(self) -> float:
        """Area, the exact value rounded to float64; RangeError if that is too large."""
        ring = _exact_points(self.vertices)
        try:
            return float(sum(_turn(ring[0], p, q) for p, q in pairwise(ring[1:])) / 2)
        except OverflowError:
            return _too_large()

    def contains(self, points: npt.ArrayLike) -> BoolArray:
        """Whether each point (N, 2) lies in the polygon, its border included; exact."""
        x = float_array(points, "points")
        inside = np.ones(len(x), dtype=bool)
        for p, q in zip(self.vertices, np.roll(self.vertices, -1, axis=0), strict=True):
            # What overflows, or is not finite, comes out as doubtful.
            with np.errstate(over="ignore", invalid="ignore"):
                left = (q[0] - p[0]) * (x[:, 1] - p[1])
                right = (q[1] - p[1]) * (x[:, 0] - p[0])
                value = left - right
            # Shewchuk's bound for the orientation determinant, with room for underflow.
            doubtful = ~(np.abs(value) > 4e-16 * (np.abs(left) + np.abs(right)) + 1e-300)
            inside &= doubtful | (value > 0)
            for i in np.flatnonzero(doubtful & inside):
                if not np.isfinite(x[i]).all():
                    inside[i] = False
                    continue
                a, b, c = _exact_points(np.array([p, q, x[i]]))
                inside[i] = _turn(a, b, c) >= 0
        return inside

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Polygon) and np.array_equal(self.vertices, other.vertices)

    def __hash__(self) -> int:
        return hash(("Polygon", *self.vertices.ravel().tolist()))

    def __repr__(self) -> str:
        return f"Polygon({self.vertices.tolist()})"


def _too_large() -> float:
    raise RangeError("area: the domain's area is above 1.8e308, the most that float64 holds; scale the domain down")


def domain_array(values: Any, what: str) -> FloatArray:
    """`values` as float64, finite and not so large that differences overflow; `DomainError` if they are not."""
    try:
        array = real_array(values, what, advice="give a bounded domain")
        if array.size and np.abs(array).max() > _LARGEST:
            raise DomainError(
                f"{what}: got a coordinate of {np.abs(array).max():.3g}; expected at most 2^1022 (4.5e307), so that "
                "differences stay within float64; scale the domain down and the first layer's weights up"
            )
        return array
    except DomainError:
        raise
    except GeomReluError as error:
        raise DomainError(str(error)) from error
    except (TypeError, ValueError) as error:
        raise DomainError(f"{what}: got {values!r}; expected finite numbers") from error


def _corners(shape: Any) -> FloatArray:
    if isinstance(shape, Box | Polygon):
        return shape.vertices
    if isinstance(shape, type | str | bytes | Mapping | set | frozenset):
        got = f"the class {shape.__name__}" if isinstance(shape, type) else type(shape).__name__
        raise DomainError(f"Polygon: got {got}; expected a shapely Polygon or corners (N, 2)")
    if hasattr(shape, "geom_type"):
        if shape.geom_type != "Polygon":
            raise DomainError(f"Polygon: got a shapely {shape.geom_type}; expected a shapely Polygon")
        if shape.is_empty:
            raise DomainError("Polygon: got an empty shapely polygon; expected one with area above zero")
        if len(shape.interiors):
            raise DomainError(
                f"Polygon: got a polygon with {len(shape.interiors)} hole(s), which is not convex; "
                "cut it into convex parts and partition each"
            )
        shape = np.asarray(shape.exterior.coords)[:, :2]
    corners = domain_array(shape, "Polygon corners")
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise DomainError(f"Polygon: got corners of shape {corners.shape}; expected (N, 2), N >= 3")
    return corners


def _convex_ring(corners: FloatArray) -> FloatArray:
    """Strictly convex, counter-clockwise ring of the given corners; decided exactly."""
    # The later of equal corners goes, so that a closed ring keeps its first corner.
    repeated = (corners == np.roll(corners, -1, axis=0)).all(axis=1)
    corners = corners[~repeated]
    points = _exact_points(corners)
    n = len(points)
    triangles = [_turn(points[0], points[k], points[k + 1]) for k in range(1, n - 1)]
    doubled_area = sum(triangles, Fraction(0))
    if doubled_area == 0 and any(triangles):
        raise DomainError(_CROSSED)
    if doubled_area == 0:
        raise DomainError(f"Polygon: {n} distinct corners enclose no area; expected at least three, not on one line")
    if doubled_area < 0:
        corners = np.roll(corners[::-1], 1, axis=0)
        points = _exact_points(corners)
    turns = [_turn(points[k - 1], points[k], points[(k + 1) % n]) for k in range(n)]
    if any(turn < 0 for turn in turns):
        worst = corners[min(range(n), key=lambda k: turns[k])]
        raise DomainError(
            f"Polygon: not convex at corner {worst.tolist()}; take its convex hull (shapely: polygon.convex_hull) "
            "or cut it into convex parts"
        )
    keep = [k for k in range(n) if turns[k] != 0]
    ring = [points[k] for k in keep]
    # Left turns only, and all others seen counter-clockwise from the first corner: the ring goes round once.
    if any(_turn(ring[0], p, q) <= 0 for p, q in pairwise(ring[1:])):
        raise DomainError(_CROSSED)
    return np.ascontiguousarray(corners[keep])


def _exact_points(corners: FloatArray) -> list[_Point]:
    return [(Fraction(float(x)), Fraction(float(y))) for x, y in corners]


def _turn(a: _Point, b: _Point, c: _Point) -> Fraction:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _bounds(vertices: FloatArray) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = vertices.min(axis=0).tolist(), vertices.max(axis=0).tolist()
    return x0, y0, x1, y1
