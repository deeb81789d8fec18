"""Signs at vertices and crossings of edges (steps 1 and 2 in `records`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba.extending
import numba.np.arrayobj
import numpy as np
from llvmlite import ir
from numba import types

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray, inner, lean
from geomrelu.planar.records import Children, Cuts, Mesh, Rows, Values

__all__ = [
    "LEAST",
    "ONE",
    "SLACK",
    "START",
    "ZERO",
    "count_crossings",
    "crossing_between",
    "distance_bound",
    "edge_crossings",
    "length_bound",
    "lowest_bit",
    "popcount",
    "rectified_rows",
    "row_norms",
    "sign_masks",
    "sort_certain",
    "split_edges",
]

ONE = np.uint64(1)
ZERO = np.uint64(0)
# Zero as an argument: for a literal one numba compiles the function anew.
START: Any = np.int64(0)
# Bounds are computed in floating point themselves; this factor covers their own rounding.
SLACK = 1.001
_ULP = 2.0**-52
# Exceeds what a few operations lose to underflow.
LEAST = 2.0**-1060
# Untyped parts of numba.
_arrayobj: Any = numba.np.arrayobj
_extending: Any = numba.extending


def popcount(word: np.uint64) -> int:
    """Number of set bits; one instruction where compiled."""
    return int(word).bit_count()


def lowest_bit(word: np.uint64) -> int:
    """Index of the lowest set bit of a word that is not zero; one instruction where compiled."""
    return (int(word) & -int(word)).bit_length() - 1


def eight_above(row: FloatArray, start: int, limit: float) -> np.uint64:
    """Bit k tells whether ``row[start + k] > limit``, k < 8; a few instructions where compiled."""
    return np.uint64(np.packbits(row[start : start + 8] > limit, bitorder="little")[0])


def eight_below(row: FloatArray, start: int, limit: float) -> np.uint64:
    """Bit k tells whether ``row[start + k] < limit``, k < 8."""
    return np.uint64(np.packbits(row[start : start + 8] < limit, bitorder="little")[0])


def _lower_eight(comparison: str) -> Callable[..., Any]:
    """Compiles eight comparisons to one of vectors, whose bits are the result's."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = _arrayobj.make_array(signature.args[0])(context, builder, args[0]).data
        vector = ir.VectorType(ir.DoubleType(), 8)
        place = builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer())
        limits = ir.Constant(vector, ir.Undefined)
        for k in range(8):
            limits = builder.insert_element(limits, args[2], ir.Constant(ir.IntType(32), k))
        flags = builder.fcmp_ordered(comparison, builder.load(place, align=8), limits)
        return builder.zext(builder.bitcast(flags, ir.IntType(8)), ir.IntType(64))

    return lower


def _compile_as(function: Callable[..., Any], typer: Any, arguments: tuple[Any, ...], lower: Any) -> None:
    """Tell numba the machine code of a function that runs interpreted as it stands."""
    _extending.lower_builtin(function, *arguments)(lower)
    _extending.type_callable(function)(lambda context: typer)


def _lower_popcount(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.ctpop(args[0])


def _lower_lowest_bit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))


_compile_as(popcount, lambda word: types.int64, (types.uint64,), _lower_popcount)
_compile_as(lowest_bit, lambda word: types.int64, (types.uint64,), _lower_lowest_bit)
_ROW_START_LIMIT = (types.Array, types.int64, types.float64)
_compile_as(eight_above, lambda row, start, limit: types.uint64, _ROW_START_LIMIT, _lower_eight(">"))
_compile_as(eight_below, lambda row, start, limit: types.uint64, _ROW_START_LIMIT, _lower_eight("<"))


