"""Exact affine forms and signs in integers: the court of last resort, and the tests' judge.

Floating-point weights are dyadic rationals.  Layer l's weights are scaled by 2^K_l to
integers and its biases by 2^(K_0 + ... + K_l), where K_l is large enough for both.  ReLU is
positively homogeneous, so with a pattern given, every unit's preactivation, times a positive
power of two, is an affine form A x + B y + C with integer coefficients.

A line is such a triple of integers (A, B, C).  A point is a triple (X, Y, W) with W > 0 that
stands for (X / W, Y / W); the point where two lines cross is their cross product.  So the
sign of a neuron at a vertex is the sign of an integer.
"""

from __future__ import annotations

from collections import OrderedDict
from copy import copy
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray, IntArray, WordArray, row_ids
from geomrelu.errors import RangeError
from geomrelu.matrices import Matrix, entries, is_sparse
from geomrelu.network import Network
from geomrelu.patterns import Patterns, layer_bits, word_starts

__all__ = [
    "ExactForms",
    "Line",
    "Point",
    "border_line",
    "certain_bits",
    "clear_irrelevant",
    "crossing",
    "dyadic_point",
    "exact_maps",
    "exact_signs",
    "exponent",
    "integers",
    "scaled",
    "sign_at",
    "travel",
    "words_between",
]

Line: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[int, int, int]
_Objects: TypeAlias = npt.NDArray[np.object_]

# Cached rows of forms over all faces; a row is three integers.
_CACHED_ROWS = 400_000


def exponent(values: FloatArray) -> int:
    """Least K >= 0 such that all values times 2^K are integers."""
    mantissa, power = np.frexp(values[values != 0])
    if mantissa.size == 0:
        return 0
    whole = (mantissa * 2.0**53).astype(np.int64)
    # Trailing zeros of the 53-bit mantissa need no scaling.
    trailing = np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    return max(0, int((53 - power - trailing).max()))


def scaled(values: FloatArray, exponent: int) -> _Objects:
    """Values times 2^exponent, which are integers, as Python integers."""
    mantissa, power = np.frexp(values)
    whole = (mantissa * 2.0**53).astype(np.int64).astype(object)
    shift = power.astype(np.int64) - 53 + exponent
    if (shift >= 0).all():
        return np.asarray(whole << shift.astype(object))
    # What a negative shift drops are zeros.
    return np.asarray(np.where(shift >= 0, whole << np.maximum(shift, 0).astype(object),
                               whole >> np.maximum(-shift, 0).astype(object)))  # fmt: skip


def integers(values: FloatArray) -> tuple[_Objects, int]:
    """Values times a power of two that makes them integers, in the same shape, and the exponent."""
    power = exponent(values)
    return scaled(values, power), power


