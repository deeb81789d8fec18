"""Chords of a face and the order of their crossings (steps 3 and 4 in `records`)."""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray, inner
from geomrelu.planar.bits import ONE, ZERO, lowest_bit, popcount
from geomrelu.planar.crossings import (
    LEAST,
    SLACK,
    START,
    crossing_between,
    distance_bound,
    length_bound,
    sort_certain,
)
from geomrelu.planar.records import Children, Cuts, Face, Mesh, Pairs, Values

__all__ = [
    "chords_of_face",
    "face_masks",
    "find_pairs",
    "list_items",
    "new_face",
    "new_pairs",
    "pair_keys",
    "sort_items",
]


def new_face(n_neurons: int, ring: int, strands: int) -> Face:
    """Scratch space for faces of at most the given sizes."""
    ints = np.empty((10, strands), dtype=np.int64)
    floats = np.empty((4, strands), dtype=np.float64)
    return Face(
        local=np.full(n_neurons, -1, dtype=np.int64),
        ring_vertex=np.empty(ring, dtype=np.int64),
        ring_side=np.empty(ring, dtype=np.int64),
        strand_neuron=ints[0],
        strand_right=ints[1],
        strand_next=ints[2],
        first=ints[3],
        second=ints[4],
        strand=ints[5],
        name=ints[6],
        residual=floats[0],
        slope=floats[1],
        distance=floats[2],
        length=floats[3],
        closing=ints[7],
        before=ints[8],
        after=ints[9],
        counts=np.zeros(5, dtype=np.int64),
    )


def new_pairs(chords: int, pairs: int) -> Pairs:
    """Scratch space for at most the given numbers of chords and pairs."""
    ints = np.empty((2, pairs), dtype=np.int64)
    floats = np.empty((3, 2 * pairs), dtype=np.float64)
    return Pairs(
        i=ints[0],
        j=ints[1],
        t=floats[0],
        key=floats[1],
        radius=floats[2],
        order=np.empty(2 * pairs, dtype=np.int64),
        vertex=np.empty(pairs, dtype=np.int64),
        offsets=np.empty(chords + 1, dtype=np.int64),
    )


@inner
def face_masks(
    f: int, mesh: Mesh, values: Values, cuts: Cuts, pending: WordArray, active: WordArray
) -> tuple[int, int]:
    """Masks of the neurons with both signs on the face, and of those positive somewhere on it.

    Returns how many have both, and how many ring vertices there will be, new ones included.
    """
    begin, end = mesh.face_offsets[f], mesh.face_offsets[f + 1]
    n_pending = 0
    for w in range(len(pending)):
        plus = ZERO
        minus = ZERO
        for c in range(begin, end):
            plus |= values.positive[mesh.face_vertices[c], w]
            minus |= values.negative[mesh.face_vertices[c], w]
        pending[w] = plus & minus
        active[w] = plus
        n_pending += popcount(plus & minus)
    ring = end - begin
    if n_pending > 0:
        for c in range(begin, end):
            e = mesh.face_edges[c]
            ring += cuts.vertex_offsets[e + 1] - cuts.vertex_offsets[e]
    return n_pending, ring


@inner
def _meet(face: Face, neuron: int, position: int, residual: float, slope: float, after: np.uint64) -> None:
    """Note that a neuron's zero set meets the ring at a position: the first or second end of a strand."""
    counts = face.counts
    s = face.local[neuron]
    if s < 0:
        s = counts[0]
        counts[0] += 1
        face.local[neuron] = s
        face.strand_neuron[s] = neuron
        face.strand_right[s] = np.int64(after)
        face.strand_next[s] = -1
        face.first[s] = position
        face.second[s] = -1
        face.residual[s] = residual
        face.slope[s] = slope
    elif face.second[s] >= 0:
        counts[2] += 1  # a third end: the signs contradict each other
    else:
        face.second[s] = position
        face.residual[s] = max(face.residual[s], residual)
        face.slope[s] = max(face.slope[s], slope)
        face.closing[counts[1]] = s
        counts[1] += 1


