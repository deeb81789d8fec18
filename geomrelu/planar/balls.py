"""Second opinion on signs in doubt: affine forms in double precision, entry by entry with a bound.

The bounds of `bounds` follow whole rows by norms and gradients by global constants, so they
overestimate: most signs in doubt are not close to zero.  Here the affine forms A x + B y + C
of a face are computed afresh, layer by layer, every entry with its own error bound:

    forms_l = W_l D forms_{l-1} + (0, 0, b_l),
    error_l = |W_l| D error_{l-1} + gamma (|W_l| D |forms_{l-1}| + (0, 0, |b_l|)),

D the pattern's gate and gamma = n u / (1 - n u) for n inputs and the bias (Higham, section
3.1).  A vertex is the cross product of its two lines, whose orientation must be certain; the
sign of a third form there is certain where the value exceeds the error that products of
balls carry.  What remains goes on to exact integers.  Many questions are asked at once, so that
each layer is one product for all their faces.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.exact import Line
from geomrelu.matrices import Matrix, dense_rows, is_sparse
from geomrelu.network import Network
from geomrelu.patterns import Patterns, word_starts

__all__ = ["BallForms", "Balls", "border_ball", "cross", "part", "signs_at", "travel"]

# Numbers in a product's operand: faces are taken in groups of this size.
_GROUP = 1 << 20
_TINY = 1e-290
_ULP = 2.0**-52


class Balls(NamedTuple):
    """Triples with error bounds: affine forms or homogeneous points, both (..., 3)."""

    value: FloatArray
    error: FloatArray


class BallForms:
    """Neurons' affine forms under given patterns, with error bounds."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.starts = word_starts(network.widths)
        self._magnitudes = [(abs(v.weight), np.abs(v.bias)) for v in network.layers]

    def rows(self, layer: int, units: IntArray, words: WordArray) -> Balls:
        """The forms of units (k,) of a layer under patterns (k, words), (k, 3).

        Only the words of the layers before are used; there may be more or, after them, none.
        """
        if layer == 0:
            # The first layer's forms are its weights: exact.
            own = self.network.layers[0]
            value = np.concatenate([dense_rows(own.weight, units), own.bias[units, None]], axis=1)
            return Balls(value, np.zeros_like(value))
        prefixes, group = np.unique(words[:, : self.starts[layer]], axis=0, return_inverse=True)
        group = group.ravel()
        size = max(1, _GROUP // (3 * max(v.n_units for v in self.network.layers[:layer])))
        value, error = np.empty((len(units), 3)), np.empty((len(units), 3))
        order = np.argsort(group, kind="stable")
        for first in range(0, len(prefixes), size):
            start, stop = np.searchsorted(group[order], [first, first + size])
            chosen = order[start:stop]
            value[chosen], error[chosen] = self._group(
                layer, units[chosen], group[chosen] - first, prefixes[first : first + size]
            )
        return Balls(value, error)

    def _group(self, layer: int, units: IntArray, group: IntArray, words: WordArray) -> Balls:
        """Forms of units (k,), each under the pattern ``words[group[k]]``."""
        patterns = Patterns(words, self.network.widths[:layer])
        m = len(words)
        first = self.network.layers[0]
        forms = np.concatenate([dense_rows(first.weight, slice(None)), first.bias[:, None]], axis=1)
        value = np.repeat(forms[:, :, None], m, axis=2)
        error = np.zeros_like(value)
        for below in range(layer):
            before, own = self.network.layers[below], self.network.layers[below + 1]
            gate = np.ones((before.n_units, 1, m), dtype=bool)
            gate[: before.n_neurons, 0] = patterns.unpack(below).T
            gamma = (own.n_inputs + 2) * 2.0**-53 * 1.01
            # An infinite error times 0 would be NaN.
            value = np.where(gate, value, 0.0)
            error = np.where(gate, error, 0.0) + gamma * np.abs(value)
            magnitude, bias_magnitude = self._magnitudes[below + 1]
            if below + 1 < layer:
                value, error = (
                    (w @ v.reshape(len(v), -1)).reshape(-1, 3, m)
                    for w, v in ((own.weight, value), (magnitude, error))
                )  # fmt: skip
                value[:, 2] += own.bias[:, None]
                error[:, 2] += gamma * bias_magnitude[:, None]
            else:
                value = _row_products(own.weight, units, value, group)
                error = _row_products(magnitude, units, error, group)
                value[:, 2] += own.bias[units]
                error[:, 2] += gamma * bias_magnitude[units]
            # A partial sum that overflows need not have the value's sign, nor a large bound.
            error = np.where(np.isfinite(value), error * 1.01 + _TINY, np.inf)
        return Balls(value, error)


def _row_products(weight: Matrix, units: IntArray, forms: FloatArray, group: IntArray) -> FloatArray:
    """Rows `units` (k,) of a matrix times forms (inputs, 3, faces), row k those of face ``group[k]``, (k, 3)."""
    result = np.zeros((len(units), 3))
    if is_sparse(weight):
        rows = weight[units]
        sizes = np.diff(rows.indptr)
        products = rows.data[:, None] * forms[rows.indices, :, np.repeat(group, sizes)]
        filled = np.flatnonzero(sizes)
        result[filled] = np.add.reduceat(products, rows.indptr[filled], axis=0) if len(filled) else 0.0
        return result
    step = max(1, _GROUP // len(forms))
    for first in range(0, len(units), step):
        some = slice(first, first + step)
        result[some] = np.einsum("kn,nck->kc", weight[units[some]], forms[:, :, group[some]])
    return result


def part(balls: Balls, chosen: IntArray | slice) -> Balls:
    """Some rows."""
    return Balls(balls.value[chosen], balls.error[chosen])


def border_ball(line: Line) -> Balls:
    """A border side with exact integer coefficients, scaled to magnitude 1 and rounded, (3,)."""
    largest = max(abs(v) for v in line)
    value = np.array([v / largest for v in line])
    return Balls(value, np.abs(value) * _ULP + _TINY)


def cross(p: Balls, q: Balls) -> Balls:
    """Where lines (k, 3) cross, last coordinates positive; errors are infinite where they may be parallel."""
    i, j = np.array([1, 2, 0]), np.array([2, 0, 1])
    a, b = p.value[:, i] * q.value[:, j], p.value[:, j] * q.value[:, i]
    error = _product_error(p, q, i, j) + _product_error(p, q, j, i) + 2 * _ULP * (np.abs(a) + np.abs(b)) + _TINY
    value = a - b
    unknown = ~(np.abs(value[:, 2]) > error[:, 2])
    value[value[:, 2] < 0] *= -1
    value[unknown], error[unknown] = 0.0, np.inf
    return Balls(value, error)


def _product_error(p: Balls, q: Balls, i: IntArray, j: IntArray) -> FloatArray:
    size = np.abs(p.value[:, i]) * q.error[:, j] + p.error[:, i] * (np.abs(q.value[:, j]) + q.error[:, j])
    return np.asarray(size * 1.01)


def travel(own: Balls, points: Balls) -> Balls:
    """How far points (k, 3) lie along the line `own` (3,), positive side on the right, (k,); see `exact.travel`."""
    a, b, da, db = own.value[0], own.value[1], own.error[0], own.error[1]
    x, y, w = points.value.T
    dx, dy, dw = points.error.T
    with np.errstate(all="ignore"):
        value = (a * y - b * x) / w
        size = np.abs(a * y) + np.abs(b * x)
        error = abs(a) * dy + da * (np.abs(y) + dy) + abs(b) * dx + db * (np.abs(x) + dx) + 4 * _ULP * size
        # What underflows is divided, too.
        error = (error + np.abs(value) * dw + _TINY) / (w - dw) * 1.01 + np.abs(value) * 2 * _ULP + _TINY
    known = (w > dw) & np.isfinite(value) & np.isfinite(error)
    return Balls(np.where(known, value, 0.0), np.where(known, error, np.inf))


def signs_at(lines: Balls, points: Balls) -> IntArray:
    """Signs of forms (k, 3) at points (k, 3): -1 or 1, and 0 where in doubt, (k,)."""
    products = lines.value * points.value
    value = products.sum(axis=1)
    size = np.abs(lines.value)
    error = size * points.error + lines.error * (np.abs(points.value) + points.error) + 4 * _ULP * np.abs(products)
    certain = np.isfinite(value) & (np.abs(value) > error.sum(axis=1) * 1.01 + _TINY)
    return np.where(certain, np.sign(value), 0).astype(np.int64)
