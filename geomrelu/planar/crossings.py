"""Signs at vertices and crossings of edges (steps 1 and 2 in `records`)."""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray, inner, njit
from geomrelu.planar.records import Children, Cuts, Mesh, Rows, Values

__all__ = [
    "LEAST",
    "ONE",
    "SLACK",
    "ZERO",
    "count_crossings",
    "crossing_between",
    "distance_bound",
    "edge_crossings",
    "length_bound",
    "lowest_bit",
    "popcount",
    "rectified_rows",
    "sign_masks",
    "sort_by_key",
    "sort_certain",
    "split_edges",
]

ONE = np.uint64(1)
ZERO = np.uint64(0)
# Bounds are computed in floating point themselves; this factor covers their own rounding.
SLACK = 1.001
_ULP = 2.0**-52
# Exceeds what a few operations lose to underflow.
LEAST = 2.0**-1060


@inner
def popcount(word: np.uint64) -> int:
    """Number of set bits."""
    # Adds without overflow, so that it runs interpreted as well.
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    word = word + (word >> np.uint64(8))
    word = word + (word >> np.uint64(16))
    word = word + (word >> np.uint64(32))
    return int(word & np.uint64(127))


@inner
def lowest_bit(word: np.uint64) -> int:
    """Index of the lowest set bit."""
    return popcount((word & (~word + np.uint64(1))) - np.uint64(1))


@njit
def sign_masks(
    z: FloatArray, bound: FloatArray, n_neurons: int, positive: WordArray, negative: WordArray, doubts: IntArray
) -> int:
    """Set the bits of values certain to be positive or negative; list the others.

    `doubts` (., 2) receives (row, neuron) while there is room; the number of doubts is
    returned, so that a caller with too little room can come again.
    """
    n_doubts = 0
    for v in range(len(z)):
        limit = bound[v]
        for start in range(0, n_neurons, 64):
            stop = min(start + 64, n_neurons)
            plus = ZERO
            minus = ZERO
            for j in range(start, stop):
                value = z[v, j]
                plus |= np.uint64(value > limit) << np.uint64(j - start)
                minus |= np.uint64(value < -limit) << np.uint64(j - start)
            positive[v, start >> 6] = plus
            negative[v, start >> 6] = minus
            if popcount(plus | minus) != stop - start:
                for j in range(start, stop):
                    if not ((plus | minus) >> np.uint64(j - start)) & ONE:
                        if n_doubts < len(doubts):
                            doubts[n_doubts, 0] = v
                            doubts[n_doubts, 1] = j
                        n_doubts += 1
    return n_doubts


@inner
def _scaled_norm(row: FloatArray) -> float:
    """Upper bound on a row's 2-norm where squares may under- or overflow."""
    largest = 0.0
    for j in range(len(row)):
        if not abs(row[j]) <= largest:
            largest = abs(row[j])
    if largest == 0.0 or not largest < np.inf:
        return float(largest)
    square = 0.0
    for j in range(len(row)):
        square += (row[j] / largest) ** 2
    return float(largest * np.sqrt(square) * SLACK + 1e-300)