@lean
def sign_masks(
    z: FloatArray, bound: FloatArray, n_neurons: int, positive: WordArray, negative: WordArray, doubts: IntArray
) -> int:
    """Set the bits of values certain to be positive or negative; list the others.

    `doubts` (., 2) receives (row, neuron) while there is room; the number of doubts is
    returned, so that a caller with too little room can come again.
    """
    n_doubts = 0
    for v in range(len(z)):
        row = z[v]
        limit = bound[v]
        for start in range(0, n_neurons, 64):
            n = min(64, n_neurons - start)
            plus = ZERO
            minus = ZERO
            for j in range(0, n & ~7, 8):
                plus |= eight_above(row, start + j, limit) << np.uint64(j)
                minus |= eight_below(row, start + j, -limit) << np.uint64(j)
            for j in range(n & ~7, n):
                plus |= np.uint64(row[start + j] > limit) << np.uint64(j)
                minus |= np.uint64(row[start + j] < -limit) << np.uint64(j)
            positive[v, start >> 6] = plus
            negative[v, start >> 6] = minus
            if popcount(plus | minus) != n:
                for j in range(n):
                    if not ((plus | minus) >> np.uint64(j)) & ONE:
                        if n_doubts < len(doubts):
                            doubts[n_doubts, 0] = v
                            doubts[n_doubts, 1] = start + j
                        n_doubts += 1
    return n_doubts


def row_norms(rows: FloatArray) -> FloatArray:
    """Upper bounds on rows' 2-norms, though squares may under- or overflow."""
    largest: FloatArray = np.abs(rows).max(axis=1, initial=0.0)
    with np.errstate(all="ignore"):
        norms: FloatArray = largest * np.sqrt(((rows / largest[:, None]) ** 2).sum(axis=1)) * SLACK + 1e-300
    ordinary = (largest > 0.0) & (largest < np.inf)
    largest[ordinary] = norms[ordinary]
    return largest


@inner
def _square_sum(h: FloatArray, row: int) -> float:
    """Sum of a row's squares, by four partial sums that run side by side."""
    n = h.shape[1] & ~3
    s0 = s1 = s2 = s3 = 0.0
    for j in range(0, n, 4):
        s0 += h[row, j] * h[row, j]
        s1 += h[row, j + 1] * h[row, j + 1]
        s2 += h[row, j + 2] * h[row, j + 2]
        s3 += h[row, j + 3] * h[row, j + 3]
    for j in range(n, h.shape[1]):
        s0 += h[row, j] * h[row, j]
    return (s0 + s2) + (s1 + s3)


@inner
def _mean(z: FloatArray, sources: IntArray, weights: FloatArray, k: int, j: int) -> float:
    """Value j of new vertex k."""
    total = 0.0
    for m in range(4):
        if weights[k, m] != 0.0:
            total += weights[k, m] * z[sources[k, m], j]
    return total


@inner
def _interpolate(
    z: FloatArray, sources: IntArray, weights: FloatArray, k: int, limit: float, n_neurons: int, h: FloatArray, row: int
) -> int:
    """Rectified row of new vertex k; returns how many neurons are not above `limit` in magnitude."""
    a, b, c, d = sources[k, 0], sources[k, 1], sources[k, 2], sources[k, 3]
    p, q, r, s = weights[k, 0], weights[k, 1], weights[k, 2], weights[k, 3]
    small = 0
    # Without branches inside, the loops are vectorised.
    if r == 0.0 and s == 0.0:
        for j in range(n_neurons):
            value = p * z[a, j] + q * z[b, j]
            small += not abs(value) > limit
            h[row, j] = 0.0 if value < 0.0 else value
    else:
        for j in range(n_neurons):
            value = p * z[a, j] + q * z[b, j] + r * z[c, j] + s * z[d, j]
            small += not abs(value) > limit
            h[row, j] = 0.0 if value < 0.0 else value
    for j in range(n_neurons, h.shape[1]):
        h[row, j] = _mean(z, sources, weights, k, j)
    return small


