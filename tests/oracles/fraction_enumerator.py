"""A slow, independent enumerator of activation regions in rational arithmetic.

The engine works layer by layer on shared vertices.  This one works cell by cell: a cell is a
convex polygon together with the affine map of its layer's inputs; it is clipped by one neuron
after the other, and the two halves know nothing of each other.  Vertices, edges and linear
regions are put together only at the end, from equal rational points.

Every number is exact.  Weights are dyadic, so maps are kept as integers over a power of two,
and points as primitive integer triples (X, Y, W), W > 0, for (X/W, Y/W): equal points are
equal tuples.  What leaves the module is `fractions.Fraction`.

Nothing of geomrelu is imported: a network is anything with ``layers``, each with ``weight``,
``bias`` and ``n_neurons``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd
from typing import Any

Triple = tuple[int, int, int]
Point = tuple[Fraction, Fraction]
Map = tuple[tuple[Fraction, ...], ...]  # one (a, b, c) per output: a x + b y + c


@dataclass(frozen=True)
class Cell:
    """One activation region: all points of the domain with `pattern`."""

    pattern: tuple[int, ...]
    corners: tuple[Triple, ...]
    map: Map

    @cached_property
    def polygon(self) -> tuple[Point, ...]:
        """Counter-clockwise corners."""
        return tuple((Fraction(x, w), Fraction(y, w)) for x, y, w in self.corners)

    @cached_property
    def area(self) -> Fraction:
        return polygon_area(self.polygon)

    @property
    def inside(self) -> Point:
        """A point in the open cell."""
        n = len(self.polygon)
        return sum(p[0] for p in self.polygon) / n, sum(p[1] for p in self.polygon) / n  # type: ignore[return-value]


@dataclass(frozen=True)
class Edge:
    """A segment between two vertices without a vertex inside it, and the cells beside it."""

    ends: tuple[Triple, Triple]
    cells: tuple[int, ...]


@dataclass(frozen=True)
class Enumeration:
    """All cells, and the complex that they form."""

    cells: tuple[Cell, ...]

    @cached_property
    def by_pattern(self) -> dict[tuple[int, ...], Cell]:
        return {cell.pattern: cell for cell in self.cells}

    @cached_property
    def vertices(self) -> set[Triple]:
        return {corner for cell in self.cells for corner in cell.corners}

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        return tuple(_matched_edges(self.cells))

    @property
    def n_regions(self) -> int:
        return len(self.cells)

    @property
    def n_vertices(self) -> int:
        return len(self.vertices)

    @property
    def n_edges(self) -> int:
        return len(self.edges)

    @cached_property
    def n_affine_pieces(self) -> int:
        """Distinct affine maps."""
        return len({cell.map for cell in self.cells})

    @cached_property
    def n_linear_regions(self) -> int:
        """Classes of cells joined through edges (of positive length) with equal maps beside."""
        parent = list(range(len(self.cells)))

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i

        for edge in self.edges:
            if len(edge.cells) == 2:
                i, j = edge.cells
                if self.cells[i].map == self.cells[j].map:
                    parent[root(i)] = root(j)
        return len({root(i) for i in range(len(self.cells))})


def enumerate_regions(network: Any, corners: Sequence[Sequence[float]]) -> Enumeration:
    """All activation regions of `network` in the convex polygon `corners` (counter-clockwise)."""
    layers = [_integer_layer(layer) for layer in network.layers]
    # A cell in progress: corners, bits so far, number of the next layer, its inputs' map (integers over 2**scale).
    identity = [(1, 0, 0), (0, 1, 0)]
    stack: list[Any] = [([_triple(x, y) for x, y in corners], (), 0, identity, 0)]
    cells = []
    while stack:
        polygon, bits, index, rows, scale = stack.pop()
        weight, bias, k, n_neurons = layers[index]
        units = [_unit(weights, rows, offset << scale) for weights, offset in zip(weight, bias, strict=True)]
        scale += k
        if index == len(layers) - 1:
            exact = tuple(tuple(Fraction(v, 1 << scale) for v in unit) for unit in units)
            cells.append(Cell(bits, tuple(polygon), exact))
            continue
        for part, own in _clip_all(polygon, units[:n_neurons]):
            inputs = [u if bit else (0, 0, 0) for u, bit in zip(units[:n_neurons], own, strict=True)]
            stack.append((part, bits + own, index + 1, inputs + units[n_neurons:], scale))
    return Enumeration(tuple(cells))


def polygon_area(polygon: Sequence[Point]) -> Fraction:
    """Signed area: positive for a counter-clockwise ring."""
    total = Fraction(0)
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        total += x0 * y1 - x1 * y0
    return total / 2


def evaluate(network: Any, point: Point) -> tuple[Fraction, ...]:
    """The network's outputs at a rational point: a plain forward pass."""
    h = list(point)
    for layer in network.layers:
        u = [
            sum((Fraction(float(w)) * v for w, v in zip(row, h, strict=True)), Fraction(float(b)))
            for row, b in zip(layer.weight, layer.bias, strict=True)
        ]
        h = [max(v, Fraction(0)) if j < layer.n_neurons else v for j, v in enumerate(u)]
    return tuple(h)


