"""Compiled loops that cut the skeleton by one neuron after the other; arrays only, they know no network.

A neuron m cuts every edge whose ends have opposite signs (`place`, `decide`), and every 2-cell on which
it has both: the 2-cell is a convex polygon, so exactly two of its edges are cut, and their new vertices are
joined (`join`).  A cut edge with the d - 1 zeros Z lies on the 2-cells that take one zero k of Z away and give
it a sign, + or - (only + for a facet of the domain, only one for a facet of a block).  The two
vertices that name the same 2-cell find each other in a hash table.  Keys are hashes of sign
vectors; each must be met exactly twice, so a collision shows, and the table is filled again with
another seed.

Edges wait in buckets, one for each neuron that is the next to cross them: nothing is done for
edges that no neuron crosses.
"""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray, inner, lean
from geomrelu.planar.bits import lowest_bit
from geomrelu.polyhedral.hashing import word_hash
from geomrelu.polyhedral.skeleton import Cells

__all__ = ["bucket", "count_owned", "decide", "fill_buckets", "join", "place", "row_signs", "row_sizes", "zero_sets"]

_ULP = 2.0**-52
_SLACK = 1.001
_TINY = 1e-290
# Columns of `Cells.errors`; see `skeleton`.
_ENTRY, _ROW, _SIZE, _WORST, _RADIUS, _BLUR, _RENEWED = 0, 1, 2, 3, 4, 5, 6
_ONE, _ZERO, _ALL = np.uint64(1), np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)
# Second column of the table of 2-cells: nothing, both vertices met, or the first of them.
_EMPTY, _MATCHED, _FIRST = np.uint64(0), np.uint64(1), np.uint64(2)


@inner
def _push(cells: Cells, edge: int, first: int, stop: int) -> None:
    """Put an edge into the bucket of the first of a layer's neurons (words first .. stop) that crosses it."""
    a, b = cells.ends[edge, 0], cells.ends[edge, 1]
    for w in range(first, stop):
        crossed = (cells.positive[a, w] & cells.negative[b, w]) | (cells.negative[a, w] & cells.positive[b, w])
        if crossed != _ZERO:
            m = 64 * (w - first) + lowest_bit(crossed)
            cells.following[edge] = cells.heads[m]
            cells.heads[m] = edge
            cells.counts[m] += 1
            return


@lean
def fill_buckets(cells: Cells, n_edges: int, first: int, stop: int) -> None:
    """Put all edges into buckets."""
    for edge in range(n_edges):
        _push(cells, edge, first, stop)


@lean
def bucket(cells: Cells, m: int, out: IntArray) -> None:
    """The edges that neuron m cuts, in ascending order of their place in the bucket."""
    edge = cells.heads[m]
    for k in range(len(out)):
        out[k] = edge
        edge = cells.following[edge]
    cells.heads[m] = -1


@lean
def row_sizes(rows: FloatArray, norms: FloatArray, largest: FloatArray) -> None:
    """2-norms of rows (V, units), rounded up, and their largest magnitudes; not finite where a value is not."""
    for v in range(len(rows)):
        total, size = 0.0, 0.0
        for j in range(rows.shape[1]):
            value = rows[v, j]
            total += value * value
            size = max(size, abs(value))
        norms[v] = np.sqrt(total) * _SLACK + _TINY
        # A NaN passes by max, not by the sum.
        largest[v] = size if total < np.inf else np.inf