@inner
def _unsure_sum(
    z: FloatArray, sources: IntArray, weights: FloatArray, k: int, limit: float, n_neurons: int, lines: IntArray,
    contradicted: bool,
) -> float:  # fmt: skip
    """Sum of the values that may have another sign at the true vertex (see `rectified_rows`).

    It bounds their 2-norm and, unlike a sum of squares, does not underflow.
    """
    total = 0.0
    for j in range(n_neurons):
        value = _mean(z, sources, weights, k, j)
        if not abs(value) > limit and j != lines[k, 0] and j != lines[k, 1]:
            low = high = z[sources[k, 0], j]
            for m in range(1, 4):
                low = min(low, z[sources[k, m], j])
                high = max(high, z[sources[k, m], j])
            if contradicted or not (low > 0.0 or high < 0.0):
                total += abs(value)
    return total


def rectified_rows(rows: Rows, vertices: IntArray, h: FloatArray, h_norm: FloatArray, h_error: FloatArray) -> None:
    """Rectified rows h of the given vertices after a cut.

    The first ``len(rows.z)`` vertices are old and have their own row; the others interpolate four
    old rows.  `h_norm` receives the rows' 2-norms, `h_error` bounds on the 2-norms of their
    errors.  The two neurons that define a new vertex are zero there by definition.

    A value not above `new_limit` may have, at the represented point, another sign than at the
    true one, and be rectified unlike in the faces around: then it is itself an error.  Not so
    where all four old values have one sign and none was decided against it.
    """
    _rectified_rows(rows, vertices, h, h_norm, h_error)
    extreme = ~((h_norm > 1e-140) & (h_norm < 1e140))
    if extreme.any():
        h_norm[extreme] = row_norms(h[extreme])


@lean
def _rectified_rows(rows: Rows, vertices: IntArray, h: FloatArray, h_norm: FloatArray, h_error: FloatArray) -> None:
    z, n_neurons, row_error, extra_error = rows.z, rows.n_neurons, rows.row_error, rows.extra_error
    sources, weights, lines = rows.sources, rows.weights, rows.lines
    new_error, new_limit = rows.new_error, rows.new_limit
    n_old = len(z)
    for row in range(len(h)):
        v = vertices[row]
        if v < n_old:
            for j in range(n_neurons):
                h[row, j] = 0.0 if z[v, j] < 0.0 else z[v, j]
            for j in range(n_neurons, h.shape[1]):
                h[row, j] = z[v, j]
            h_error[row] = row_error[v] + extra_error[v]
        else:
            k = v - n_old
            worst = 0.0
            extra = 0.0
            for m in range(4):
                worst = max(worst, row_error[sources[k, m]])
                extra = max(extra, extra_error[sources[k, m]])
            limit = new_limit[k] + worst
            small = _interpolate(z, sources, weights, k, limit, n_neurons, h, row)
            for side in range(2):
                line = lines[k, side]
                if line >= 0:
                    # What a defining neuron has here is no value but the crossing's residual.
                    small -= not abs(_mean(z, sources, weights, k, line)) > limit
                    h[row, line] = 0.0
            unsure = 0.0
            if small > 0:
                unsure = _unsure_sum(z, sources, weights, k, limit, n_neurons, lines, extra > 0.0)
            h_error[row] = worst + new_error[k] + unsure * SLACK
        h_norm[row] = np.sqrt(_square_sum(h, row)) * SLACK


@inner
def crossing_between(
    za: float, zb: float, error: float, distance: float, length: float, steepness: float
) -> tuple[float, float, float, float]:
    """Where a neuron vanishes between two points a and b of a line, and how certain that is.

    Returns the fraction t of the way from a to b, the radius (bound on the distance between
    represented and true crossing), the residual (bound on the neuron's value at the
    represented point) and a lower bound on the neuron's gradient.  See `bounds`.
    """
    magnitude = abs(za) + abs(zb)
    t = abs(za) / magnitude if magnitude > 0.0 else 0.5
    residual = (abs((1.0 - t) * za + t * zb) + error) * SLACK
    fall = abs(zb - za) - SLACK * (2.0 * error + 2.0 * steepness * distance)
    if not fall > 0.0:
        return t, np.inf, residual, 0.0
    # Divided first: the product with a short length might underflow, which no relative slack pays for.
    radius = distance + ((residual + steepness * distance) / fall + LEAST) * length
    return t, radius * SLACK + LEAST, residual, fall / (length * SLACK)