def pattern_at(network: Any, point: Point) -> tuple[int, ...]:
    """Activation pattern at a rational point; a preactivation of exactly 0 counts as inactive."""
    h, bits = list(point), []
    for layer in network.layers[:-1]:
        u = [
            sum((Fraction(float(w)) * v for w, v in zip(row, h, strict=True)), Fraction(float(b)))
            for row, b in zip(layer.weight, layer.bias, strict=True)
        ]
        bits += [int(v > 0) for v in u[: layer.n_neurons]]
        h = [max(v, Fraction(0)) if j < layer.n_neurons else v for j, v in enumerate(u)]
    return tuple(bits)


def _unit(weights: list[int], rows: Sequence[Triple], offset: int) -> Triple:
    """The affine map of one unit on a cell, from those of its inputs."""
    a, b, c = (sum(w * row[j] for w, row in zip(weights, rows, strict=True)) for j in range(3))
    return a, b, c + offset


def _clip_all(polygon: list[Triple], lines: list[Any]) -> list[tuple[list[Triple], tuple[int, ...]]]:
    """The pieces into which `lines` cut a polygon, each with its bits."""
    parts: list[tuple[list[Triple], tuple[int, ...]]] = [(polygon, ())]
    for a, b, c in lines:
        after = []
        for corners, bits in parts:
            values = [a * x + b * y + c * w for x, y, w in corners]
            if min(values) < 0 < max(values):
                positive, negative = _clip(corners, values)
                after += [(positive, (*bits, 1)), (negative, (*bits, 0))]
            else:
                after.append((corners, (*bits, int(max(values) > 0))))
        parts = after
    return parts


def _clip(corners: list[Triple], values: list[int]) -> tuple[list[Triple], list[Triple]]:
    """Both halves of a convex polygon, cut along the zero line of `values` (at the corners)."""
    positive, negative = [], []
    n = len(corners)
    for i in range(n):
        p, q, u, v = corners[i], corners[(i + 1) % n], values[i], values[(i + 1) % n]
        if u >= 0:
            positive.append(p)
        if u <= 0:
            negative.append(p)
        if u < 0 < v or v < 0 < u:
            crossing = _primitive(*(abs(v) * s + abs(u) * t for s, t in zip(p, q, strict=True)))
            positive.append(crossing)
            negative.append(crossing)
    return positive, negative


def _matched_edges(cells: Sequence[Cell]) -> list[Edge]:
    """Sides of all cells, cut at every vertex that lies on them."""
    sides = defaultdict(list)
    for i, cell in enumerate(cells):
        for p, q in zip(cell.corners, [*cell.corners[1:], cell.corners[0]], strict=True):
            sides[_line_through(p, q)].append((p, q, i))
    edges = []
    for (a, b, _), members in sides.items():
        # A vertex on a side is an end of another side on the same line: sort the ends along it.
        ends = {end for p, q, _ in members for end in (p, q)}
        ordered = sorted(ends, key=lambda t: Fraction(b * t[0] - a * t[1], t[2]))
        place = {end: k for k, end in enumerate(ordered)}
        beside = defaultdict(list)
        for p, q, i in members:
            first, last = sorted((place[p], place[q]))
            for k in range(first, last):
                beside[k].append(i)
        edges += [Edge((ordered[k], ordered[k + 1]), tuple(owners)) for k, owners in beside.items()]
    return edges


def _line_through(p: Triple, q: Triple) -> Triple:
    a = p[1] * q[2] - p[2] * q[1]
    b = p[2] * q[0] - p[0] * q[2]
    c = p[0] * q[1] - p[1] * q[0]
    divisor = gcd(a, b, c) * (1 if (a, b) > (0, 0) else -1)
    return a // divisor, b // divisor, c // divisor


def _primitive(x: int, y: int, w: int) -> Triple:
    divisor = gcd(x, y, w)
    return x // divisor, y // divisor, w // divisor


def _triple(x: float, y: float) -> Triple:
    (p, q), (r, s) = Fraction(float(x)).as_integer_ratio(), Fraction(float(y)).as_integer_ratio()
    return _primitive(p * s, r * q, q * s)


def _integer_layer(layer: Any) -> tuple[list[list[int]], list[int], int, int]:
    """Weights and biases as integers over 2**k, k, and the number of neurons."""
    weight = [[float(w).as_integer_ratio() for w in row] for row in layer.weight]
    bias = [float(b).as_integer_ratio() for b in layer.bias]
    common = max(d for row in [*weight, bias] for _, d in row)
    return (
        [[n * (common // d) for n, d in row] for row in weight],
        [n * (common // d) for n, d in bias],
        common.bit_length() - 1,
        int(layer.n_neurons),
    )