@lean
def row_signs(cells: Cells, stop: int, n: int, first: int, steepness: float, caution: float, doubts: IntArray) -> int:
    """Signs of a layer's n neurons at vertices 0 .. stop, from word `first` on; returns the number of doubts.

    Doubts (., 2) are pairs of a vertex and a neuron, as many as there is room for.
    """
    found = 0
    for v in range(stop):
        limit = (cells.errors[v, _ENTRY] + steepness * cells.errors[v, _RADIUS]) * caution
        for j0 in range(0, n, 64):
            positive, negative = _ZERO, _ZERO
            width = min(64, n - j0)
            for j in range(width):
                value = cells.z[v, j0 + j]
                positive |= np.uint64(value > limit) << np.uint64(j)
                negative |= np.uint64(value < -limit) << np.uint64(j)
            cells.positive[v, first + j0 // 64] = positive
            cells.negative[v, first + j0 // 64] = negative
            rest = ~(positive | negative)
            if width < 64:
                rest &= (_ONE << np.uint64(width)) - _ONE
            while rest != _ZERO:
                j = lowest_bit(rest)
                rest &= rest - _ONE
                if found < len(doubts):
                    doubts[found, 0], doubts[found, 1] = v, j0 + j
                found += 1
    return found


@lean
def place(
    cells: Cells, crossed: IntArray, first_vertex: int, m: int, n_kept: int, first: int, stop: int, steepness: float,
    reach: float,
) -> None:  # fmt: skip
    """Make the vertices in which neuron m cuts edges: coordinates, values, bounds and the signs that both ends share.

    Values of neurons 0 .. n_kept - 1 are dropped.  `first`, `stop` are the layer's words; `reach` bounds coordinates.
    """
    d, units = cells.xy.shape[1], cells.z.shape[1]
    bit = _ONE << np.uint64(m % 64)
    word = first + m // 64
    for k in range(len(crossed)):
        e, v = crossed[k], first_vertex + k
        a, b = cells.ends[e, 0], cells.ends[e, 1]
        za, zb = cells.z[a, m], cells.z[b, m]
        t = 0.0
        if za != zb:
            t = min(max(za / (za - zb), 0.0), 1.0)
        length = 0.0
        for i in range(d):
            step = cells.xy[b, i] - cells.xy[a, i]
            length += step * step
            cells.xy[v, i] = cells.xy[a, i] + t * step
        ea, eb = cells.errors[a], cells.errors[b]
        length = np.sqrt(length) * _SLACK + ea[_BLUR] + eb[_BLUR] + _TINY
        error = max(ea[_ENTRY], eb[_ENTRY])
        size = max(ea[_SIZE], eb[_SIZE])
        # Distances of the represented points of the new vertex and of both ends from the edge's true line.
        radius = max(ea[_RADIUS], eb[_RADIUS])
        off = min(cells.distance[e], (1.0 - t) * ea[_RADIUS] + t * eb[_RADIUS]) * _SLACK
        off_ends = min(2.0 * cells.distance[e], ea[_RADIUS] + eb[_RADIUS]) * _SLACK
        residual = abs(za + t * (zb - za)) + 4 * _ULP * max(abs(za), abs(zb)) + error
        fall = abs(za - zb) * 0.999 - 2.0 * error - steepness * off_ends
        farthest = length + 3.0 * radius
        if fall > 0.0:
            bound = off + (residual + steepness * off) * length / fall
            if bound < farthest:
                farthest = bound
        own = cells.errors[v]
        own[_ENTRY] = max(error + 4 * _ULP * size, residual) * _SLACK + _TINY
        row = max(ea[_ROW], eb[_ROW]) + 4 * _ULP * np.sqrt(units) * size
        own[_ROW] = np.sqrt(row * row + residual * residual) * _SLACK + _TINY
        own[_SIZE] = size
        own[_WORST] = max(max(ea[_WORST], eb[_WORST]), own[_ENTRY])
        own[_RADIUS] = farthest * _SLACK + _TINY
        own[_BLUR] = max(ea[_BLUR], eb[_BLUR]) + 4 * _ULP * np.sqrt(d) * reach + _TINY
        own[_RENEWED] = 0.0
        for j in range(n_kept, units):
            cells.z[v, j] = cells.z[a, j] + t * (cells.z[b, j] - cells.z[a, j])
        cells.z[v, m] = 0.0
        null_a, null_b = cells.null[a, word] & bit != _ZERO, cells.null[b, word] & bit != _ZERO
        for w in range(stop):
            positive = cells.positive[a, w] | cells.positive[b, w]
            negative = cells.negative[a, w] | cells.negative[b, w]
            both = positive & negative
            cells.positive[v, w] = positive & ~both
            cells.negative[v, w] = negative & ~both
            # Without the perturbation the vertex lies in an end where m is zero, else inside the edge.
            zero_a = ~(cells.positive[a, w] | cells.negative[a, w]) | cells.null[a, w]
            zero_b = ~(cells.positive[b, w] | cells.negative[b, w]) | cells.null[b, w]
            zero = zero_a if null_a else (zero_b if null_b else zero_a & zero_b)
            cells.null[v, w] = zero & (positive | negative) & ~both


@lean
def decide(
    cells: Cells, crossed: IntArray, first_vertex: int, m: int, first: int, stop: int, steepness: float,
    caution: float, doubts: IntArray,
) -> tuple[int, int]:  # fmt: skip
    """Signs of later neurons that cross the same edges, at the new vertices; the numbers of these and of doubts."""
    found, asked = 0, 0
    word, bit = first + m // 64, _ONE << np.uint64(m % 64)
    for k in range(len(crossed)):
        e, v = crossed[k], first_vertex + k
        a, b = cells.ends[e, 0], cells.ends[e, 1]
        limit = (cells.errors[v, _ENTRY] + steepness * cells.errors[v, _RADIUS]) * caution
        for w in range(first, stop):
            rest = (cells.positive[a, w] & cells.negative[b, w]) | (cells.negative[a, w] & cells.positive[b, w])
            if w == word:
                rest &= ~bit
            while rest != _ZERO:
                own = rest & ~(rest - _ONE)
                j = 64 * (w - first) + lowest_bit(rest)
                rest &= rest - _ONE
                value = cells.z[v, j]
                asked += 1
                if value > limit:
                    cells.positive[v, w] |= own
                elif value < -limit:
                    cells.negative[v, w] |= own
                else:
                    if found < len(doubts):
                        doubts[found, 0], doubts[found, 1] = v, j
                    found += 1
    return asked, found


@inner
def _meet(cells: Cells, key: np.uint64, v: int, table: WordArray, edge: int) -> int:
    """Look for the other vertex of a 2-cell: 1 if it was there (edge made), 0 if not yet, -1 if a third one came."""
    mask = np.uint64(len(table) - 1)
    at = key & mask
    while table[at, 1] != _EMPTY:
        if table[at, 0] == key:
            if table[at, 1] == _MATCHED:
                return -1
            other = np.int64(table[at, 1] - _FIRST)
            table[at, 1] = _MATCHED
            cells.ends[edge, 0], cells.ends[edge, 1] = other, v
            cells.distance[edge] = max(cells.errors[other, _RADIUS], cells.errors[v, _RADIUS])
            return 1
        at = (at + _ONE) & mask
    table[at, 0], table[at, 1] = key, np.uint64(v) + _FIRST
    return 0


@inner
def _cut_cells(
    cells: Cells, v: int, valid: WordArray, sides: WordArray, stop: int, seed: np.uint64, keys: WordArray
) -> int:
    """Keys of the 2-cells on which a new vertex lies; their number."""
    found = 0
    base = _ZERO
    for w in range(stop):
        base ^= word_hash(cells.positive[v, w] & valid[w], cells.negative[v, w] & valid[w], w, seed)
    for w in range(stop):
        positive, negative = cells.positive[v, w] & valid[w], cells.negative[v, w] & valid[w]
        rest = ~(positive | negative) & valid[w]
        if rest == _ZERO:
            continue
        others = base ^ word_hash(positive, negative, w, seed)
        while rest != _ZERO:
            own = rest & ~(rest - _ONE)
            rest &= rest - _ONE
            if sides[0, w] & own != _ZERO:
                keys[found] = others ^ word_hash(positive | own, negative, w, seed)
                found += 1
            if sides[1, w] & own != _ZERO:
                keys[found] = others ^ word_hash(positive, negative | own, w, seed)
                found += 1
    return found


@lean
def join(
    cells: Cells, crossed: IntArray, first_vertex: int, n_edges: int, valid: WordArray, sides: WordArray, first: int,
    stop: int, seed: np.uint64, table: WordArray, keys: WordArray, ahead: IntArray, fetched: WordArray,
) -> int:  # fmt: skip
    """Join new vertices across 2-cells, then halve the cut edges; returns the new number of edges, or -1.

    `valid` (words,) has the bits of the forms that have cut so far, `sides` (2, words) of those that
    may be positive and negative.  `table` (size, 2) is zero, its size a power of two; `keys` (k, 2 d), `ahead` (k,)
    and `fetched` (1,) are scratch.  -1: two sign vectors have the same hash; nothing was changed.
    """
    waiting = 0
    edge = n_edges + len(crossed)
    made, mask = edge, np.uint64(len(table) - 1)
    for start in range(0, len(crossed), len(keys)):
        some = min(len(crossed) - start, len(keys))
        for k in range(some):
            ahead[k] = _cut_cells(cells, first_vertex + start + k, valid, sides, stop, seed, keys[k])
            # Reading rows of the table before any is asked for fetches them all at once, not one after the other.
            for i in range(ahead[k]):
                fetched[0] ^= table[keys[k, i] & mask, 0]
        for k in range(some):
            for i in range(ahead[k]):
                met = _meet(cells, keys[k, i], first_vertex + start + k, table, edge)
                if met < 0:
                    return -1
                edge += met
                waiting += 1 - 2 * met
    if waiting != 0:
        return -1
    for k in range(len(crossed)):
        e, half, v = crossed[k], n_edges + k, first_vertex + k
        cells.ends[half, 0], cells.ends[half, 1] = v, cells.ends[e, 1]
        cells.ends[e, 1] = v
        cells.distance[half] = cells.distance[e]
        _push(cells, e, first, stop)
        _push(cells, half, first, stop)
    for new in range(made, edge):
        _push(cells, new, first, stop)
    return edge


@lean
def count_owned(cells: Cells, n_vertices: int, n_edges: int, others: WordArray) -> tuple[int, int]:
    """Numbers of vertices and of edges on which none of certain forms (words,) is zero."""
    vertices, edges = 0, 0
    for v in range(n_vertices):
        own = True
        for w in range(len(others)):
            own = own and others[w] & ~(cells.positive[v, w] | cells.negative[v, w]) == _ZERO
        vertices += own
    for e in range(n_edges):
        a, b = cells.ends[e, 0], cells.ends[e, 1]
        own = True
        for w in range(len(others)):
            signs = cells.positive[a, w] | cells.negative[a, w] | cells.positive[b, w] | cells.negative[b, w]
            own = own and others[w] & ~signs == _ZERO
        edges += own
    return vertices, edges


@lean
def zero_sets(positive: WordArray, negative: WordArray, vertices: IntArray, valid: WordArray, bits: IntArray) -> int:
    """Bits of the forms that vanish at vertices, (k, d) ascending; returns the first row without exactly d, or -1."""
    for k in range(len(vertices)):
        v, found = vertices[k], 0
        for w in range(len(valid)):
            rest = ~(positive[v, w] | negative[v, w]) & valid[w]
            while rest != _ZERO:
                if found == bits.shape[1]:
                    return k
                bits[k, found] = 64 * w + lowest_bit(rest)
                found += 1
                rest &= rest - _ONE
        if found != bits.shape[1]:
            return k
    return -1