class ExactForms:
    """A network's preactivations as exact affine forms of its d inputs, integers (d + 1,), the constant last.

    Parameters
    ----------
    network : Network
        In the plane d = 2; see `behind` for networks of more inputs.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.starts = word_starts(network.widths)
        self._weights: list[_Objects] = []
        self._biases: list[_Objects] = []
        self.scales: list[int] = []
        scale = 0
        for layer in network.layers:
            values = entries(layer.weight)
            step = max(exponent(values), exponent(layer.bias) - scale)
            scale += step
            whole = scaled(values, step)
            # Of a sparse matrix the stored entries only, in its order.
            self._weights.append(whole if is_sparse(layer.weight) else whole.reshape(layer.weight.shape))
            self._biases.append(scaled(layer.bias, scale))
            self.scales.append(scale)
        self._inputs: _Objects | None = None
        self._cache: OrderedDict[tuple[int, bytes], _Objects] = OrderedDict()
        self._cached_rows = 0

    def behind(self, inputs: _Objects, exponent: int) -> ExactForms:
        """The same network's forms of other variables, of which its inputs are affine forms.

        Parameters
        ----------
        inputs : (n_inputs, d + 1) integers
            Times ``2**-exponent``.
        """
        other = copy(self)
        other._inputs = inputs
        other._biases = [bias << exponent for bias in self._biases]
        other.scales = [scale + exponent for scale in self.scales]
        other._cache, other._cached_rows = OrderedDict(), 0
        return other

    def forms(self, layer: int, words: WordArray) -> _Objects:
        """All units' forms in a layer, integers times ``2**-scales[layer]``, shape (units, d + 1).

        `words` is one packed pattern; only the bits of the layers before are used.
        """
        key = (layer, words[: self.starts[layer]].tobytes())
        found = self._cache.get(key)
        if found is None:
            found = self._compute(layer, words, slice(None))
            self._cache[key] = found
            self._cached_rows += len(found)
            while self._cached_rows > _CACHED_ROWS and len(self._cache) > 1:
                self._cached_rows -= len(self._cache.popitem(last=False)[1])
        else:
            self._cache.move_to_end(key)
        return found

    def row(self, layer: int, unit: int, words: WordArray) -> list[int]:
        """One unit's form, positive where the unit is, (d + 1,)."""
        return [int(v) for v in self._rows(layer, np.array([unit]), words)[0]]

    def line(self, layer: int, unit: int, words: WordArray) -> Line:
        """One unit's form in the plane."""
        a, b, c = self.row(layer, unit, words)
        return a, b, c

    def output_map(self, words: WordArray) -> _Objects:
        """The output map under a pattern, integers times ``2**-scales[-1]``, shape (outputs, d + 1)."""
        return self.forms(len(self.network.layers) - 1, words)

    def _rows(self, layer: int, units: IntArray, words: WordArray) -> _Objects:
        """Some units' forms, (k, d + 1): from those of the whole layer if these are there."""
        found = self._cache.get((layer, words[: self.starts[layer]].tobytes()))
        return found[units] if found is not None else self._compute(layer, words, units)

    def _compute(self, layer: int, words: WordArray, units: IntArray | slice) -> _Objects:
        network, bias = self.network, self._biases[layer][units]
        matrix = network.layers[layer].weight
        if layer == 0:
            return self._first_forms(units, bias)
        before = network.layers[layer - 1]
        bits = layer_bits(words, self.starts[layer - 1], before.n_neurons)
        kept = np.concatenate([bits != 0, np.ones(before.n_units - before.n_neurons, dtype=bool)])
        if is_sparse(matrix):
            offsets, columns, values = _chosen(matrix, self._weights[layer], units)
            forms = self._sparse_forms(layer, words, kept, offsets, columns, values)
        elif not kept.any():
            forms = np.zeros((len(bias), self.n_variables + 1), dtype=object)
        else:
            forms = self._weights[layer][units][:, kept] @ self.forms(layer - 1, words)[kept]
        forms[:, -1] += bias
        return forms

    @property
    def n_variables(self) -> int:
        """Number of variables, d."""
        return self.network.n_inputs if self._inputs is None else self._inputs.shape[1] - 1

    def _first_forms(self, units: IntArray | slice, bias: _Objects) -> _Objects:
        """Forms of units of the first layer."""
        matrix, weight, inputs = self.network.layers[0].weight, self._weights[0], self._inputs
        if is_sparse(matrix):
            if inputs is None:
                inputs = np.eye(matrix.shape[1], self.n_variables + 1, dtype=np.int64).astype(object)
            forms = _sums(*_chosen(matrix, weight, units), inputs)
        elif inputs is None:
            # Inputs carry no scale of their own, so the first layer's forms are its weights.
            return np.concatenate([weight[units], bias[:, None]], axis=1)
        else:
            forms = weight[units] @ inputs
        forms[:, -1] += bias
        return forms

    def _sparse_forms(
        self, layer: int, words: WordArray, kept: BoolArray, offsets: IntArray, columns: IntArray, values: _Objects
    ) -> _Objects:
        """Sparse rows times the forms of the layer before, of which few may be needed."""
        used = kept[columns]
        rows = row_ids(offsets)[used]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(offsets) - 1))]).astype(np.int64)
        needed, places = np.unique(columns[used], return_inverse=True)
        if 2 * len(needed) > len(kept):
            return _sums(offsets, columns[used], values[used], self.forms(layer - 1, words))
        return _sums(offsets, places, values[used], self._rows(layer - 1, needed, words))