@inner
def distance_bound(ax: float, ay: float, bx: float, by: float, blur: float) -> float:
    """Upper bound on the distance of two represented points: the 1-norm, in which nothing under- or overflows."""
    return float((abs(bx - ax) + abs(by - ay)) * SLACK + 2.0 * blur)


@inner
def length_bound(xy: FloatArray, a: int, b: int, blur: float) -> float:
    """Upper bound on the distance of two vertices' represented points."""
    return distance_bound(xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1], blur)


@inner
def sort_certain(order: IntArray, key: FloatArray, radius: FloatArray, start: int, stop: int, length: float) -> bool:
    """Sort ``order[start:stop]``, indices into `key`, by key; tell whether the order is certain.

    Shell's sort, which is insertion for few; written out because the compiled library sort
    takes longer to compile than all else here.
    """
    gap = 1
    while 24 * gap < stop - start:
        gap = 3 * gap + 1
    while gap > 0:
        for k in range(start + gap, stop):
            item = order[k]
            m = k
            while m - gap >= start and key[order[m - gap]] > key[item]:
                order[m] = order[m - gap]
                m -= gap
            order[m] = item
        gap //= 3
    reach = -np.inf
    for k in range(start, stop):
        at = key[order[k]] * length
        if k > start and not at - radius[order[k]] - 8.0 * _ULP * length > reach:
            return False
        reach = max(reach, at + radius[order[k]])
    return True


@lean
def count_crossings(edges: IntArray, positive: WordArray, negative: WordArray, offsets: IntArray) -> None:
    """Fill `offsets` (E + 1,): the number of crossings on the edges before."""
    offsets[0] = 0
    for e in range(len(edges)):
        u, v = edges[e, 0], edges[e, 1]
        total = 0
        for w in range(positive.shape[1]):
            total += popcount((positive[u, w] & negative[v, w]) | (negative[u, w] & positive[v, w]))
        offsets[e + 1] = offsets[e] + total


def edge_crossings(mesh: Mesh, values: Values, cuts: Cuts, doubtful: BoolArray) -> None:
    """Fill `cuts` (its offsets are given) and mark the edges whose order is in doubt."""
    largest = int(np.diff(cuts.offsets).max(initial=0))
    _edge_crossings(mesh, values, cuts, doubtful, np.empty(largest, dtype=np.int64), np.empty((5, largest)))


@lean
def _edge_crossings(
    mesh: Mesh, values: Values, cuts: Cuts, doubtful: BoolArray, order: IntArray, found: FloatArray
) -> None:  # fmt: skip
    for e in range(len(mesh.edges)):
        start, stop = cuts.offsets[e], cuts.offsets[e + 1]
        if start == stop:
            continue
        u, v = mesh.edges[e, 0], mesh.edges[e, 1]
        length = length_bound(mesh.xy, u, v, values.blur)
        error = max(values.error[u], values.error[v])
        # On the edge both its faces' maps agree, so either will do.
        left, right = mesh.edge_faces[e, 0], mesh.edge_faces[e, 1]
        steepness = values.steepness[left if left >= 0 else right]
        if left >= 0 and right >= 0:
            steepness = min(steepness, values.steepness[right])
        k = start
        for w in range(values.positive.shape[1]):
            crossing = (values.positive[u, w] & values.negative[v, w]) | (values.negative[u, w] & values.positive[v, w])
            while crossing != ZERO:
                j = 64 * w + lowest_bit(crossing)
                crossing &= crossing - ONE
                cuts.neuron[k] = j
                cuts.group[k] = k - start
                cuts.t[k], cuts.radius[k], cuts.residual[k], cuts.slope[k] = crossing_between(
                    values.z[u, j], values.z[v, j], error, mesh.edge_distance[e], length, steepness
                )
                k += 1
        if stop - start > 1:
            doubtful[e] = not _sort_edge(cuts, start, stop, length, order, found)