@inner
def _walk_ring(f: int, mesh: Mesh, values: Values, cuts: Cuts, pending: WordArray, face: Face) -> None:
    """Fill the ring, new vertices included, and find the strands' ends."""
    n_old = len(mesh.xy)
    begin, end = mesh.face_offsets[f], mesh.face_offsets[f + 1]
    at = START
    for c in range(begin, end):
        v, e = mesh.face_vertices[c], mesh.face_edges[c]
        follower = mesh.face_vertices[c + 1 if c + 1 < end else begin]
        forward = mesh.edge_faces[e, 0] == f
        n_new = cuts.vertex_offsets[e + 1] - cuts.vertex_offsets[e]
        first_piece = e + cuts.vertex_offsets[e]
        face.ring_vertex[at] = v
        # The ring runs along an edge forward where the face lies left of it.
        face.ring_side[at] = 2 * first_piece if forward else 2 * (first_piece + n_new) + 1
        for w in range(len(pending)):
            zero = pending[w] & ~(values.positive[v, w] | values.negative[v, w])
            while zero != ZERO:
                bit = lowest_bit(zero)
                zero &= zero - ONE
                j = 64 * w + bit
                after = (values.positive[follower, w] >> np.uint64(bit)) & ONE
                _meet(face, j, at, (abs(values.z[v, j]) + values.error[v]) * SLACK, 0.0, after)
        for g in range(n_new):
            k = g if forward else n_new - 1 - g
            face.ring_vertex[at + 1 + g] = n_old + cuts.vertex_offsets[e] + k
            face.ring_side[at + 1 + g] = 2 * (first_piece + k + 1) if forward else 2 * (first_piece + k) + 1
        start, stop = cuts.offsets[e], cuts.offsets[e + 1]
        for m in range(stop - start):
            k = start + m if forward else stop - 1 - m
            j = cuts.neuron[k]
            g = cuts.group[k] if forward else n_new - 1 - cuts.group[k]
            after = (values.positive[follower, j >> 6] >> np.uint64(j & 63)) & ONE
            _meet(face, j, at + 1 + g, cuts.residual[k], cuts.slope[k], after)
        at += n_new + 1


@inner
def _join_strands(face: Face, n_strands: int) -> int:
    """Neurons whose zero sets coincide in the face share one chord; returns the number of chords.

    Chords come in the order of their first ends, which is that of the strands.
    """
    n_chords = 0
    for s in range(n_strands):
        twin = -1
        c = n_chords - 1
        while c >= 0 and face.first[c] == face.first[s]:
            if face.second[c] == face.second[s]:
                twin = c
            c -= 1
        neuron = face.strand_neuron[s]
        if twin >= 0:
            head = face.strand[twin]
            face.strand_next[s] = face.strand_next[head]
            face.strand_next[head] = s
            if neuron < face.name[twin]:
                face.name[twin] = neuron
            face.before[s] = -1
        else:
            face.first[n_chords] = face.first[s]
            face.second[n_chords] = face.second[s]
            face.residual[n_chords] = face.residual[s]
            face.slope[n_chords] = face.slope[s]
            face.strand[n_chords] = s
            face.name[n_chords] = neuron
            face.before[s] = n_chords
            n_chords += 1
    if n_chords < n_strands:
        # From strands to chords.
        kept = 0
        for k in range(n_strands):
            chord = face.before[face.closing[k]]
            if chord >= 0:
                face.closing[kept] = chord
                kept += 1
    return n_chords


@inner
def _widest_slope(f: int, mesh: Mesh, values: Values, neuron: int) -> float:
    """Lower bound on a neuron's gradient from its extreme values on the face's old vertices."""
    low = high = mesh.face_vertices[mesh.face_offsets[f]]
    least = most = values.z[low, neuron]
    for c in range(mesh.face_offsets[f], mesh.face_offsets[f + 1]):
        v = mesh.face_vertices[c]
        value = values.z[v, neuron]
        if value < least:
            low, least = v, value
        if value > most:
            high, most = v, value
    rise = most - least - values.error[low] - values.error[high]
    return float(max(rise, 0.0) / (length_bound(mesh.xy, low, high, values.blur) * SLACK))


@inner
def chords_of_face(
    f: int, mesh: Mesh, values: Values, cuts: Cuts, pending: WordArray, face: Face
) -> int:  # fmt: skip
    """Fill `face`; returns the number of chords, -1 if the signs contradict each other."""
    counts = face.counts
    counts[0] = counts[1] = counts[2] = 0
    _walk_ring(f, mesh, values, cuts, pending, face)
    n_strands = counts[0]
    for s in range(n_strands):
        face.local[face.strand_neuron[s]] = -1
    if counts[2] > 0 or counts[1] != n_strands:
        return -1
    n_chords = _join_strands(face, n_strands)
    for c in range(n_chords):
        slope = face.slope[c]
        if slope == 0.0:
            slope = _widest_slope(f, mesh, values, face.strand_neuron[face.strand[c]])
        face.distance[c] = face.residual[c] / slope * SLACK + LEAST if slope > 0.0 else np.inf
    return n_chords


