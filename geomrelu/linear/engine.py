"""Cuts segments into a network's pieces, layer by layer, many segments at once in flat arrays.

A segment is a chain of vertices, its ends first; between two consecutive vertices lies a piece, on
which every preactivation of the layers so far is affine.  Per layer:

1. One matrix product gives the preactivations z = W h + b at all vertices of all segments.
2. The sign of each neuron at each vertex is decided once: by the float value where it exceeds a
   rigorous bound on its error, else in integers (`settle`).
3. A neuron with opposite signs at a piece's ends crosses it once, at the fraction
   z_u / (z_u - z_v).  Crossings are sorted along the piece; an order that is too close to call is
   decided in integers, and crossings that coincide make one vertex.
4. A new vertex takes its row by interpolation between the piece's ends.  A neuron's bit on a piece is 1
   where it is positive at an end and does not cross, so the new pieces' patterns follow from the
   signs at the ends and the order alone: the exclusive or of what changes, summed along the chain.
5. Rows are rectified by bits: an entry is kept where the pieces on both sides have the bit.

Numerical argument, that of `planar.bounds` in one dimension.  A vertex has its true place t*, the
exact crossing, and a represented place t': 0 and 1 represent themselves, and a vertex made at the
float fraction s between u and v represents (1 - s) t'_u + s t'_v, in real arithmetic.  The *value
error* bounds |z(v) - F(t'(v))| for the affine forms F of both pieces beside v, extended beyond them.
Interpolation adds only its own rounding, 4 u (|z_u| + |z_v|), to the larger of the ends' errors; a
layer multiplies it by an operator norm and adds the rounding of one product
(`planar.bounds.bounded_errors`).  Where the pieces beside v differ in neuron j's bit, its
rectified value is 0 at v, and one of the forms has there what z_j has, so |z_j| and its error are added.
The *position error* |t' - t*| of a new vertex is at most its `radius`: with residual
r = |(1 - s) z_u + s z_v| + error, the form's slope is at least (|z_u - z_v| - 2 error) / (t'_v - t'_u),
and t* lies r over that slope from t' or nearer; nor is it farther than the piece is long.
A sign at the true vertex is certain where |z| exceeds error + g radius |b - a|, g a bound on the
neuron's gradient (`LayerBounds.steepness`); an order where places differ by more than both radii.

Neurons of a max pooling that do not matter (`Layer.relevant`) lose their bits after the next
round, and pieces that then agree are put together (`planar.merging`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray
from geomrelu.linear.settle import Judge
from geomrelu.network import Layer, Network
from geomrelu.patterns import Patterns, word_starts
from geomrelu.planar.bounds import bounded_errors, last_rounding, layer_bounds
from geomrelu.planar.crossings import SLACK
from geomrelu.planar.merging import inside_pool, relevant_words
from geomrelu.planar.records import LayerBounds

__all__ = ["Chains", "Prepared", "advance", "finish", "place_rounding", "start"]

_UNIT_ROUNDOFF = 2.0**-53


class Prepared:
    """What all segments of one network have in common."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.starts = word_starts(network.widths)
        # The output layer's bounds, too: as a hidden layer of a network with one more.
        n = network.n_outputs
        self.bounds = layer_bounds(Network.from_layers([*network.layers, Layer(np.eye(n), np.zeros(n), 0)]))
        self.widest = max(max(layer.n_units, layer.n_inputs) for layer in network.layers)


