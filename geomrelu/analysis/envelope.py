"""Which output is the largest where, inside one region: the upper envelope of affine functions on a polygon.

On a region every output is affine, so where output k is the largest is a convex polygon P_k: the region
clipped by y_k - y_j >= 0 for every other j.  Only values at nodes are needed, and no
coordinates: a new node between a and b, at which g = y_k - y_j is zero, is at the fraction
t = g(a) / (g(a) - g(b)), where every affine function has the value (1 - t) f(a) + t f(b).

The same loops run on floats and on fractions.  With floats every value f carries a bound e(f).
The fraction's error is at most dt = max(e(g(a)), e(g(b))) / (|g(a) - g(b)| - e(g(a)) - e(g(b))),
so a new value's is at most

    max(e(f(a)), e(f(b))) + dt (|f(a) - f(b)| + e(f(a)) + e(f(b))) + rounding.

A sign that the bound leaves open raises `InDoubt`; the region is then done again on the exact
outputs at its exact corners, where the bound is 0.  Ties are legal there: outputs with the same
map on the region are one, known by the lowest number, and outputs that are the largest on a
segment or in a point only have no polygon.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Cell", "Envelope", "InDoubt", "Row", "alone_between", "clipped", "corner_rows", "envelope"]

# What a node is, whatever polygon it was found in: a corner of the region (its vertex), a
# point of an edge where two outputs tie (edge, i, j), or one inside where some do (i, j, k, ...).
Name: TypeAlias = tuple[int, ...]
_Numbers: TypeAlias = npt.NDArray[Any]
_CORNER, _ON_EDGE, _INSIDE = 0, 1, 2
_ROUNDING = 2.0**-50


class InDoubt(Exception):
    """A sign is not certain in floating point."""


class Row(NamedTuple):
    """Values at a node: outputs (K,), then the two coordinates, and bounds on their errors; floats or fractions."""

    value: _Numbers  # (K + 2,)
    error: _Numbers  # (K + 2,)
    name: Name


class Cell(NamedTuple):
    """Where one output is the largest: a convex polygon, counter-clockwise."""

    output: int
    rows: list[Row]
    beyond: list[int]  # behind the side that leaves each node: the output there, or -1 - e on the region's edge e


class Envelope(NamedTuple):
    """The cells of a region, and outputs that are equal all over it."""

    cells: list[Cell]
    equal: list[tuple[int, int]]  # the lower number first


def corner_rows(
    vertices: list[int], outputs: list[Any], positions: list[Any], errors: list[float], place_errors: list[float]
) -> list[Row]:  # fmt: skip
    """Rows of a region's corners, from lists of outputs (K,) and positions (2,): floats, or fractions with errors 0."""
    result = []
    for vertex, y, x, error, place_error in zip(vertices, outputs, positions, errors, place_errors, strict=True):
        exact = isinstance(x[0], Fraction)
        value = np.array([*y, *x], dtype=object if exact else np.float64)
        bound = np.full(len(value), error)
        bound[-2:] = place_error
        result.append(Row(value, bound, (_CORNER, vertex)))
    return result


def _sign(value: Any, error: Any) -> int:
    if error and not abs(value) > error:
        raise InDoubt
    return int(value > 0) - int(value < 0)


def _between(a: Row, b: Row, ga: Any, gb: Any, ea: Any, eb: Any, name: Name) -> Row:
    """The node at which a function with values ga, gb (of opposite signs) is zero."""
    t = ga / (ga - gb)
    value = (1 - t) * a.value + t * b.value
    if not isinstance(t, float):
        return Row(value, a.error, name)
    with np.errstate(all="ignore"):
        span = abs(ga - gb) - ea - eb
        dt = (max(ea, eb) / span if span > 0 else np.inf) + _ROUNDING
        error = np.maximum(a.error, b.error) + dt * (np.abs(a.value - b.value) + a.error + b.error)
        return Row(value, error * 1.001 + _ROUNDING * np.maximum(np.abs(a.value), np.abs(b.value)), name)


def clipped(
    rows: list[Row], beyond: list[int], a: _Numbers, b: Any, label: int, name: Any = None, closed: bool = False
) -> tuple[list[Row], list[int]]:
    """The part of a convex polygon where ``a . value - b`` is at least 0; its new side is labelled `label`.

    `name` makes the name of a new node from the label of the side it lies on and that side's
    first node's place.  Where only a point or a side is left the part is empty, unless `closed`.
    """
    g = [_dot(row, a, b) for row in rows]
    signs = [_sign(*values) for values in g]
    if min(signs) >= 0:
        return rows, beyond
    if max(signs) <= 0:
        kept = [row for row, sign in zip(rows, signs, strict=True) if closed and sign == 0]
        return kept, [label] * len(kept)
    kept = []
    labels: list[int] = []
    for k, row in enumerate(rows):
        n = (k + 1) % len(rows)
        if signs[k] > 0 or (signs[k] == 0 and signs[n] > 0):
            kept.append(row)
            labels.append(beyond[k])
        elif signs[k] == 0 and signs[k - 1] > 0:
            kept.append(row)
            labels.append(label)
        if signs[k] * signs[n] < 0:
            (ga, ea), (gb, eb) = g[k], g[n]
            kept.append(_between(row, rows[n], ga, gb, ea, eb, name(k, beyond[k]) if name else ()))
            labels.append(label if signs[k] > 0 else beyond[k])
    return kept, labels