def _chosen(matrix: Matrix, values: _Objects, units: IntArray | slice) -> tuple[IntArray, IntArray, _Objects]:
    """Rows of a sparse matrix whose entries have the given values: offsets, columns, values."""
    rows = np.arange(matrix.shape[0])[units]
    starts, sizes = matrix.indptr[:-1][rows].astype(np.int64), np.diff(matrix.indptr)[rows]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    places = np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])
    return offsets, matrix.indices[places].astype(np.int64), values[places]


def _sums(offsets: IntArray, columns: IntArray, values: _Objects, forms: _Objects) -> _Objects:
    """Sparse rows times forms (inputs, k), in integers, (rows, k)."""
    result = np.zeros((len(offsets) - 1, forms.shape[1]), dtype=object)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        products = values[:, None] * forms[columns]
        result[filled] = np.add.reduceat(products, offsets[:-1][filled], axis=0)
    return result


def words_between(network: Network, left: WordArray, right: WordArray) -> WordArray:
    """Patterns (k, words) under which the neuron of an edge has the form that vanishes on it.

    Those of the faces on its left; of a max pooling's neurons that do not matter there, on its
    right: between two winners each face knows its own one only.
    """
    if not network.has_pools:
        return left
    bits = [Patterns(left, network.widths).unpack(k) for k in range(len(network.hidden))]
    matters = Patterns.pack(np.concatenate(network.clear_irrelevant(bits), axis=1), network.widths).words
    return np.asarray((left & matters) | (right & ~matters))


def crossing(p: Line, q: Line) -> Point:
    """The point where two lines cross; W = 0 if they are parallel."""
    x, y, w = p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]
    return (-x, -y, -w) if w < 0 else (x, y, w)


def sign_at(line: Line, point: Point) -> int:
    """Sign of a form at a point: -1, 0 or 1."""
    value = line[0] * point[0] + line[1] * point[1] + line[2] * point[2]
    return (value > 0) - (value < 0)


def travel(line: Line, point: Point) -> Fraction:
    """How far a point lies along a line, in the direction that has the line's positive side on its right."""
    return Fraction(line[0] * point[1] - line[1] * point[0], point[2])


