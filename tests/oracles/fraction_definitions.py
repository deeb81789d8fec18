"""Definitions of a linear region, counted slowly in rational arithmetic from the enumerator's cells.

Nothing of geomrelu is imported, and nothing is shared with it but the definitions: patterns
come from forward passes at rational points, sets where the function equals a map from clipping
polygons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from tests.oracles.fraction_enumerator import Cell, Enumeration, Map, Point, pattern_at, polygon_area


def activation_patterns(network: Any, found: Enumeration) -> set[tuple[int, ...]]:
    """Patterns at all vertices, in the middle of all edges and inside all cells."""
    points = [_rational(v) for v in found.vertices]
    points += [_middle(_rational(edge.ends[0]), _rational(edge.ends[1])) for edge in found.edges]
    points += [cell.inside for cell in found.cells]
    return {pattern_at(network, point) for point in points}


def n_closed_connected(found: Enumeration) -> int:
    """Components of {f = g} that hold a cell with the map g, over all g.

    In each cell {f = g} is the hull of some points.  Where two cells meet, their sets agree,
    and have an extreme point in common if they meet at all.
    """
    total = 0
    owners = Counter(cell.map for cell in found.cells)
    for g, n in owners.items():
        if n == 1:
            total += 1
            continue
        corners = [_equal_set(cell, g) for cell in found.cells]
        groups: dict[Point, int] = {}
        parent = list(range(len(found.cells)))
        for i, points in enumerate(corners):
            for point in points:
                parent[_root(parent, i)] = _root(parent, groups.setdefault(point, i))
        total += len({_root(parent, i) for i, cell in enumerate(found.cells) if cell.map == g})
    return total


def assert_affine_complex(found: Enumeration, groups: Sequence[Sequence[int]]) -> None:
    """Unions of cells form a polyhedral complex with f affine on each: convex, and no vertex inside a side."""
    assert sorted(i for group in groups for i in group) == list(range(len(found.cells)))
    if len(groups) == len(found.cells):
        return  # The cells themselves.
    hulls = []
    for group in groups:
        cells = [found.cells[i] for i in group]
        assert len({cell.map for cell in cells}) == 1
        hull = _hull(point for cell in cells for point in cell.polygon)
        assert polygon_area(hull) == sum(cell.area for cell in cells), "a cell is not convex"
        hulls.append(hull)
    vertices = {point for hull in hulls for point in hull}
    for hull in hulls:
        for a, b in zip(hull, [*hull[1:], hull[0]], strict=True):
            assert not any(_between(a, b, v) for v in vertices), "a vertex lies inside a cell's side"


def _equal_set(cell: Cell, g: Map) -> list[Point]:
    """Extreme points of the part of a cell where its map equals g."""
    points = list(cell.polygon)
    for own, other in zip(cell.map, g, strict=True):
        a, b, c = (s - t for s, t in zip(own, other, strict=True))
        values = [a * x + b * y + c for x, y in points]
        kept = []
        for i, (point, value) in enumerate(zip(points, values, strict=True)):
            following, after = points[(i + 1) % len(points)], values[(i + 1) % len(points)]
            if value == 0:
                kept.append(point)
            if value * after < 0:
                t = value / (value - after)
                kept.append(tuple(u + t * (v - u) for u, v in zip(point, following, strict=True)))
        points = list(dict.fromkeys(kept))
    # Corners in the middle of a segment are no extreme points, but do no harm.
    return points


def _hull(points: Iterable[Point]) -> list[Point]:
    """Strict corners of the convex hull, counter-clockwise."""
    ordered = sorted(set(points))
    halves = []
    for sequence in (ordered, ordered[::-1]):
        half: list[Point] = []
        for point in sequence:
            while len(half) > 1 and _turn(half[-2], half[-1], point) <= 0:
                half.pop()
            half.append(point)
        halves.append(half[:-1])
    return halves[0] + halves[1]


def _between(a: Point, b: Point, v: Point) -> bool:
    along = (v[0] - a[0]) * (b[0] - a[0]) + (v[1] - a[1]) * (b[1] - a[1])
    return _turn(a, b, v) == 0 and 0 < along < (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2


def _turn(a: Point, b: Point, c: Point) -> Fraction:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _rational(point: tuple[int, int, int]) -> Point:
    x, y, w = point
    return Fraction(x, w), Fraction(y, w)


def _middle(a: Point, b: Point) -> Point:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