def _dot(row: Row, a: _Numbers, b: Any) -> tuple[Any, Any]:
    """A functional's value at a node, and the bound on its error."""
    value, error = row.value[: len(a)], row.error[: len(a)]
    if value.dtype == object:
        return sum((x * y for x, y in zip(a, value, strict=True) if x), Fraction(0)) - b, 0
    size = np.abs(a)
    products = a * value
    rounding = 2.0**-53 * (len(a) + 4) * (np.abs(products).sum() + abs(b))
    return float(products.sum() - b), float((size * error).sum() + rounding) * 1.001 + 1e-290


def envelope(rows: list[Row], edges: list[int], outputs: list[int]) -> Envelope:
    """The cells of one region.

    Parameters
    ----------
    rows : list of Row
        Its corners, counter-clockwise, with values of the outputs `outputs`, in that order.
    edges : list of int
        The edge that leaves each corner.
    outputs : list of int
        Output numbers, ascending: all that may be the largest somewhere on the region.

    Raises
    ------
    InDoubt
        If floats do not decide a sign.
    """
    chosen, equal = _distinct(rows, outputs)
    cells = []
    for k in chosen:
        polygon, labels = rows, [-1 - edge for edge in edges]
        for j in chosen:
            if j != k and polygon:
                a = _difference(rows, k, j)
                polygon, labels = _clipped_by(polygon, labels, a, k, j, outputs)
        if polygon:
            cells.append(Cell(k, polygon, labels))
    return Envelope([_labelled(cell, cells, rows, edges, outputs) for cell in cells], equal)


def alone_between(rows: list[Row], outputs: list[int]) -> list[int]:
    """Those of the outputs that are, alone, the largest somewhere between two nodes.

    Raises
    ------
    InDoubt
        If floats do not decide a sign.
    """
    result = []
    for k, output in enumerate(outputs):
        part = rows
        for j in range(len(outputs)):
            a = _difference(rows, k, j)
            # Where both are equal all along, neither is alone.
            if j != k and part:
                above = max(_sign(*_dot(row, a, 0)) for row in part) > 0
                part = clipped(part, [0] * len(part), a, 0, 0)[0] if above else []
        if part:
            result.append(output)
    return result


def _distinct(rows: list[Row], outputs: list[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """Places of outputs with different maps on the region, and pairs of equal ones, as output numbers."""
    if rows[0].value.dtype != object:
        return list(range(len(outputs))), []
    found: dict[tuple[Fraction, ...], int] = {}
    equal = []
    for k, output in enumerate(outputs):
        first = found.setdefault(tuple(row.value[k] for row in rows), k)
        if first != k:
            equal.append((outputs[first], output))
    return list(found.values()), equal


def _difference(rows: list[Row], k: int, j: int) -> _Numbers:
    a = np.zeros(len(rows[0].value) - 2, dtype=rows[0].value.dtype)
    a[k], a[j] = 1, -1
    return a


def _clipped_by(
    polygon: list[Row], labels: list[int], a: _Numbers, k: int, j: int, outputs: list[int]
) -> tuple[list[Row], list[int]]:
    def name(place: int, label: int) -> Name:
        tied = {outputs[k], outputs[j]}
        if label < 0:
            return _ON_EDGE, -1 - label, *sorted(tied)
        return _INSIDE, *sorted(tied | {outputs[label]})

    return clipped(polygon, labels, a, 0, j, name)


def _labelled(cell: Cell, cells: list[Cell], corners: list[Row], edges: list[int], outputs: list[int]) -> Cell:
    """The cell with output numbers, the output behind each side, and names that no order of clipping changes."""
    rows = cell.rows
    if rows[0].value.dtype == object:
        rows = [_renamed(row, corners, edges, outputs) for row in rows]
    beyond = []
    for k, label in enumerate(cell.beyond):
        ends = (cell.rows[k], cell.rows[(k + 1) % len(rows)])
        beyond.append(label if label < 0 else outputs[_behind(cell.output, label, ends, cells)])
    return Cell(outputs[cell.output], rows, beyond)


def _renamed(row: Row, corners: list[Row], edges: list[int], outputs: list[int]) -> Row:
    """A node made between others is named after all outputs that tie there.

    On an edge, after the lowest of them and the next that does not equal it along the edge: so both
    regions beside the edge know it, and no other point of the edge has that name.
    """
    kind = row.name[0]
    if kind == _CORNER:
        return row
    values = row.value[: len(outputs)]
    tied = [k for k, y in enumerate(values) if y == values.max()]
    if kind == _INSIDE:
        return row._replace(name=(_INSIDE, *(outputs[k] for k in tied)))
    first = edges.index(row.name[1])
    ends = corners[first], corners[(first + 1) % len(corners)]
    other = next(k for k in tied if any(end.value[k] != end.value[tied[0]] for end in ends))
    return row._replace(name=(_ON_EDGE, row.name[1], outputs[tied[0]], outputs[other]))


def _behind(k: int, label: int, ends: tuple[Row, Row], cells: list[Cell]) -> int:
    """The output whose cell lies behind a side of k's: the one that ties with k along it and has a cell."""
    if ends[0].value.dtype != object:
        return label
    found = [c.output for c in cells if c.output != k and all(row.value[c.output] == row.value[k] for row in ends)]
    return found[0] if found else label