@inner
def _sort_edge(cuts: Cuts, start: int, stop: int, length: float, order: IntArray, found: FloatArray) -> bool:
    """Sort one edge's crossings; tell whether the order is certain."""
    count = stop - start
    for k in range(count):
        order[k] = k
        found[0, k] = cuts.t[start + k]
        found[1, k] = cuts.radius[start + k]
        found[2, k] = cuts.residual[start + k]
        found[3, k] = cuts.slope[start + k]
        # Small integers are exact as floats.
        found[4, k] = cuts.neuron[start + k]
    certain = sort_certain(order, found[0], found[1], START, count, length)
    for k in range(count):
        item = order[k]
        cuts.t[start + k] = found[0, item]
        cuts.radius[start + k] = found[1, item]
        cuts.residual[start + k] = found[2, item]
        cuts.slope[start + k] = found[3, item]
        cuts.neuron[start + k] = np.int64(found[4, item])
    return certain


@lean
def split_edges(mesh: Mesh, values: Values, cuts: Cuts, edge_line: IntArray, out: Children) -> None:
    """Write the new vertices on edges and the pieces of all edges into `out`.

    Piece k of edge e gets the number ``e + vertex_offsets[e] + k``.  `edge_line` (E,) names
    each edge's own line, which with the crossing neuron defines the vertex.
    """
    for e in range(len(mesh.edges)):
        at = cuts.vertex_offsets[e] - 1
        first_piece = e + at + 1
        left, right = mesh.edge_faces[e, 0], mesh.edge_faces[e, 1]
        face = left if left >= 0 else right
        steepness = values.steepness[face]
        if left >= 0 and right >= 0:
            steepness = max(steepness, values.steepness[right])
        for k in range(cuts.offsets[e], cuts.offsets[e + 1]):
            if k > cuts.offsets[e] and cuts.group[k] == cuts.group[k - 1]:
                # A tie: this neuron, too, vanishes at the true point.
                out.residual[at] += steepness * out.radius[at] + cuts.residual[k]
                continue
            at += 1
            for end in range(2):
                share = 1.0 - cuts.t[k] if end == 0 else cuts.t[k]
                out.weights[at, end] = share
                out.weights[at, end + 2] = 0.0
                v = mesh.edges[e, end]
                out.sources[at, end] = v
                out.sources[at, end + 2] = v
            for axis in range(2):
                a, b = mesh.xy[mesh.edges[e, 0], axis], mesh.xy[mesh.edges[e, 1], axis]
                out.xy[at, axis] = (1.0 - cuts.t[k]) * a + cuts.t[k] * b
            out.lines[at, 0] = cuts.neuron[k]
            out.lines[at, 1] = edge_line[e]
            out.parents[at] = face
            out.radius[at] = cuts.radius[k]
            out.residual[at] = cuts.residual[k]
            out.limit[at] = steepness * cuts.radius[k]
        before = mesh.edges[e, 0]
        last_piece = e + cuts.vertex_offsets[e + 1]
        for piece in range(first_piece, last_piece + 1):
            after = len(mesh.xy) + piece - e if piece < last_piece else mesh.edges[e, 1]
            out.edges[piece, 0] = before
            out.edges[piece, 1] = after
            before = after
            for side in range(2):
                out.edge_faces[piece, side] = -1
            out.edge_distance[piece] = mesh.edge_distance[e]