@dataclass
class Chains:
    """Segments on their way through the layers.

    Attributes
    ----------
    offsets : (S + 1,) int64
        Vertices of segment s are ``offsets[s] : offsets[s + 1]``.
    t, radius, estimate : (V,) float64
        Places, bounds on the distance of represented from true ones, and estimates (no bounds) of it:
        as if values had only the rounding of their last product.
    line : (V,) int64
        The neuron (flat number) whose crossing the vertex is, -1 and -2 for the ends at 0 and 1.
    parent : (V, words) uint64
        The pattern of the piece that the neuron crossed.
    words : (V - S, words) uint64
        Patterns of the pieces, zero for layers to come.
    rows : (V, units) float64
        Preactivations of the last layer, or the inputs.
    row_error, entry_error : (V,) float64
        Bounds on the rows' errors: in the 2-norm, and of each entry.
    share : (V,) float64
        How much of `entry_error` an estimate of the last product's rounding is.
    length : (S,) float64
        The distance of the ends, rounded up.
    number : (S,) int64
        The segments' numbers among all.
    """

    offsets: IntArray
    t: FloatArray
    radius: FloatArray
    estimate: FloatArray
    line: IntArray
    parent: WordArray
    words: WordArray
    rows: FloatArray
    row_error: FloatArray
    entry_error: FloatArray
    share: FloatArray
    length: FloatArray
    number: IntArray

    @property
    def n_segments(self) -> int:
        """Number of segments."""
        return len(self.offsets) - 1

    @property
    def segment(self) -> IntArray:
        """Segment of each vertex, (V,)."""
        return np.repeat(np.arange(self.n_segments), np.diff(self.offsets))

    @property
    def left(self) -> IntArray:
        """Left vertex of each piece, (V - S,); the right one is the next."""
        return np.delete(np.arange(len(self.t)), self.offsets[1:] - 1)

    def part(self, first: int, last: int) -> Chains:
        """Segments `first` to `last` - 1."""
        low, high = int(self.offsets[first]), int(self.offsets[last])
        own = slice(low, high)
        return Chains(
            self.offsets[first : last + 1] - low, self.t[own], self.radius[own], self.estimate[own], self.line[own],
            self.parent[own], self.words[low - first : high - last], self.rows[own], self.row_error[own],
            self.entry_error[own], self.share[own], self.length[first:last], self.number[first:last],
        )  # fmt: skip


def start(prepared: Prepared, a: FloatArray, b: FloatArray, first: int) -> Chains:
    """Segments from inputs a (S, n_inputs) to b, uncut; numbered from `first` on."""
    n = len(a)
    rows = np.stack([a, b], axis=1).reshape(2 * n, -1)
    width = prepared.starts[-1]
    zero = np.zeros(2 * n)
    return Chains(
        2 * np.arange(n + 1, dtype=np.int64), np.tile([0.0, 1.0], n), zero, zero, np.tile([-1, -2], n),
        np.zeros((2 * n, width), dtype=np.uint64), np.zeros((n, width), dtype=np.uint64), rows, zero, zero, zero,
        _norms(b - a), first + np.arange(n),
    )  # fmt: skip


def advance(prepared: Prepared, chains: Chains, index: int, judge: Judge, report: dict[str, Any]) -> Chains:
    """The chains, cut by hidden layer `index`."""
    layer, bounds = prepared.network.hidden[index], prepared.bounds[index]
    chains = _product(prepared, chains, index)
    if layer.n_neurons:
        positive, negative = _signs(chains, bounds, layer.n_neurons, index, judge, report)
        cuts = _crossings(chains, positive, negative, index, judge, report)
        chains = _cut(prepared, chains, positive, negative, cuts, index)
    if inside_pool(prepared.network, index):
        chains = _merged(prepared, chains, index)
    report["layers"][index]["regions"] += len(chains.words)
    return chains


def finish(prepared: Prepared, chains: Chains) -> tuple[FloatArray, FloatArray]:
    """Outputs at the vertices, (V, out), and bounds on their distance from those at the true vertices, (V,)."""
    last = len(prepared.network.hidden)
    chains = _product(prepared, chains, last)
    n = chains.rows.shape[1]
    vertices, outputs = np.divmod(np.arange(chains.rows.size), n)
    own = _own_limits(chains, vertices, outputs, last).reshape(-1, n).max(axis=1)
    with np.errstate(all="ignore"):
        slack = prepared.bounds[last].steepness * chains.length[chains.segment] * chains.radius
        errors = np.fmin((chains.entry_error + slack) * SLACK, own)
    return chains.rows, np.where(np.isfinite(chains.rows).all(axis=1), np.nan_to_num(errors, nan=np.inf), np.inf)


def _norms(rows: FloatArray) -> FloatArray:
    """2-norms, not too small; infinite where squares overflow."""
    with np.errstate(over="ignore"):
        # Squares that underflow lose less than the constant pays for.
        return np.asarray(np.sqrt(np.einsum("vn,vn->v", rows, rows)) * SLACK + 1e-150)


def place_rounding(index: int) -> float:
    """Bound on the distance of stored places from represented ones behind layer `index`."""
    return 16.0 * (index + 1) * _UNIT_ROUNDOFF


# ---------------------------------------------------------------------- 1, 5: rows


