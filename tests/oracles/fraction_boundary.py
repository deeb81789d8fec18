"""Decision boundaries in rational arithmetic: every cell is clipped by every pair of classes, nothing is shared.

Beside `fraction_enumerator`, whose cells it takes.  Nothing of geomrelu is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

from tests.oracles.fraction_enumerator import Enumeration, Point, polygon_area

Map = tuple[tuple[Fraction, ...], ...]
Segment = frozenset[Point]


def as_classes(map: Map, level: Fraction | None = None, output: int = 0) -> Map:
    """One row per class: the outputs', or those of 0 and an output minus a level."""
    if level is None and len(map) > 1:
        return map
    a, b, c = map[output]
    zero = Fraction(0)
    return (zero, zero, zero), (a, b, c - (level or 0))


def value(row: Sequence[Fraction], point: Point) -> Fraction:
    return row[0] * point[0] + row[1] * point[1] + row[2]


def centre(polygon: Sequence[Point]) -> Point:
    """A point inside a convex polygon: its corners' mean."""
    x, y = (sum(axis, Fraction(0)) / len(polygon) for axis in zip(*polygon, strict=True))
    return x, y


def clip(polygon: list[Point], row: Sequence[Fraction]) -> list[Point]:
    """The part of a convex polygon where a form is at least 0; empty if it has no area."""
    result: list[Point] = []
    for p, q in zip(polygon, [*polygon[1:], *polygon[:1]], strict=True):
        u, v = value(row, p), value(row, q)
        if u >= 0:
            result.append(p)
        if u * v < 0:
            t = u / (u - v)
            result.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
    kept = [p for k, p in enumerate(result) if p != result[k - 1]]
    return kept if len(kept) > 2 and polygon_area(kept) > 0 else []


def class_cells(polygon: Sequence[Point], classes: Map) -> dict[int, list[Point]]:
    """Where each class is the largest, the lowest of classes with equal forms only; those with area."""
    found = {}
    for k, own in enumerate(classes):
        part = list(polygon)
        for j, other in enumerate(classes):
            if j < k and other == own:
                part = []
            elif j != k and part:
                part = clip(part, [a - b for a, b in zip(own, other, strict=True)])
        if part:
            found[k] = part
    return found


def class_areas(found: Enumeration, n_classes: int, **asked: Any) -> list[Fraction]:
    totals = [Fraction(0)] * n_classes
    for cell in found.cells:
        for k, part in class_cells(cell.polygon, as_classes(cell.map, **asked)).items():
            totals[k] += polygon_area(part)
    return totals


def inner_segments(found: Enumeration, **asked: Any) -> dict[Segment, tuple[int, int, tuple[int, ...]]]:
    """Ends of the segments inside cells -> both classes and the cell's pattern."""
    result = {}
    for cell in found.cells:
        classes = as_classes(cell.map, **asked)
        parts = class_cells(cell.polygon, classes)
        for i, j in combinations(parts, 2):
            tie = [a - b for a, b in zip(classes[i], classes[j], strict=True)]
            on_both = [p for p in parts[i] if value(tie, p) == 0 and p in parts[j]]
            if len(on_both) == 2:
                result[frozenset(on_both)] = (i, j, cell.pattern)
    return result


def edge_segments(found: Enumeration, **asked: Any) -> set[Segment]:
    """Parts of edges along which classes tie for the largest, the two lowest of them not so beside both sides."""
    result = set()
    for edge in found.edges:
        sides = [as_classes(found.cells[k].map, **asked) for k in edge.cells]
        inside = [centre(found.cells[k].polygon) for k in edge.cells]
        a, b = ((Fraction(x, w), Fraction(y, w)) for x, y, w in edge.ends)
        at_a, at_b = ([value(row, end) for row in sides[0]] for end in (a, b))
        tied: dict[Segment, set[int]] = {}
        for i, j in combinations(range(len(at_a)), 2):
            if at_a[i] != at_a[j] or at_b[i] != at_b[j]:
                continue
            low, high = Fraction(0), Fraction(1)
            for k in range(len(at_a)):
                u, v = at_a[i] - at_a[k], at_b[i] - at_b[k]
                if u < 0 and v < 0:
                    high = Fraction(-1)
                elif u < 0 or v < 0:
                    t = u / (u - v)
                    low, high = (max(low, t), high) if u < 0 else (low, min(high, t))
            if low < high:
                ends = frozenset((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])) for t in (low, high))
                tied.setdefault(ends, set()).update((i, j))
        for ends, classes in tied.items():
            i, j = sorted(classes)[:2]
            # All of `classes` are equal on the edge's line: which are the largest beside it, one point tells.
            beside = ([value(row, point) for row in side] for side, point in zip(sides, inside, strict=True))
            if not all(y[i] == y[j] == max(y[k] for k in classes) for y in beside):
                result.add(ends)
    return result
