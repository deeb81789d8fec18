"""A slow, independent enumerator of activation regions in d dimensions, in rational arithmetic.

It works cell by cell: a cell is a convex polytope by its vertices, each with the set of constraints that are tight
there, together with the affine map of its layer's inputs.  It is clipped by one neuron after the other (the double
description method, with the combinatorial test of adjacency); the two halves know nothing of each other.

Nothing of geomrelu is imported: a network is anything with ``layers``, each with ``weight``, ``bias`` and
``n_neurons``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from math import factorial
from typing import Any

Point = tuple[Fraction, ...]
Form = tuple[Fraction, ...]  # gradient, then constant
Vertices = dict[Point, frozenset[int]]  # with the numbers of the tight constraints


@dataclass(frozen=True)
class Cell:
    """One activation region."""

    pattern: tuple[int, ...]
    vertices: Vertices
    map: tuple[Form, ...]  # one form for each output

    @cached_property
    def volume(self) -> Fraction:
        d = len(next(iter(self.vertices)))
        return sum((abs(_determinant(s)) for s in _simplices(self.vertices)), Fraction(0)) / factorial(d)

    @cached_property
    def edges(self) -> set[frozenset[Point]]:
        return {frozenset(pair) for pair in combinations(self.vertices, 2) if _adjacent(self.vertices, *pair)}


@dataclass(frozen=True)
class Enumeration:
    """All cells, and the complex that they form."""

    cells: tuple[Cell, ...]

    @cached_property
    def by_pattern(self) -> dict[tuple[int, ...], Cell]:
        return {cell.pattern: cell for cell in self.cells}

    @cached_property
    def vertices(self) -> set[Point]:
        return {point for cell in self.cells for point in cell.vertices}

    @cached_property
    def edges(self) -> set[frozenset[Point]]:
        return {edge for cell in self.cells for edge in cell.edges}

    @cached_property
    def neighbors(self) -> set[frozenset[tuple[int, ...]]]:
        """Pairs of patterns whose cells share a facet."""
        found = set()
        for a, b in combinations(self.cells, 2):
            common = [point for point in a.vertices if point in b.vertices]
            if len(common) >= len(next(iter(a.vertices))) and _rank(common) == len(common[0]) - 1:
                found.add(frozenset([a.pattern, b.pattern]))
        return found


def enumerate_cells(
    network: Any, constraints: Sequence[Sequence[Any]], corners: Sequence[Sequence[Any]]
) -> Enumeration:
    """All activation regions in the polytope with these corners, in which ``row . (x, 1) >= 0`` for each constraint."""
    rows = [tuple(Fraction(v) for v in row) for row in constraints]
    points = [tuple(Fraction(v) for v in point) for point in corners]
    start: Vertices = {p: frozenset(k for k, row in enumerate(rows) if _value(row, p) == 0) for p in points}
    d = len(points[0])
    identity = [tuple(Fraction(int(i == j)) for j in range(d + 1)) for i in range(d)]
    stack: list[Any] = [(start, (), 0, identity)]
    cells = []
    while stack:
        vertices, bits, index, inputs = stack.pop()
        layer = network.layers[index]
        units = [_combined(w, inputs, b) for w, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)]
        if index == len(network.layers) - 1:
            cells.append(Cell(bits, vertices, tuple(units)))
            continue
        for part, own in _clip_all(vertices, units[: layer.n_neurons]):
            zero = (Fraction(0),) * (d + 1)
            passed = [u if bit else zero for u, bit in zip(units[: layer.n_neurons], own, strict=True)]
            stack.append((part, bits + own, index + 1, passed + units[layer.n_neurons :]))
    return Enumeration(tuple(cells))


def enumerate_box(network: Any, low: Sequence[float], high: Sequence[float]) -> Enumeration:
    """All activation regions in a box."""
    d = len(low)
    constraints = []
    for i in range(d):
        unit = [int(i == j) for j in range(d)]
        constraints += [[*unit, -Fraction(low[i])], [*(-v for v in unit), Fraction(high[i])]]
    corners = [[(low[i], high[i])[k >> i & 1] for i in range(d)] for k in range(1 << d)]
    return enumerate_cells(network, constraints, corners)


def _value(form: Form, point: Point) -> Fraction:
    return sum((a * x for a, x in zip(form, point, strict=False)), form[-1])


def _combined(weights: list[float], inputs: list[Form], bias: float) -> Form:
    rows = [(Fraction(w), row) for w, row in zip(weights, inputs, strict=True) if w]
    total = [sum((w * row[j] for w, row in rows), Fraction(0)) for j in range(len(inputs[0]))]
    total[-1] += Fraction(bias)
    return tuple(total)


def _clip_all(vertices: Vertices, forms: list[Form]) -> list[tuple[Vertices, tuple[int, ...]]]:
    parts: list[tuple[Vertices, tuple[int, ...]]] = [(vertices, ())]
    for form in forms:
        after = []
        for part, bits in parts:
            values = {point: _value(form, point) for point in part}
            if min(values.values()) < 0 < max(values.values()):
                positive, negative = _clip(part, values)
                after += [(positive, (*bits, 1)), (negative, (*bits, 0))]
            else:
                after.append((part, (*bits, int(max(values.values()) > 0))))
        parts = after
    return parts


def _clip(vertices: Vertices, values: dict[Point, Fraction]) -> tuple[Vertices, Vertices]:
    new = 1 + max(k for tight in vertices.values() for k in tight)
    on = {p: tight | {new} for p, tight in vertices.items() if values[p] == 0}
    for p, q in combinations(vertices, 2):
        if values[p] * values[q] < 0 and _adjacent(vertices, p, q):
            t = values[p] / (values[p] - values[q])
            on[tuple(a + t * (b - a) for a, b in zip(p, q, strict=True))] = vertices[p] & vertices[q] | {new}
    above = {p: tight for p, tight in vertices.items() if values[p] > 0}
    below = {p: tight for p, tight in vertices.items() if values[p] < 0}
    return above | on, below | on


def _adjacent(vertices: Vertices, p: Point, q: Point) -> bool:
    """Whether two vertices have an edge: no third one has all constraints tight that both have."""
    common = vertices[p] & vertices[q]
    return not any(common <= tight for r, tight in vertices.items() if r not in (p, q))


def _simplices(vertices: Vertices) -> list[list[Point]]:
    """Simplices that fill a polytope: its first vertex with those of the facets that do not touch it."""
    points = sorted(vertices)
    if len(points) == 1:
        return [points]
    apex, found = points[0], []
    faces = {frozenset(p for p in points if k in vertices[p]) for k in set().union(*vertices.values())}
    for face in faces:
        # A face in another one's border has no volume; a repeated one would count twice.
        if (
            face
            and apex not in face
            and not any(face < other for other in faces if apex not in other and len(other) < len(points))
        ):
            found += [[apex, *rest] for rest in _simplices({p: vertices[p] for p in face})]
    return found


def _determinant(simplex: list[Point]) -> Fraction:
    first, *rest = simplex
    rows = [[a - b for a, b in zip(p, first, strict=True)] for p in rest]
    if len(rows) != len(first):
        return Fraction(0)
    return _eliminate(rows)[1]


def _rank(points: list[Point]) -> int:
    first, *rest = points
    return _eliminate([[a - b for a, b in zip(p, first, strict=True)] for p in rest])[0]


def _eliminate(rows: list[list[Fraction]]) -> tuple[int, Fraction]:
    """Rank, and determinant if the matrix is square."""
    rows, rank, product = [row[:] for row in rows], 0, Fraction(1)
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((r for r in range(rank, len(rows)) if rows[r][column] != 0), None)
        if pivot is None:
            product = Fraction(0)
            continue
        if pivot != rank:
            rows[rank], rows[pivot] = rows[pivot], rows[rank]
            product = -product
        product *= rows[rank][column]
        for r in range(rank + 1, len(rows)):
            factor = rows[r][column] / rows[rank][column]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[rank], strict=True)]
        rank += 1
    return rank, product if rank == len(rows) else Fraction(0)