def _product(prepared: Prepared, chains: Chains, index: int) -> Chains:
    """The chains with the units of layer `index` as their rows."""
    layer, bounds = prepared.network.layers[index], prepared.bounds[index]
    rows, extra = chains.rows, np.zeros(len(chains.t))
    if index > 0 and prepared.network.layers[index - 1].n_neurons:
        rows, extra = _rectified(prepared, chains, index - 1)
    with np.errstate(over="ignore", invalid="ignore"):
        h_norm, h_error = _norms(rows), chains.row_error + extra
        z = rows @ layer.weight.T
        z += layer.bias
        errors, row_errors = bounded_errors(bounds, h_norm, h_error)
        return replace(
            chains, rows=z, row_error=row_errors, entry_error=errors,
            share=np.fmin(last_rounding(bounds, h_norm) / errors, 1.0),
        )  # fmt: skip


def _rectified(prepared: Prepared, chains: Chains, index: int) -> tuple[FloatArray, FloatArray]:
    """Rows of layer `index` behind its rectifiers, and what that adds to their errors, (V,)."""
    n = prepared.network.layers[index].n_neurons
    words = chains.words[:, prepared.starts[index] : prepared.starts[index + 1]]
    # Number of the piece on a vertex' left and right; at the ends of a segment the only one.
    vertex, segment = np.arange(len(chains.t)), chains.segment
    before, after = vertex - segment - 1, vertex - segment
    before[chains.offsets[:-1]] += 1
    after[chains.offsets[1:] - 1] -= 1
    on_left, on_right = words[before], words[after]
    rows = chains.rows.copy()
    rows[:, :n][~Patterns(on_left & on_right, (n,)).unpack()] = 0.0
    extra = np.zeros(len(rows))
    changed = np.flatnonzero((on_left != on_right).any(axis=1))
    vertices, neurons = np.nonzero(Patterns((on_left ^ on_right)[changed], (n,)).unpack())
    vertices = changed[vertices]
    np.add.at(extra, vertices, (np.abs(chains.rows[vertices, neurons]) + chains.entry_error[vertices]) * SLACK)
    return rows, extra


# ---------------------------------------------------------------------- 2: signs


def _signs(
    chains: Chains, bounds: LayerBounds, n: int, index: int, judge: Judge, report: dict[str, Any]
) -> tuple[BoolArray, BoolArray]:
    """Where neurons are positive and where negative at the vertices, (V, n) each; exact."""
    z = chains.rows[:, :n]
    segment = chains.segment
    with np.errstate(over="ignore", invalid="ignore"):
        limit = (chains.entry_error + bounds.steepness * chains.length[segment] * chains.radius)[:, None] * SLACK
        positive, negative = z > limit, z < -limit
    vertices, neurons = np.nonzero(~(positive | negative))
    if len(vertices):
        # Few: these are tried again with the neurons' own slopes beside the vertex.
        limit = _own_limits(chains, vertices, neurons, index)
        value = z[vertices, neurons]
        positive[vertices, neurons], negative[vertices, neurons] = value > limit, value < -limit
        doubtful = ~(np.abs(value) > limit)
        vertices, neurons = vertices[doubtful], neurons[doubtful]
    report["signs"] += z.size
    if len(vertices):
        # Any piece at the vertex will do.
        pieces = np.minimum(vertices, chains.offsets[1:][segment[vertices]] - 2) - segment[vertices]
        signs = judge.signs(
            chains.number[segment[vertices]],
            chains.line[vertices],
            chains.parent[vertices],
            index,
            neurons,
            chains.words[pieces],
        )
        positive[vertices, neurons], negative[vertices, neurons] = signs > 0, signs < 0
        report["signs_exact"] += len(signs)
        report["signs_zero"] += int((signs == 0).sum())
    return positive, negative


def _own_limits(chains: Chains, vertices: IntArray, neurons: IntArray, index: int) -> FloatArray:
    """What values of some neurons at some vertices must exceed for their sign to be certain, (N,)."""
    error, z = chains.entry_error, chains.rows
    limits = np.full(len(vertices), np.inf)
    for step in (-1, 1):
        other = vertices + step
        ends = chains.offsets[1:-1] if step > 0 else chains.offsets[:-1]
        there = np.flatnonzero((other >= 0) & (other < len(z)) & ~np.isin(vertices if step < 0 else other, ends))
        v, w, m = vertices[there], other[there], neurons[there]
        with np.errstate(all="ignore"):
            reach = error[v] + error[w]
            distance = np.abs(chains.t[v] - chains.t[w]) - place_rounding(index)
            slope = np.where(distance > 0, (np.abs(z[v, m] - z[w, m]) + reach) / distance, np.inf)
            # No position error is no matter, whatever the slope.
            moved = np.where(chains.radius[v] > 0, slope * chains.radius[v], 0.0)
            limits[there] = np.fmin(limits[there], (error[v] + moved) * SLACK)
    return limits