@njit
def rectified_rows(rows: Rows, vertices: IntArray, h: FloatArray, h_norm: FloatArray, h_error: FloatArray) -> None:
    """Rectified rows h of the given vertices after a cut.

    The first ``len(rows.z)`` vertices are old and have their own row; the others interpolate four
    old rows.  `h_norm` receives the rows' 2-norms, `h_error` bounds on the 2-norms of their
    errors.  The two neurons that define a new vertex are zero there by definition.

    A value not above `new_limit` may have, at the represented point, another sign than at the
    true one, and be rectified unlike in the faces around: then it is itself an error.  Not so
    where all four old values have one sign and none was decided against it.
    """
    z, n_neurons, row_error, extra_error = rows.z, rows.n_neurons, rows.row_error, rows.extra_error
    sources, weights, lines = rows.sources, rows.weights, rows.lines
    new_error, new_limit = rows.new_error, rows.new_limit
    n_old = len(z)
    units = z.shape[1]
    for row in range(len(h)):
        v = vertices[row]
        square = 0.0
        if v < n_old:
            for j in range(units):
                value = z[v, j]
                if j < n_neurons and value < 0.0:
                    value = 0.0
                h[row, j] = value
                square += value * value
            h_error[row] = row_error[v] + extra_error[v]
        else:
            k = v - n_old
            a, b, c, d = sources[k, 0], sources[k, 1], sources[k, 2], sources[k, 3]
            worst = max(max(row_error[a], row_error[b]), max(row_error[c], row_error[d]))
            limit = new_limit[k] + worst
            unsure = 0.0
            contradicted = max(max(extra_error[a], extra_error[b]), max(extra_error[c], extra_error[d])) > 0.0
            p, q, r, s = weights[k, 0], weights[k, 1], weights[k, 2], weights[k, 3]
            for j in range(units):
                value = p * z[a, j] + q * z[b, j] + r * z[c, j] + s * z[d, j]
                if j < n_neurons and not abs(value) > limit and j != lines[k, 0] and j != lines[k, 1]:
                    low = min(min(z[a, j], z[b, j]), min(z[c, j], z[d, j]))
                    high = max(max(z[a, j], z[b, j]), max(z[c, j], z[d, j]))
                    if contradicted or not (low > 0.0 or high < 0.0):
                        # The 1-norm bounds the 2-norm, and does not underflow.
                        unsure += abs(value)
                if j < n_neurons and value < 0.0:
                    value = 0.0
                h[row, j] = value
            for side in range(2):
                if lines[k, side] >= 0:
                    h[row, lines[k, side]] = 0.0
            for j in range(units):
                square += h[row, j] * h[row, j]
            h_error[row] = worst + new_error[k] + unsure * SLACK
        h_norm[row] = np.sqrt(square) * SLACK if 1e-280 < square < 1e280 else _scaled_norm(h[row])


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
def sort_by_key(order: IntArray, key: FloatArray, start: int, stop: int) -> None:
    """Sort ``order[start:stop]``, indices into `key`, by key: insertion for few, a heap for many.

    Written out because the compiled library sort takes longer to compile than all else here.
    """
    n = stop - start
    if n <= 24:
        for k in range(start + 1, stop):
            item = order[k]
            m = k
            while m > start and key[order[m - 1]] > key[item]:
                order[m] = order[m - 1]
                m -= 1
            order[m] = item
        return
    build = n // 2
    end = n
    while end > 1:
        if build > 0:
            build -= 1
            item = order[start + build]
            hole = build
        else:
            end -= 1
            item = order[start + end]
            order[start + end] = order[start]
            hole = 0
        child = 2 * hole + 1
        while child < end:
            if child + 1 < end and key[order[start + child]] < key[order[start + child + 1]]:
                child += 1
            if not key[order[start + child]] > key[item]:
                break
            order[start + hole] = order[start + child]
            hole = child
            child = 2 * hole + 1
        order[start + hole] = item


@inner
def sort_certain(order: IntArray, key: FloatArray, radius: FloatArray, start: int, stop: int, length: float) -> bool:
    """Sort ``order[start:stop]``, indices into `key`, by key; tell whether the order is certain."""
    sort_by_key(order, key, start, stop)
    reach = -np.inf
    for k in range(start, stop):
        at = key[order[k]] * length
        if k > start and not at - radius[order[k]] - 8.0 * _ULP * length > reach:
            return False
        reach = max(reach, at + radius[order[k]])
    return True


@njit
def count_crossings(edges: IntArray, positive: WordArray, negative: WordArray, offsets: IntArray) -> None:
    """Fill `offsets` (E + 1,): the number of crossings on the edges before."""
    offsets[0] = 0
    for e in range(len(edges)):
        u, v = edges[e, 0], edges[e, 1]
        total = 0
        for w in range(positive.shape[1]):
            total += popcount((positive[u, w] & negative[v, w]) | (negative[u, w] & positive[v, w]))
        offsets[e + 1] = offsets[e] + total


