"""Second opinion on signs in doubt: affine forms in double precision, entry by entry with a bound.

The bounds of `bounds` follow whole rows by norms and gradients by global constants, so they
overestimate: most signs in doubt are not close to zero.  Here the affine forms A x + B y + C
of a face are computed afresh, layer by layer, every entry with its own error bound:

    forms_l = W_l D forms_{l-1} + (0, 0, b_l),
    error_l = |W_l| D error_{l-1} + gamma (|W_l| D |forms_{l-1}| + (0, 0, |b_l|)),

D the pattern's gate and gamma = n u / (1 - n u) for n inputs and the bias (Higham, section
3.1).  A vertex is the cross product of its two lines, whose orientation must be certain; the
sign of a third form there is certain where the value exceeds the error that products of
balls carry.  What remains goes on to exact integers.  Faces share the forms of the layers
before, so a face costs one product of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, WordArray
from geomrelu.exact import Line
from geomrelu.network import Network
from geomrelu.patterns import layer_bits, word_starts

__all__ = ["BallForms", "Balls", "border_ball", "cross", "signs_at"]

_CACHED_ROWS = 1_000_000
_TINY = 1e-290
_ULP = 2.0**-52


class Balls(NamedTuple):
    """Triples with error bounds: affine forms or homogeneous points, both (..., 3)."""

    value: FloatArray
    error: FloatArray


class BallForms:
    """All units' affine forms under a pattern, with error bounds."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.starts = word_starts(network.widths)
        self._magnitudes = [(np.abs(v.weight), np.abs(v.bias)) for v in network.layers]
        self._cache: OrderedDict[tuple[int, bytes], Balls] = OrderedDict()
        self._cached_rows = 0

    def forms(self, layer: int, words: WordArray) -> Balls:
        """The forms of a layer's units (units, 3); only the bits of the layers before are used."""
        key = (layer, words[: self.starts[layer]].tobytes())
        found = self._cache.get(key)
        if found is not None:
            self._cache.move_to_end(key)
            return found
        found = self._compute(layer, words, slice(None))
        self._cache[key] = found
        self._cached_rows += len(found.value)
        while self._cached_rows > _CACHED_ROWS and len(self._cache) > 1:
            self._cached_rows -= len(self._cache.popitem(last=False)[1].value)
        return found

    def rows(self, layer: int, units: IntArray, words: WordArray) -> Balls:
        """The forms of some of a layer's units, (k, 3); cheaper than all where they are few."""
        found = self._cache.get((layer, words[: self.starts[layer]].tobytes()))
        if found is None and 4 * len(units) < self.network.layers[layer].n_units:
            return self._compute(layer, words, units)
        forms = self.forms(layer, words)
        return Balls(forms.value[units], forms.error[units])

    def _compute(self, layer: int, words: WordArray, units: IntArray | slice) -> Balls:
        own = self.network.layers[layer]
        weight, bias = own.weight[units], own.bias[units]
        if layer == 0:
            # The first layer's forms are its weights: exact.
            value = np.concatenate([weight, bias[:, None]], axis=1)
            return Balls(value, np.zeros_like(value))
        magnitude, bias_magnitude = (v[units] for v in self._magnitudes[layer])
        gamma = (own.n_inputs + 2) * 2.0**-53 * 1.01
        before = self.network.layers[layer - 1]
        below = self.forms(layer - 1, words)
        gate = np.ones((before.n_units, 1))
        gate[: before.n_neurons, 0] = layer_bits(words, self.starts[layer - 1], before.n_neurons)
        gated = gate * below.value
        value = weight @ gated
        value[:, 2] += bias
        error = magnitude @ (gate * below.error + gamma * np.abs(gated))
        error[:, 2] += gamma * bias_magnitude
        # A partial sum that overflows need not have the value's sign, nor a large bound.
        return Balls(value, np.where(np.isfinite(value), error * 1.01 + _TINY, np.inf))


def border_ball(line: Line) -> Balls:
    """A border side with exact integer coefficients, scaled to magnitude 1 and rounded."""
    largest = max(abs(v) for v in line)
    value = np.array([v / largest for v in line])
    return Balls(value, np.abs(value) * _ULP + _TINY)


def cross(p: Balls, q: Balls) -> Balls | None:
    """The point where two lines cross, with positive last coordinate; None if they may be parallel."""
    i, j = np.array([1, 2, 0]), np.array([2, 0, 1])
    a, b = p.value[i] * q.value[j], p.value[j] * q.value[i]
    error = _product_error(p, q, i, j) + _product_error(p, q, j, i) + 2 * _ULP * (np.abs(a) + np.abs(b)) + _TINY
    value = a - b
    if not abs(value[2]) > error[2]:
        return None
    return Balls(value if value[2] > 0 else -value, error)


def _product_error(p: Balls, q: Balls, i: IntArray, j: IntArray) -> FloatArray:
    return np.asarray(np.abs(p.value[i]) * q.error[j] + p.error[i] * (np.abs(q.value[j]) + q.error[j])) * 1.01


def signs_at(lines: Balls, points: Balls) -> IntArray:
    """Signs of forms (k, 3) at points (k, 3): -1 or 1, and 0 where in doubt, (k,)."""
    products = lines.value * points.value
    value = products.sum(axis=1)
    size = np.abs(lines.value)
    error = size * points.error + lines.error * (np.abs(points.value) + points.error) + 4 * _ULP * np.abs(products)
    certain = np.isfinite(value) & (np.abs(value) > error.sum(axis=1) * 1.01 + _TINY)
    return np.where(certain, np.sign(value), 0).astype(np.int64)