def dyadic_point(x: Any, y: Any) -> Point:
    """A floating-point coordinate pair as an exact point."""
    (a, b), (c, d) = float(x).as_integer_ratio(), float(y).as_integer_ratio()
    # Denominators are powers of two, so the larger one is common to both.
    w = max(b, d)
    return a * (w // b), c * (w // d), w


def border_line(p: FloatArray, q: FloatArray) -> Line:
    """The line through two floating-point corners, positive on the left of p -> q."""
    (px, py, pw), (qx, qy, qw) = dyadic_point(*p), dyadic_point(*q)
    return py * qw - qy * pw, pw * qx - px * qw, px * qy - py * qx


def certain_bits(network: Network, points: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Pattern bits of a float64 forward pass, and which of them are certain; both (N, n_neurons).

    The error of a layer is bounded by |W| times the error before plus gamma (|W| |h| + |b|):
    for all points together first, with the largest |h| of each neuron, and where that leaves a
    sign of a point open, once more for this point.
    """
    bits, clear = _bits_by_common_bound(network, points)
    certain = np.ones(bits.shape, dtype=bool)
    rest = np.flatnonzero(~clear)
    if len(rest) > 0:
        bits[rest], certain[rest] = _bits_by_own_bounds(network, points[rest])
    clear_irrelevant(network, bits, certain)
    return bits, certain


def clear_irrelevant(network: Network, bits: BoolArray, certain: BoolArray) -> None:
    """Clear bits that do not matter; a bit is certain where what decides on it is, and it is itself if it matters."""
    if not network.has_pools:
        return
    ends = np.cumsum(network.widths)[:-1]
    layers, sure = np.split(bits, ends, axis=1), np.split(certain, ends, axis=1)
    matters = network.clear_irrelevant(layers)
    for k in range(len(layers) - 2, -1, -1):
        relevant = network.layers[k].relevant
        if relevant is not None:
            some = np.flatnonzero(relevant[:, 0] >= 0)
            sure[k][:, some] = sure[k + 1][:, relevant[some, 0]] & (sure[k][:, some] | ~matters[k][:, some])


def _bits_by_common_bound(network: Network, points: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Pattern bits, and the points at which all are certain; a bound per neuron, shared by all points."""
    bits = np.zeros((len(points), network.n_neurons), dtype=bool)
    clear = np.ones(len(points), dtype=bool)
    if len(points) == 0:
        return bits, clear
    h, error, first = points, np.zeros(points.shape[1]), 0
    for layer in network.hidden:
        n = layer.n_neurons
        gamma = (layer.n_inputs + 2) * 2.0**-53 * 1.01
        with np.errstate(over="ignore", invalid="ignore"):
            size = np.maximum(h.max(axis=0), -h.min(axis=0))
            # The weights' signs say nothing of partial sums: with the bound, they stay finite.
            error = abs(layer.weight) @ (error + gamma * size) * 1.001 + gamma * np.abs(layer.bias) + 1e-290
            if not (error / gamma < 1e307).all():
                return bits, np.zeros(len(points), dtype=bool)
            u = h @ layer.weight.T
        u += layer.bias
        np.greater(u[:, :n], 0.0, out=bits[:, first : first + n])
        clear &= (np.abs(u[:, :n]) > error[:n]).all(axis=1)
        np.maximum(u[:, :n], 0.0, out=u[:, :n])
        h, first = u, first + n
    return bits, clear


def _bits_by_own_bounds(network: Network, points: FloatArray) -> tuple[BoolArray, BoolArray]:
    """`certain_bits` with a bound for every point and neuron."""
    h = points
    error = np.zeros_like(h)
    bits, certain = [], []
    for layer in network.hidden:
        gamma = (layer.n_inputs + 2) * 2.0**-53 * 1.01
        # What overflows has an infinite bound, or none: not certain.
        with np.errstate(over="ignore", invalid="ignore"):
            u = h @ layer.weight.T + layer.bias
            error = (error + gamma * np.abs(h)) @ abs(layer.weight).T * 1.001 + gamma * np.abs(layer.bias) + 1e-290
        n = layer.n_neurons
        # A partial sum that overflows need not have the value's sign, nor a large bound.
        error[~np.isfinite(u)] = np.inf
        bits.append(u[:, :n] > 0)
        certain.append(np.abs(u[:, :n]) > error[:, :n])
        h = u
        np.maximum(h[:, :n], 0.0, out=h[:, :n])
    empty = np.zeros((len(points), 0), dtype=bool)
    return np.concatenate([empty, *bits], axis=1), np.concatenate([empty, *certain], axis=1)


def exact_maps(network: Network, words: WordArray, forms: ExactForms | None = None) -> FloatArray:
    """Output maps under packed patterns (F, words), rounded once, (F, out, d + 1) float64, the constant last.

    Parameters
    ----------
    forms : ExactForms, optional
        The network's, if they are at hand or of other variables.

    Raises
    ------
    RangeError
        If an exact entry is too large for float64.
    """
    forms = ExactForms(network) if forms is None else forms
    unit = 1 << forms.scales[-1]
    result = np.empty((len(words), network.n_outputs, forms.n_variables + 1))
    for k, row in enumerate(words):
        for output, form in enumerate(forms.output_map(row)):
            bits = max(abs(int(v)) for v in form).bit_length() - forms.scales[-1]
            if bits > 1024:
                raise RangeError(
                    f"affine_maps: output {output}'s map has an entry above 2^{bits - 1} in a region; expected less "
                    "than 2^1024, what float64 holds; scale the network's last layer down"
                )
            # Division of integers rounds correctly, whatever their size.
            result[k, output] = [int(v) / unit for v in form]
    return result


def exact_signs(forms: ExactForms, point: FloatArray) -> IntArray:
    """Signs -1, 0, 1 of all neurons at one point, exactly, (n_neurons,)."""
    exact = dyadic_point(point[0], point[1])
    network = forms.network
    signs: list[int] = []
    for k, layer in enumerate(network.hidden):
        bits = np.zeros((1, network.n_neurons), dtype=bool)
        bits[0, : len(signs)] = np.array(signs, dtype=np.int64) > 0
        rows = forms.forms(k, Patterns.pack(bits, network.widths).words[0])
        signs.extend(sign_at((row[0], row[1], row[2]), exact) for row in rows[: layer.n_neurons])
    return np.array(signs, dtype=np.int64)
