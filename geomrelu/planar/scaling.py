"""Scales coordinates and units by powers of two, so that bounds by norms stay near what they bound.

Bounds on errors go by the norms of vectors and matrices (`bounds`), which add up what has nothing to do with each
other: with inputs in feet and in radians, h of size (6e4, 3) and weights of size (1e-5, 0.1), |W_i| |h| is 6e3 where
sum_j |W_ij h_j| is 1, and every sign is in doubt.  Units that are multiplied by powers of two, while the next
layer's columns are divided by them, leave the function, all signs and the rounding of all products as they are:
nothing is rounded, and rectification commutes with positive factors.  So the engine works on

    u'_l = S_l^-1 W_l S_(l-1) u'_(l-1) + S_l^-1 b_l

with diagonal S_l of powers of two.  With sizes h_j of units (of |W| ... |W| |x| + |b| over the domain) and c_j of the
next layer's columns, (sum (c_j s_j)^2) (sum (h_j / s_j)^2) is least for s_j = (h_j / c_j)^(1/2), where it is
(sum c_j h_j)^2, what the products themselves come to.  A layer is scaled where that gains a factor of `_GAIN` or more:
others have tighter norms (of orthonormal bases, say) as they are.  The plane's coordinates are scaled by the
domain's extents, as positions are bounded by distances, whatever their direction.  So are those of more dimensions
(`polyhedral`); a segment (`linear`) has places instead, and its inputs are units like others.

Where a number would leave float64's range, or lose bits to underflow, nothing is scaled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, row_ids
from geomrelu.matrices import Matrix, is_sparse
from geomrelu.network import Layer, Network
from geomrelu.planar.crossings import LEAST

__all__ = ["Scaled", "domain_exponents", "scaled", "shifted", "unit_exponents"]

# What scaling a layer's units must gain.
_GAIN = 4.0
# Axes are scaled where their extents differ by more than 2^2, or are beyond 2^+-100.
_SQUARE, _ORDINARY = 2, 100


class Scaled(NamedTuple):
    """A network and a domain's corners, scaled.

    Attributes
    ----------
    network : Network
    corners : (N, d) float64
    exponents : sequence of (units,) int64
        Of each layer's inputs: the units are those of the given network over 2^exponents.
    extent : float
        The domain's greatest extent, in units of that axis.
    """

    network: Network
    corners: FloatArray
    exponents: Sequence[IntArray]
    extent: float

    def back(self, points: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Points (k, d) and bounds on their errors (k,), scaled back; what underflows is rounded, and paid for."""
        axes = self.exponents[0]
        if not axes.any():
            return points, errors
        larger = np.ldexp(errors, int(axes.max())) + LEAST
        return np.ldexp(points, axes), np.where(errors > 0.0, larger, 0.0)


def domain_exponents(network: Network, corners: FloatArray) -> list[IntArray]:
    """Exponents of each layer's inputs for a domain with these corners, or others with the same extents, (N, d).

    Examples
    --------
    >>> f = Network([[[1e-4, 1e3], [1e-4, -1e3]], [[1.0, 1.0]]])
    >>> corners = np.array([[0.0, 0.0], [1e4, 0.0], [1e4, 1e-3], [0.0, 1e-3]])
    >>> scaled(f, corners, domain_exponents(f, corners)).corners.max(axis=0)
    array([0.61035156, 0.512     ])
    """
    axes = np.frexp(np.ptp(corners, axis=0))[1].astype(np.int64)
    if np.ptp(axes) <= _SQUARE and np.abs(axes).max() <= _ORDINARY:
        axes[:] = 0
    return [axes, *unit_exponents(network, np.abs(corners).max(axis=0))[1:]]


def unit_exponents(network: Network, size: FloatArray) -> list[IntArray]:
    """Exponents of each layer's inputs, where inputs are at most `size` (n_inputs,) in magnitude."""
    sizes, magnitudes = [size], [abs(layer.weight) for layer in network.hidden]
    # What over- or underflows gives no gain.
    with np.errstate(all="ignore"):
        for layer, magnitude in zip(network.hidden, magnitudes, strict=True):
            sizes.append(magnitude @ sizes[-1] + np.abs(layer.bias))
        result = [np.zeros(layer.n_inputs, dtype=np.int64) for layer in network.layers]
        # No sign is asked of the outputs, nor of what leads to them alone.
        for k in range(len(magnitudes) - 1, -1, -1):
            columns = magnitudes[k].T @ np.ldexp(1.0, -result[k + 1])
            result[k] = _balance(sizes[k], columns)
    return result


def _balance(size: FloatArray, columns: FloatArray) -> IntArray:
    """Exponents of units' factors (h / c)^(1/2); zeros where that gains little."""
    exponents = np.zeros(len(size), dtype=np.int64)
    products = size * columns
    most = products.max()
    if not (0.0 < most < np.inf):
        return exponents
    # Each sum over its largest term, so that squares stay in range.
    h, c = size / size.max(), columns / columns.max()
    norms = math.sqrt(np.dot(h, h) * np.dot(c, c))
    gain = norms / (products / most).sum() * (size.max() / most * columns.max())
    if not gain > _GAIN:
        return exponents
    # A unit that nothing reads, or that is zero, is to be no larger than the largest product.
    h = np.where(size > 0, size, most / columns)
    c = np.where(columns > 0, columns, most / size)
    used = (h > 0) & (c > 0) & np.isfinite(h) & np.isfinite(c)
    exponents[used] = np.rint((np.log2(h[used]) - np.log2(c[used])) / 2)
    return exponents


def scaled(network: Network, corners: FloatArray, exponents: Sequence[IntArray]) -> Scaled:
    """The network and the corners with each layer's inputs over 2^exponents; as they are where that is not exact."""
    extent = float(np.ptp(corners, axis=0).max())
    if any(own.any() for own in exponents):
        points = shifted(corners, -exponents[0])
        layers = _scaled_layers(network, exponents)
        if points is not None and layers is not None:
            own = Network.from_layers(layers, network.input_shape)
            return Scaled(own, points, exponents, float(np.ldexp(extent, -int(exponents[0].max()))))
    return Scaled(network, corners, [np.zeros_like(own) for own in exponents], extent)


def _scaled_layers(network: Network, exponents: Sequence[IntArray]) -> list[Layer] | None:
    layers = []
    after = [*exponents[1:], np.zeros(network.n_outputs, dtype=np.int64)]
    for layer, before, own in zip(network.layers, exponents, after, strict=True):
        weight, bias = _scaled_matrix(layer.weight, before, own), shifted(layer.bias, -own)
        if weight is None or bias is None:
            return None
        layers.append(Layer(weight, bias, layer.n_neurons, layer.relevant))
    return layers


def _scaled_matrix(matrix: Matrix, before: IntArray, after: IntArray) -> Matrix | None:
    """Columns times 2^before, rows over 2^after; None if that is not exact."""
    if not before.any() and not after.any():
        return matrix
    if not is_sparse(matrix):
        return shifted(matrix, before[None, :] - after[:, None])
    data = shifted(matrix.data, before[matrix.indices] - after[row_ids(matrix.indptr)])
    return None if data is None else type(matrix)((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def shifted(values: FloatArray, exponents: IntArray) -> FloatArray | None:
    """Values times 2^exponents; None if that is not exact."""
    with np.errstate(all="ignore"):
        result: FloatArray = np.ldexp(values, exponents)
        exact = np.array_equal(np.ldexp(result, -exponents), values)
    return result if exact else None