# ---------------------------------------------------------------------- 3: crossings


@dataclass
class _Crossings:
    """Crossings in order along the chains, (N,) each."""

    piece: IntArray
    neuron: IntArray
    t: FloatArray  # fraction of the piece
    radius: FloatArray
    estimate: FloatArray
    rank: IntArray  # place among the piece's new vertices; equal for those that coincide


def _crossings(
    chains: Chains, positive: BoolArray, negative: BoolArray, index: int, judge: Judge, report: dict[str, Any]
) -> _Crossings:
    left = chains.left
    piece, neuron = np.nonzero((positive[left] & negative[left + 1]) | (negative[left] & positive[left + 1]))
    u = left[piece]
    # Represented places are known to within the rounding of one interpolation per layer.
    span, blur = chains.t[u + 1] - chains.t[u], place_rounding(index)
    t, radius = _fractions(chains, u, neuron, span + blur)
    estimate = radius * np.maximum(chains.share[u], chains.share[u + 1])
    order = np.lexsort((t, piece))
    piece, neuron = piece[order], neuron[order]
    t, radius, estimate = t[order], radius[order], estimate[order]
    shortest = np.maximum(span - blur, 0.0)[order]
    cuts = _Crossings(piece, neuron, t, radius, estimate, np.arange(len(piece)) - np.searchsorted(piece, piece))
    gap = (t[1:] - t[:-1]) * shortest[1:]
    apart = gap > (radius[1:] + radius[:-1]) * SLACK + 2.0**-49 * shortest[1:]
    for p in np.unique(piece[1:][(piece[1:] == piece[:-1]) & ~apart]).tolist():
        own = slice(*np.searchsorted(piece, [p, p + 1]).tolist())
        ties = _order_exactly(chains, cuts, p, own, index, float(shortest[own.start]), judge)
        report["orders_exact"] += 1
        report["ties"] += ties
    return cuts


