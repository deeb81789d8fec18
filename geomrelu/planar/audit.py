"""Audit of a finished partition in exact integers, independent of how it was made.

Used are the network's and the domain's numbers and the complex's combinatorics; of its
floating-point coordinates only that they are close to the exact ones.  Forms are multiplied
out here afresh (flint's integer matrices), not by the engine's `exact`.

What is checked, in this order:

1. Combinatorics (`check.check_combinatorics`): rings are closed walks, each side of an edge is
   used once by the face that it names, V - E + F = 1, patterns are unique, and the bit of an
   edge's neuron changes across it.
2. Each vertex gets the exact point in which its two lines cross, under the pattern of an
   incident face in which they are independent.  The points are distinct.
3. All points lie in the domain, both ends of each border edge on one side of it.
4. Each ring turns left or goes straight on everywhere, and goes round once.
5. On each ring every neuron, by the face's own form, is >= 0 everywhere and > 0 somewhere
   where its bit is 1, and <= 0 everywhere where it is 0; each vertex's lines vanish there, and
   each edge's neuron at both its ends.
6. The faces' areas sum to the domain's.
7. Each coordinate is within its `vertex_errors` of the exact one.

*Why this proves the partition right and complete.*  By 4 each face Q is a convex polygon with
area.  Layer by layer, each neuron of the network is on Q the face's affine form: rectified by
bit 1 a form >= 0 at the corners, hence on Q, stays as it is; by bit 0 a form <= 0 becomes 0.
A form >= 0 on Q and > 0 somewhere is > 0 inside.  So inside Q the network has exactly the
face's pattern.  Patterns are unique, so the faces' interiors are disjoint; by 3 they lie in
the domain, and by 6 leave no area of it uncovered; being closed, they cover it.  A region with
interior therefore meets the interior of a face, has its pattern, and, being convex and
disjoint from all other faces' interiors, has that face as its closure.  So the faces are the
regions of full dimension, each once.  An inner edge has two faces, on whose common side its
neuron vanishes (5), and no vertex can lie inside it, since a third face would overlap: so the
complex is edge-to-edge, and adjacency is right.

The areas' sum: with forward and backward use of each inner edge its two contributions to the
shoelace formula cancel, so the sum over all faces is that over the border edges, exactly.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from geomrelu.arrays import BoolArray, IntArray
from geomrelu.errors import InvariantError
from geomrelu.exact import words_between
from geomrelu.matrices import dense_rows
from geomrelu.network import Layer, Network
from geomrelu.patterns import Patterns
from geomrelu.planar.check import check_combinatorics

if TYPE_CHECKING:
    from geomrelu.planar.build import Progress
    from geomrelu.planar.complex import PlanarComplex

__all__ = ["audit_complex"]

# Homogeneous integers (X, Y, W) with W > 0 and no common divisor: equal points are equal triples.
_Point: TypeAlias = tuple[int, int, int]
_Triple: TypeAlias = tuple[Any, Any, Any]

_BLOCK = 256


def audit_complex(p: PlanarComplex, progress: Progress | None = None) -> None:
    """Prove a complex right by exact integers; raise `InvariantError` at the first thing that is wrong.

    Parameters
    ----------
    p : PlanarComplex
        Its `report` is not looked at.
    progress : callable, optional
        Called with a message and a fraction between 0 and 1 now and then.

    Notes
    -----
    Every face costs a product of its neurons' forms with its corners, and a chain of integer
    matrix products for the layers in which its pattern is new.
    """
    tell = progress or (lambda message, fraction: None)
    check_combinatorics(p)
    forms = _Forms(p.network)
    # Faces that share their first layers' pattern follow each other, and share those forms.
    order = np.argsort(p.patterns.keys(), kind="stable")
    corners = [_reduced(*_dyadic(x, y)) for x, y in p.domain.vertices.tolist()]
    sides = [_cross(a, b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]
    points = _vertex_points(p, forms, sides, order, tell)
    _check_distinct(points)
    _check_in_domain(p, points, sides)
    for k, f in enumerate(order.tolist()):
        if k % _BLOCK == 0:
            tell(f"audit: {k:,} of {p.n_regions:,} faces", 0.3 + 0.6 * k / p.n_regions)
        _check_face(p, f, forms, [points[v] for v in p.ring(f).tolist()], sides)
    _check_area(p, points, corners)
    tell("audit: coordinates", 0.95)
    _check_coordinates(p, points)
    tell("audit: done", 1.0)


class _Forms:
    """Units' forms (A, B, C) on a face, scaled to integers by positive powers of two."""

    def __init__(self, network: Network) -> None:
        self.widths = network.widths
        self.firsts = np.concatenate([[0], np.cumsum(self.widths)]).astype(np.int64)
        self._integers: list[tuple[Any, Any]] = []
        scale = 0
        for k, layer in enumerate(network.hidden):
            weight, bias, scale = _integer_layer(layer, scale, first=k == 0)
            self._integers.append((weight, bias))
        # The last face's forms: per layer the bits before it, and its units' forms.
        self._known: list[tuple[bytes, Any]] = []

    def on_face(self, bits: list[IntArray]) -> list[Any]:
        """Each hidden layer's forms under a pattern, flint matrices (units, 3)."""
        before = b""
        for k, (weight, bias) in enumerate(self._integers):
            if k < len(self._known) and self._known[k][0] == before:
                found = self._known[k][1]
            else:
                del self._known[k:]
                found = bias if k == 0 else weight * self._gated(k - 1, bits[k - 1]) + bias
                self._known.append((before, found))
            before += bits[k].tobytes()
        return [forms for _, forms in self._known]

    def _gated(self, layer: int, bits: IntArray) -> Any:
        """A layer's forms behind its rectifiers."""
        from flint import fmpz_mat

        forms = self._known[layer][1]
        entries = forms.entries()
        for unit in np.flatnonzero(bits == 0).tolist():
            entries[3 * unit : 3 * unit + 3] = 0, 0, 0
        return fmpz_mat(forms.nrows(), 3, entries)

    def line(self, forms: list[Any], neuron: int) -> _Triple:
        """One neuron's form."""
        layer = int(np.searchsorted(self.firsts, neuron, side="right")) - 1
        unit = neuron - int(self.firsts[layer])
        return forms[layer][unit, 0], forms[layer][unit, 1], forms[layer][unit, 2]

    def signs(self, forms: list[Any], ring: list[_Point]) -> IntArray:
        """Signs -1, 0, 1 of all neurons at points, (neurons, points)."""
        from flint import fmpz_mat

        n = len(ring)
        columns = fmpz_mat(3, n, [point[axis] for axis in range(3) for point in ring])
        found: list[int] = []
        for width, rows in zip(self.widths, forms, strict=True):
            values = (rows * columns).entries()[: width * n]
            found.extend((value > 0) - (value < 0) for value in values)
        return np.array(found, dtype=np.int64).reshape(-1, n)


