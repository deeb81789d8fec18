"""Crossings of edges (step 2 in `records`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray, inner, lean
from geomrelu.planar.bits import ONE, ZERO, lowest_bit, popcount
from geomrelu.planar.records import Children, Cuts, Mesh, Values

__all__ = [
    "LEAST",
    "SLACK",
    "START",
    "count_crossings",
    "crossing_between",
    "distance_bound",
    "edge_crossings",
    "length_bound",
    "sort_certain",
    "split_edges",
]

# Zero as an argument: for a literal one numba compiles the function anew.
START: Any = np.int64(0)
# Bounds are computed in floating point themselves; this factor covers their own rounding.
SLACK = 1.001
_ULP = 2.0**-52
# Exceeds what a few operations lose to underflow.
LEAST = 2.0**-1060


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
def count_crossings(edges: IntArray, positive: WordArray, negative: WordArray, offsets: IntArray) -> int:
    """Fill `offsets` (E + 1,), the number of crossings on the edges before; returns the most on one edge."""
    offsets[0] = 0
    most = 0
    for e in range(len(edges)):
        u, v = edges[e, 0], edges[e, 1]
        total = 0
        for w in range(positive.shape[1]):
            total += popcount((positive[u, w] & negative[v, w]) | (negative[u, w] & positive[v, w]))
        offsets[e + 1] = offsets[e] + total
        most = max(most, total)
    return most


def edge_crossings(mesh: Mesh, values: Values, cuts: Cuts, most: int, doubtful: BoolArray) -> int:
    """Fill `cuts` (its offsets are given) and mark the edges whose order is in doubt; returns their number.

    `most` is the largest number of crossings on one edge.
    """
    return _edge_crossings(mesh, values, cuts, doubtful, np.empty(most, dtype=np.int64), np.empty((5, most)))


@lean
def _edge_crossings(
    mesh: Mesh, values: Values, cuts: Cuts, doubtful: BoolArray, order: IntArray, found: FloatArray
) -> int:  # fmt: skip
    n_doubtful = 0
    for e in range(len(mesh.edges)):
        doubtful[e] = False
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
            n_doubtful += doubtful[e]
    return n_doubtful


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
def split_edges(mesh: Mesh, values: Values, cuts: Cuts, out: Children) -> None:
    """Write the new vertices on edges and the pieces of all edges into `out`.

    Piece k of edge e gets the number ``e + vertex_offsets[e] + k``.
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
            out.lines[at, 0] = values.first_neuron + cuts.neuron[k]
            out.lines[at, 1] = mesh.edge_line[e]
            out.parents[at] = face
            out.radius[at] = cuts.radius[k]
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
            out.edge_line[piece] = mesh.edge_line[e]