def _fractions(chains: Chains, u: IntArray, neuron: IntArray, span: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where neurons cross the pieces from vertices u: fractions of the piece, and radii."""
    zu, zv = chains.rows[u, neuron], chains.rows[u + 1, neuron]
    with np.errstate(all="ignore"):
        error = np.maximum(chains.entry_error[u], chains.entry_error[u + 1])
        # Values may contradict signs that were decided in integers; then the radius is that of the piece.
        t = np.clip(np.nan_to_num(zu / (zu - zv), nan=0.5), 0.0, 1.0)
        residual = np.abs((1 - t) * zu + t * zv) + error + 8 * _UNIT_ROUNDOFF * (np.abs(zu) + np.abs(zv))
        fall = np.abs(zv - zu) - 2 * error * SLACK
        radius = np.where(fall > 0, residual / fall * span * SLACK, np.inf)
    farthest = span + np.maximum(chains.radius[u], chains.radius[u + 1]) * SLACK
    return t, np.fmin(radius, farthest)


def _order_exactly(
    chains: Chains, cuts: _Crossings, piece: int, own: slice, index: int, length: float, judge: Judge
) -> int:
    """Put a piece's crossings into exact order, in place; the number of those that coincide with others."""
    segment = int(chains.number[np.searchsorted(chains.offsets, chains.left[piece], side="right") - 1])
    ranks = judge.order(
        segment, index, cuts.neuron[own], chains.words[piece], cuts.t[own] * length, cuts.radius[own], length
    )
    # The most accurate one of several makes the vertex.
    order = np.lexsort((cuts.radius[own], ranks))
    cuts.rank[own] = ranks[order]
    for column in (cuts.neuron, cuts.t, cuts.radius, cuts.estimate):
        column[own] = column[own][order]
    return len(ranks) - 1 - int(ranks.max())


# ---------------------------------------------------------------------- 4: new vertices and pieces


def _cut(
    prepared: Prepared, chains: Chains, positive: BoolArray, negative: BoolArray, cuts: _Crossings, index: int
) -> Chains:
    left, n_pieces, segment = chains.left, len(chains.words), chains.segment
    # The first of crossings that coincide makes the vertex.
    makes = np.ones(len(cuts.piece), dtype=bool)
    makes[1:] = (cuts.piece[1:] != cuts.piece[:-1]) | (cuts.rank[1:] != cuts.rank[:-1])
    piece, neuron, t, rank = cuts.piece[makes], cuts.neuron[makes], cuts.t[makes], cuts.rank[makes]
    new_before = np.concatenate([[0], np.cumsum(np.bincount(piece, minlength=n_pieces))]).astype(np.int64)
    old_at = np.arange(len(segment)) + new_before[np.arange(len(segment)) - segment]
    new_at = old_at[left[piece]] + 1 + rank
    u, v = left[piece], left[piece] + 1
    total = len(segment) + len(piece)

    def joined(old: Any, new: Any) -> Any:
        result = np.empty((total, *old.shape[1:]), dtype=old.dtype)
        result[old_at], result[new_at] = old, new
        return result

    rows = chains.rows
    with np.errstate(over="ignore", invalid="ignore"):
        between = rows[u] * (1 - t)[:, None]
        between += rows[v] * t[:, None]
        norms = _norms(rows)
        rounding = 4 * _UNIT_ROUNDOFF * (norms[u] + norms[v])
        row_errors, entry_errors = (
            (np.maximum(e[u], e[v]) + rounding) * SLACK for e in (chains.row_error, chains.entry_error)
        )
    first_neuron = sum(prepared.network.widths[:index])
    return Chains(
        offsets=np.append(old_at[chains.offsets[:-1]], total),
        t=joined(chains.t, (1 - t) * chains.t[u] + t * chains.t[v]),
        radius=joined(chains.radius, cuts.radius[makes]),
        estimate=joined(chains.estimate, cuts.estimate[makes]),
        line=joined(chains.line, first_neuron + neuron),
        parent=joined(chains.parent, chains.words[piece]),
        words=_new_words(prepared, chains, positive, negative, cuts, new_before, index),
        rows=joined(rows, between),
        row_error=joined(chains.row_error, row_errors),
        entry_error=joined(chains.entry_error, entry_errors),
        share=joined(chains.share, np.maximum(chains.share[u], chains.share[v])),
        length=chains.length,
        number=chains.number,
    )


def _new_words(
    prepared: Prepared, chains: Chains, positive: BoolArray, negative: BoolArray, cuts: _Crossings,
    new_before: IntArray, index: int,
) -> WordArray:  # fmt: skip
    """Patterns of the new pieces."""
    left, n_pieces = chains.left, len(chains.words)
    n = positive.shape[1]
    # A neuron's bit at the beginning of a piece: positive there, or zero there and positive at the other end.
    at_start = positive[left] | (positive[left + 1] & ~negative[left])
    at_end = positive[left + 1] | (positive[left] & ~negative[left + 1])
    begin, end = Patterns.pack(at_start, (n,)).words, Patterns.pack(at_end, (n,)).words
    first_child = np.arange(n_pieces) + new_before[:-1]
    change = np.zeros((n_pieces + int(new_before[-1]), begin.shape[1]), dtype=np.uint64)
    change[first_child] = begin
    change[first_child[1:]] ^= end[:-1]
    bits = np.uint64(1) << (cuts.neuron % 64).astype(np.uint64)
    np.bitwise_xor.at(change, (first_child[cuts.piece] + 1 + cuts.rank, cuts.neuron // 64), bits)
    words = np.repeat(chains.words, np.diff(new_before) + 1, axis=0)
    words[:, prepared.starts[index] : prepared.starts[index + 1]] = np.bitwise_xor.accumulate(change, axis=0)
    return words


def _merged(prepared: Prepared, chains: Chains, index: int) -> Chains:
    """Pieces that differ only in neurons of a max pooling that do not matter, put together."""
    stop = prepared.starts[index + 1]
    words = chains.words.copy()
    words[:, :stop] = relevant_words(prepared.network, words[:, :stop], index + 1)
    left = chains.left
    inner = left[1:] == left[:-1] + 1
    needless = np.flatnonzero(inner & (words[1:] == words[:-1]).all(axis=1)) + 1
    keep_pieces = np.ones(len(words), dtype=bool)
    keep_pieces[needless] = False
    keep = np.ones(len(chains.t), dtype=bool)
    keep[left[needless]] = False
    before = np.concatenate([[0], np.cumsum(keep)])
    return Chains(
        before[chains.offsets].astype(np.int64), chains.t[keep], chains.radius[keep], chains.estimate[keep],
        chains.line[keep], chains.parent[keep], words[keep_pieces], chains.rows[keep], chains.row_error[keep],
        chains.entry_error[keep], chains.share[keep], chains.length, chains.number,
    )  # fmt: skip
