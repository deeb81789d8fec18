"""Rows of vertices: a layer's inputs, its preactivations with their errors, and signs (step 1 in `records`)."""

from __future__ import annotations

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray, inner, lean
from geomrelu.planar.bits import ONE, ZERO, eight_above, eight_below, popcount
from geomrelu.planar.crossings import LEAST, SLACK
from geomrelu.planar.records import LayerBounds, Rows

__all__ = ["TINY", "rectified_rows", "row_norms", "sign_rows", "value_errors"]

# Pays for what underflows in the rows' bounds.
TINY = 1e-290
# Partial sums of a product stay finite while magnitudes are below this.
_LARGE = 1e307


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
    first_neuron: int, contradicted: bool,
) -> float:  # fmt: skip
    """Sum of the values that may have another sign at the true vertex (see `rectified_rows`).

    It bounds their 2-norm and, unlike a sum of squares, does not underflow.
    """
    total = 0.0
    for j in range(n_neurons):
        value = _mean(z, sources, weights, k, j)
        if not abs(value) > limit and first_neuron + j != lines[k, 0] and first_neuron + j != lines[k, 1]:
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
    if _rectified_rows(rows, vertices, h, h_norm, h_error) > 0:
        extreme = ~((h_norm > 1e-140) & (h_norm < 1e140))
        h_norm[extreme] = row_norms(h[extreme])


@lean
def _rectified_rows(rows: Rows, vertices: IntArray, h: FloatArray, h_norm: FloatArray, h_error: FloatArray) -> int:
    """Returns the number of rows whose squares may have under- or overflowed."""
    z, n_neurons, row_error, extra_error = rows.z, rows.n_neurons, rows.row_error, rows.extra_error
    sources, weights, lines = rows.sources, rows.weights, rows.lines
    new_limit = rows.new_limit
    first_neuron = rows.first_neuron
    n_old = len(z)
    n_extreme = 0
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
            wrong = 0.0
            small = _interpolate(z, sources, weights, k, limit, n_neurons, h, row)
            for side in range(2):
                line = lines[k, side] - first_neuron
                if line >= 0:
                    # Zero by definition: what rounding and the ends' errors make of it is no value.
                    cleared = abs(_mean(z, sources, weights, k, line))
                    small -= not cleared > limit
                    wrong += cleared
                    h[row, line] = 0.0
            if small > 0:
                wrong += _unsure_sum(z, sources, weights, k, limit, n_neurons, lines, first_neuron, extra > 0.0)
            h_error[row] = worst + wrong * SLACK
        h_norm[row] = np.sqrt(_square_sum(h, row)) * SLACK
        n_extreme += not (h_norm[row] > 1e-140 and h_norm[row] < 1e140)
    return n_extreme


@lean
def value_errors(
    bounds: LayerBounds, caution: float, h_norm: FloatArray, h_error: FloatArray, entry: FloatArray, row: FloatArray
) -> float:
    """Fill bounds on the errors of each entry of a layer's rows, and of their 2-norms, (rows,); see `bounds`.

    Returns the largest share of the first that an estimate from the rounding of the last
    product alone makes up.  Where a partial sum may overflow, bounds are infinite: the value's sign
    then means nothing.
    """
    most = 0.0
    for v in range(len(h_norm)):
        size = bounds.row_norm * h_norm[v] + bounds.bias_max
        if size < _LARGE:
            rounding = bounds.gamma * (bounds.magnitude_norm * h_norm[v] + bounds.bias_norm)
            values = bounds.row_norm * (h_error[v] + bounds.gamma * h_norm[v]) + bounds.gamma * bounds.bias_max
            entry[v] = caution * (values * SLACK + TINY)
            row[v] = caution * ((bounds.operator_norm * h_error[v] + rounding) * SLACK + TINY)
        else:
            entry[v] = row[v] = np.inf
        share = 2.0**-50 * size / max(entry[v], 2.0**-50 * size)
        most = max(most, share if share <= 1.0 else 1.0)
    return most


@lean
def sign_rows(
    z: FloatArray, bias: FloatArray, n_neurons: int, error: FloatArray, reach: float, stretch: FloatArray,
    radius: FloatArray, positive: WordArray, negative: WordArray, doubts: IntArray,
) -> int:  # fmt: skip
    """Add the biases, set the bits of values certain to be positive or negative; list the others.

    A value is certain if it exceeds ``error + reach * stretch * radius``.  `doubts` (., 2)
    receives (row, neuron) while there is room; the number of doubts is returned, so that a caller
    with too little room can come again, with biases of zero.
    """
    n_doubts = 0
    for v in range(len(z)):
        row = z[v]
        limit = error[v] + reach * stretch[v] * radius[v] + LEAST
        for j in range(len(row)):
            row[j] += bias[j]
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