def _integer_layer(layer: Layer, scale: int, first: bool) -> tuple[Any, Any, int]:
    """A layer in integers: weight times 2^step, bias as a form times 2^(scale + step), scale + step.

    The first layer's forms are its weights, so there the "bias" holds the whole forms.
    """
    from flint import fmpz_mat

    weight = [value.as_integer_ratio() for value in dense_rows(layer.weight, slice(None)).ravel().tolist()]
    bias = [value.as_integer_ratio() for value in layer.bias.tolist()]
    step = max(d.bit_length() - 1 for _, d in weight)
    step = max(step, max(d.bit_length() - 1 for _, d in bias) - scale)
    scale += step
    whole = [(n << step) // d for n, d in weight]
    constant = [(n << scale) // d for n, d in bias]
    if first:
        form = [v for k, c in enumerate(constant) for v in (whole[2 * k], whole[2 * k + 1], c)]
    else:
        form = [v for c in constant for v in (0, 0, c)]
    return fmpz_mat(layer.n_units, layer.n_inputs, whole), fmpz_mat(layer.n_units, 3, form), scale


# ---------------------------------------------------------------------- points


def _dyadic(x: float, y: float) -> _Triple:
    (a, b), (c, d) = x.as_integer_ratio(), y.as_integer_ratio()
    return a * d, c * b, b * d


def _cross(p: _Triple, q: _Triple) -> _Triple:
    """The line through two points, or the point on two lines."""
    return p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]


def _reduced(x: Any, y: Any, w: Any) -> _Point:
    from math import gcd

    x, y, w = int(x), int(y), int(w)
    divisor = gcd(x, y, w) * (-1 if w < 0 else 1)
    return x // divisor, y // divisor, w // divisor


def _bits(p: PlanarComplex, face: int) -> list[IntArray]:
    chosen = p.patterns[face]
    return [chosen.unpack(k)[0].astype(np.int64) for k in range(len(p.network.hidden))]


def _matters(p: PlanarComplex, face: int) -> BoolArray:
    """Which neurons matter in a face: all but losers of a max pooling, (n_neurons,)."""
    bits = [own[None] > 0 for own in _bits(p, face)]
    matters: BoolArray = np.concatenate(p.network.clear_irrelevant(bits), axis=1)[0]
    return matters


def _in_pools(network: Network) -> BoolArray:
    """Which neurons compare entrants of a max pooling, (n_neurons,)."""
    found = [np.zeros(width, dtype=bool) for width in network.widths]
    for k, layer in enumerate(network.hidden):
        if layer.relevant is not None:
            early = layer.relevant[:, 0] >= 0
            found[k] |= early
            found[k + 1][layer.relevant[early, 0]] = True
    return np.concatenate([np.zeros(0, dtype=bool), *found])


def _edge_line(p: PlanarComplex, forms: _Forms, edge: int, sides: list[_Triple]) -> _Triple:
    """The line that an edge lies on: its neuron's form, or a side of the domain."""
    neuron = int(p.edge_neuron[edge])
    if neuron < 0:
        first, second = (set(p.vertex_lines[v].tolist()) for v in p.edges[edge])
        side: int = -1 - min(first & second)
        return sides[side]
    left, right = p.edge_faces[edge]
    words = words_between(p.network, p.patterns.words[[left]], p.patterns.words[[right]])
    patterns = Patterns(words, p.network.widths)
    bits = [patterns.unpack(k)[0].astype(np.int64) for k in range(len(p.network.hidden))]
    found: _Triple = forms.line(forms.on_face(bits), neuron)
    return found


def _vertex_points(
    p: PlanarComplex, forms: _Forms, sides: list[_Triple], order: IntArray, tell: Progress
) -> list[_Point]:
    """Exact position of each vertex, from its two lines in an incident face."""
    points: list[_Point | None] = [None] * p.n_vertices
    lines = p.vertex_lines.tolist()
    for k, f in enumerate(order.tolist()):
        if k % _BLOCK == 0:
            tell(f"audit: vertices of {k:,} of {p.n_regions:,} faces", 0.3 * k / p.n_regions)
        missing = [v for v in p.ring(f).tolist() if points[v] is None]
        if not missing:
            continue
        if p.network.has_pools:
            # Around a corner, since a winner's face knows no runner-up.
            ring = range(int(p.face_offsets[f]), int(p.face_offsets[f + 1]))
            crossings = [
                (p.face_vertices[c], _edge_line(p, forms, before, sides), _edge_line(p, forms, after, sides))
                for c, before, after in zip(ring, np.roll(p.face_edges[ring], 1), p.face_edges[ring], strict=True)
                if points[p.face_vertices[c]] is None
            ]
        else:
            rows = forms.on_face(_bits(p, f))
            crossings = [
                (v, *(sides[-1 - line] if line < 0 else forms.line(rows, line) for line in lines[v])) for v in missing
            ]
        for v, a, b in crossings:
            x, y, w = _cross(a, b)
            if w != 0:
                points[v] = _reduced(x, y, w)
    found = [point for point in points if point is not None]
    if len(found) < len(points):
        v = points.index(None)
        raise InvariantError(
            "vertex lines", f"vertex {v}", f"lines {lines[v]}, parallel in all its faces", "two lines that cross"
        )
    return found


def _check_distinct(points: list[_Point]) -> None:
    first: dict[_Point, int] = {}
    for v, point in enumerate(points):
        if first.setdefault(point, v) != v:
            raise InvariantError("distinct vertices", f"vertex {v}", f"the point of vertex {first[point]}", "its own")


def _check_in_domain(p: PlanarComplex, points: list[_Point], sides: list[_Triple]) -> None:
    """All vertices in the domain, and both ends of each border edge on one side."""
    on_sides = []
    for v, (x, y, w) in enumerate(points):
        values = [a * x + b * y + c * w for a, b, c in sides]
        if min(values) < 0:
            raise InvariantError("in the domain", f"vertex {v}", f"outside side {values.index(min(values))}", "inside")
        on_sides.append({k for k, value in enumerate(values) if value == 0})
    for v, lines in enumerate(p.vertex_lines.tolist()):
        for line in lines:
            if line < 0 and -1 - line not in on_sides[v]:
                raise InvariantError("vertex lines", f"vertex {v}", f"a point off side {-1 - line}", "a point on it")
    for e in np.flatnonzero(p.edge_neuron < 0).tolist():
        a, b = p.edges[e].tolist()
        if not on_sides[a] & on_sides[b]:
            raise InvariantError("border", f"edge {e}", "ends on no common side of the domain", "a piece of a side")


# ---------------------------------------------------------------------- faces


def _check_face(p: PlanarComplex, f: int, forms: _Forms, ring: list[_Point], sides: list[_Triple]) -> None:
    _check_convex(f, ring)
    if p.network.n_neurons == 0:
        return
    bits = _bits(p, f)
    signs = forms.signs(forms.on_face(bits), ring)
    matters, pooled = _matters(p, f), _in_pools(p.network)
    corners = slice(int(p.face_offsets[f]), int(p.face_offsets[f + 1]))
    vertices, edges = p.face_vertices[corners], p.face_edges[corners]
    for lines in p.vertex_lines[vertices].T:
        for k in np.flatnonzero(lines >= 0).tolist():
            if signs[lines[k], k] != 0 and not pooled[lines[k]]:
                raise InvariantError(
                    "vertex lines", f"vertex {vertices[k]}, face {f}", f"neuron {lines[k]} not zero there", "zero"
                )
    neurons = p.edge_neuron[edges]
    for k in np.flatnonzero(neurons >= 0).tolist():
        ends = ring[k], ring[(k + 1) % len(ring)]
        if pooled[neurons[k]]:
            line = _edge_line(p, forms, int(edges[k]), sides)
            off = any(sum(a * b for a, b in zip(line, end, strict=True)) != 0 for end in ends)
        else:
            off = signs[neurons[k], k] != 0 or signs[neurons[k], (k + 1) % len(ring)] != 0
        if off:
            raise InvariantError(
                "edge neuron", f"edge {edges[k]}, face {f}", f"neuron {neurons[k]} not zero at an end", "zero at both"
            )
    lowest, highest = signs.min(axis=1), signs.max(axis=1)
    wanted = np.concatenate(bits) > 0
    bad = np.where(wanted, (lowest < 0) | (highest <= 0), (highest > 0) & matters)
    if bad.any():
        neuron = int(np.argmax(bad))
        got = f"bit {int(wanted[neuron])} and signs {signs[neuron].tolist()} along the ring"
        expected = "no - and some + for bit 1, no + for bit 0"
        raise InvariantError("pattern", f"face {f}, neuron {neuron}", got, expected)


def _check_convex(f: int, ring: list[_Point]) -> None:
    """The ring turns left by less than 180 degrees everywhere and by 360 in all: convex, simple, with area."""
    steps = []
    for (px, py, pw), (qx, qy, qw) in zip(ring, ring[1:] + ring[:1], strict=True):
        # The step from p to q, times pw qw > 0.
        steps.append((qx * pw - px * qw, qy * pw - py * qw))
    rounds = 0
    for k, (dx, dy) in enumerate(steps):
        ex, ey = steps[(k + 1) % len(steps)]
        turn = dx * ey - dy * ex
        if turn < 0 or (turn == 0 and dx * ex + dy * ey <= 0):
            raise InvariantError("convexity", f"face {f}, ring position {(k + 1) % len(ring)}", "a right turn",
                                 "a left turn or straight on")  # fmt: skip
        rounds += not _upward(dx, dy) and _upward(ex, ey)
    if rounds != 1:
        raise InvariantError("orientation", f"face {f}", f"a ring that goes round {rounds} times", "once")


def _upward(dx: int, dy: int) -> bool:
    return dy > 0 or (dy == 0 and dx > 0)


def _check_area(p: PlanarComplex, points: list[_Point], corners: list[_Point]) -> None:
    """Twice the sum of all areas: inner edges cancel, so the border's shoelace sum."""
    border = np.flatnonzero(p.edge_neuron < 0)
    turned = p.edge_faces[border, 0] < 0
    ends = np.where(turned[:, None], p.edges[border][:, ::-1], p.edges[border])
    total = _sum([_doubled(points[a], points[b]) for a, b in ends.tolist()])
    wanted = _sum([_doubled(a, b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)])
    if total != wanted:
        raise InvariantError("area", "the sum over faces", f"{total / wanted} of the domain's", "exactly the domain's")


def _doubled(p: _Point, q: _Point) -> Fraction:
    return Fraction(p[0] * q[1] - p[1] * q[0], p[2] * q[2])


def _sum(terms: list[Fraction]) -> Fraction:
    """By halves, so that most additions are of small fractions."""
    if len(terms) <= 2:
        return sum(terms, Fraction(0))
    return _sum(terms[: len(terms) // 2]) + _sum(terms[len(terms) // 2 :])


def _check_coordinates(p: PlanarComplex, points: list[_Point]) -> None:
    errors = p.vertex_errors.tolist()
    for v, ((x, y, w), stored) in enumerate(zip(points, p.vertices.tolist(), strict=True)):
        bound = Fraction(errors[v])
        for got, exact in zip(stored, (x, y), strict=True):
            n, d = got.as_integer_ratio()
            # |n / d - exact / w| > bound, without a fraction.
            if abs(n * w - exact * d) * bound.denominator > bound.numerator * d * w:
                off = float(abs(Fraction(n, d) - Fraction(exact, w)))
                raise InvariantError("coordinates", f"vertex {v}", f"{off:.3g} from the exact point",
                                     f"at most {float(bound):.3g}")  # fmt: skip