@inner
def find_pairs(
    n_chords: int, first: IntArray, second: IntArray, closing: IntArray, before: IntArray, after: IntArray,
    pair_i: IntArray, pair_j: IntArray,
) -> int:  # fmt: skip
    """Find the pairs of chords whose ends interleave; returns their number, writing while there is room.

    A list of open chords is kept in the order of their first ends.  When chord i closes, the
    chords behind it in the list opened inside it and close outside: they cross it.
    """
    tail = -1
    opened = 0
    n_pairs = 0
    for k in range(n_chords):
        i = closing[k]
        while opened < n_chords and first[opened] < second[i]:
            before[opened] = tail
            after[opened] = -1
            if tail >= 0:
                after[tail] = opened
            tail = opened
            opened += 1
        j = tail
        while j != i:
            # Chords that share an end with i do not cross it.
            if first[j] > first[i] and second[j] > second[i]:
                if n_pairs < len(pair_i):
                    pair_i[n_pairs] = i
                    pair_j[n_pairs] = j
                n_pairs += 1
            j = before[j]
        if before[i] >= 0:
            after[before[i]] = after[i]
        if after[i] >= 0:
            before[after[i]] = before[i]
        else:
            tail = before[i]
    return n_pairs


@inner
def _value(z: FloatArray, sources: IntArray, weights: FloatArray, vertex: int, neuron: int) -> float:
    """A neuron's value at a ring vertex: stored, or interpolated along the edge of a new vertex."""
    k = vertex - len(z)
    if k < 0:
        return float(z[vertex, neuron])
    return float(weights[k, 0] * z[sources[k, 0], neuron] + weights[k, 1] * z[sources[k, 1], neuron])


@inner
def _place(xy: FloatArray, new_xy: FloatArray, vertex: int) -> tuple[float, float]:
    k = vertex - len(xy)
    if k < 0:
        return xy[vertex, 0], xy[vertex, 1]
    return new_xy[k, 0], new_xy[k, 1]


@inner
def pair_keys(
    f: int, mesh: Mesh, values: Values, face: Face, out: Children, pairs: Pairs, n_chords: int, n_pairs: int
) -> None:
    """Fill t, key and radius of both items of each pair."""
    error = 0.0
    for c in range(mesh.face_offsets[f], mesh.face_offsets[f + 1]):
        error = max(error, values.error[mesh.face_vertices[c]])
    for c in range(n_chords):
        ax, ay = _place(mesh.xy, out.xy, face.ring_vertex[face.first[c]])
        bx, by = _place(mesh.xy, out.xy, face.ring_vertex[face.second[c]])
        face.length[c] = distance_bound(ax, ay, bx, by, values.blur)
    for x in range(n_pairs):
        for side in range(2):
            along = pairs.i[x] if side == 0 else pairs.j[x]
            other = pairs.j[x] if side == 0 else pairs.i[x]
            neuron = face.strand_neuron[face.strand[other]]
            za = _value(values.z, out.sources, out.weights, face.ring_vertex[face.first[along]], neuron)
            zb = _value(values.z, out.sources, out.weights, face.ring_vertex[face.second[along]], neuron)
            t, radius, _, _ = crossing_between(
                za, zb, error, face.distance[along], face.length[along], values.steepness[f]
            )
            pairs.t[2 * x + side] = t
            pairs.key[2 * x + side] = t
            pairs.radius[2 * x + side] = radius


@inner
def list_items(
    n_chords: int, n_pairs: int, pair_i: IntArray, pair_j: IntArray, offsets: IntArray, order: IntArray
) -> None:
    """Fill `offsets` and, unsorted, `order`."""
    for c in range(n_chords + 1):
        offsets[c] = 0
    for x in range(n_pairs):
        offsets[pair_i[x] + 1] += 1
        offsets[pair_j[x] + 1] += 1
    for c in range(n_chords):
        offsets[c + 1] += offsets[c]
    # Lists are filled from their ends, so that offsets are right again when the last is full.
    for c in range(n_chords):
        offsets[c] = offsets[c + 1]
    for x in range(n_pairs):
        offsets[pair_i[x]] -= 1
        order[offsets[pair_i[x]]] = 2 * x
        offsets[pair_j[x]] -= 1
        order[offsets[pair_j[x]]] = 2 * x + 1


@inner
def sort_items(
    n_chords: int, offsets: IntArray, order: IntArray, key: FloatArray, radius: FloatArray, length: FloatArray
) -> bool:
    """Sort each chord's items by key; tell whether every order is certain."""
    certain = True
    for c in range(n_chords):
        start, stop = offsets[c], offsets[c + 1]
        if stop - start > 1 and not sort_certain(order, key, radius, start, stop, length[c]):
            certain = False
    return certain