@njit
def edge_crossings(mesh: Mesh, values: Values, cuts: Cuts, doubtful: BoolArray) -> None:
    """Fill `cuts` (its offsets are given) and mark the edges whose order is in doubt."""
    largest = 0
    for e in range(len(mesh.edges)):
        largest = max(largest, cuts.offsets[e + 1] - cuts.offsets[e])
    order = np.empty(largest, dtype=np.int64)
    neuron = np.empty(largest, dtype=np.int64)
    found = np.empty((4, largest), dtype=np.float64)
    for e in range(len(mesh.edges)):
        start, count = cuts.offsets[e], cuts.offsets[e + 1] - cuts.offsets[e]
        if count == 0:
            continue
        u, v = mesh.edges[e, 0], mesh.edges[e, 1]
        length = length_bound(mesh.xy, u, v, values.blur)
        error = max(values.error[u], values.error[v])
        k = 0
        for w in range(values.positive.shape[1]):
            crossing = (values.positive[u, w] & values.negative[v, w]) | (values.negative[u, w] & values.positive[v, w])
            while crossing != ZERO:
                j = 64 * w + lowest_bit(crossing)
                crossing &= crossing - ONE
                t, radius, residual, slope = crossing_between(
                    values.z[u, j], values.z[v, j], error, mesh.edge_distance[e], length, values.steepness
                )
                order[k] = k
                neuron[k] = j
                found[0, k] = t
                found[1, k] = radius
                found[2, k] = residual
                found[3, k] = slope
                k += 1
        doubtful[e] = not sort_certain(order, found[0], found[1], 0, count, length)
        for k in range(count):
            item = order[k]
            cuts.neuron[start + k] = neuron[item]
            cuts.group[start + k] = k
            cuts.t[start + k] = found[0, item]
            cuts.radius[start + k] = found[1, item]
            cuts.residual[start + k] = found[2, item]
            cuts.slope[start + k] = found[3, item]


@njit
def split_edges(mesh: Mesh, values: Values, cuts: Cuts, edge_line: IntArray, out: Children) -> None:
    """Write the new vertices on edges and the pieces of all edges into `out`.

    Piece k of edge e gets the number ``e + vertex_offsets[e] + k``.  `edge_line` (E,) names
    each edge's own line, which with the crossing neuron defines the vertex.
    """
    n_old = len(mesh.xy)
    for e in range(len(mesh.edges)):
        u, v = mesh.edges[e, 0], mesh.edges[e, 1]
        first_vertex = cuts.vertex_offsets[e]
        first_piece = e + first_vertex
        n_new = cuts.vertex_offsets[e + 1] - first_vertex
        before = u
        for k in range(cuts.offsets[e], cuts.offsets[e + 1]):
            at = first_vertex + cuts.group[k]
            if k > cuts.offsets[e] and cuts.group[k] == cuts.group[k - 1]:
                # A tie: this neuron, too, vanishes at the true point.
                out.residual[at] += values.steepness * out.radius[at] + cuts.residual[k]
                continue
            t = cuts.t[k]
            for axis in range(2):
                out.xy[at, axis] = (1.0 - t) * mesh.xy[u, axis] + t * mesh.xy[v, axis]
            out.lines[at, 0] = cuts.neuron[k]
            out.lines[at, 1] = edge_line[e]
            out.parents[at] = mesh.edge_faces[e, 0] if mesh.edge_faces[e, 0] >= 0 else mesh.edge_faces[e, 1]
            out.sources[at, 0], out.sources[at, 1], out.sources[at, 2], out.sources[at, 3] = u, v, u, v
            out.weights[at, 0], out.weights[at, 1], out.weights[at, 2], out.weights[at, 3] = 1.0 - t, t, 0.0, 0.0
            out.radius[at] = cuts.radius[k]
            out.residual[at] = cuts.residual[k]
            piece = first_piece + cuts.group[k]
            out.edges[piece, 0] = before
            out.edges[piece, 1] = n_old + at
            before = n_old + at
        out.edges[first_piece + n_new, 0] = before
        out.edges[first_piece + n_new, 1] = v
        for piece in range(first_piece, first_piece + n_new + 1):
            out.edge_faces[piece, 0] = -1
            out.edge_faces[piece, 1] = -1
            out.edge_distance[piece] = mesh.edge_distance[e]
