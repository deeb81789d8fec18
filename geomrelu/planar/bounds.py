"""Bounds on the errors of a layer's values and of vertices' positions.

Two errors are kept apart, because one of them must never be amplified.

*Represented point.*  A vertex v is stored with a row z(v) of preactivations.  Besides its
true point x*(v), the exact crossing of its two lines, it has a represented point x'(v): a
corner of the domain represents itself, and a vertex made at the floating-point fraction t
between a and b represents (1 - t) x'(a) + t x'(b), in real arithmetic.

*Value error.*  For a face with v on its border, F is the face's affine map, extended to the
plane.  The value error bounds |z(v) - F(x'(v))|.  Between a and b, F is affine, so
interpolation does not amplify it: the new vertex has the larger of the two errors plus the
rounding of the interpolation.  A layer u = W h + b multiplies it by an operator norm and
adds its own rounding.  With unit roundoff u, gamma = n u / (1 - n u), and error d of h in
the 2-norm,

    |error of entry i| <= |W_i| d + gamma (|W_i| |h| + |b_i|)
    |error of the row| <= |W|_2 d + gamma (||W||_2 |h| + |b|)              (`rows.value_errors`)

for any order of summation, fused or not; gamma's n is the largest number of products in a sum
plus 20, which pays for the bias, the interpolation of four rows and their weights.  |W|_2 is
bounded by the Schatten norm (sum of sigma^16)^(1/16), ||W||_2, of the magnitudes, by the
Frobenius norm; of sparse matrices as `_sparse_norms` tells.  Rectification moves no two values apart.  A value that
is replaced by zero as that of one of the vertex's two neurons, or whose sign was decided
exactly against it, has its own magnitude added to d.  So has a value at a new vertex that may have, at the represented
point, another sign than at the true one: the faces around rectify it by the latter.

*Position error.*  Let g be the neuron's gradient in the face, `steepness` a bound on |g| (see
the module of that name).  The represented points of an edge's ends lie
within `distance` of the edge's true line, and the neuron's stored values at its ends fall
by |z(b) - z(a)|.  At the represented crossing the neuron's value is at most the residual r =
|(1 - t) z(a) + t z(b)| + error, and its slope along the line at least

    (|z(b) - z(a)| - 2 error - 2 |g| distance) / length,

so the true crossing is within distance + (r + |g| distance) / slope (`crossings.crossing_between`).
This `radius` is made afresh from the vertex's own two lines: it does not accumulate.  A new
edge's distance is its residual over a lower bound of its gradient.

A finished vertex keeps this bound plus the rounding of its coordinates as its entry of
`vertex_errors`.  Where it exceeds `PLACE_BOUND` of the domain's extent, or an estimate of the
error (as if values had only the rounding of their last product) exceeds `PLACE_ERROR`, the
vertex is computed again from its two lines, in ball arithmetic (`balls`) or exactly.

*Decisions.*  Neuron m has at the true vertex the sign of its stored value if that exceeds
error + steepness * radius, with the steepness of any face around, as all their maps agree
there.  Two crossings along an edge have the order of their fractions if these, times the
length, differ by more than the sum of their radii.

Bounds are themselves computed in floating point; the factor `SLACK` covers that.  Where a
partial sum may overflow the bound is infinite, so the signs are in doubt and decided exactly;
the constant `TINY` pays for underflow.

The method is the floating-point filter of exact geometric computation: J. R. Shewchuk,
"Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997;
the rounding model is that of N. J. Higham, "Accuracy and Stability of Numerical Algorithms".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray
from geomrelu.matrices import Matrix, entries, is_sparse
from geomrelu.network import Network
from geomrelu.planar.crossings import SLACK
from geomrelu.planar.records import LayerBounds
from geomrelu.planar.rows import TINY, value_errors

__all__ = [
    "PLACE_BOUND",
    "PLACE_ERROR",
    "blur",
    "bounded_errors",
    "last_rounding",
    "layer_bounds",
    "place_bound",
]

_UNIT_ROUNDOFF = 2.0**-53
# Multiplications that the bound on a sparse matrix's norm may cost.
_CHEAP_PRODUCT = 1e8
# Fourth powers of magnitudes above it do not underflow, nor do sums of those below its inverse overflow.
_SMALL = 1e-70
# Rounds up what is subnormal.
_LEAST = 2.0**-1070
# Vertices get tighter or exact coordinates where their position error is estimated to exceed the first
# of these shares of the domain's extent, or where its bound exceeds the second.
PLACE_ERROR = 2.0**-27
PLACE_BOUND = 2.0**-16


def layer_bounds(network: Network) -> list[LayerBounds]:
    """Bounds for each hidden layer."""
    result = []
    steepness = 1.0
    for layer in network.hidden:
        weight, scale = _in_range(layer.weight)
        rows, operator, magnitude = (
            float(norm) * scale * SLACK + _LEAST
            for norm in (_sparse_norms(weight) if is_sparse(weight) else _dense_norms(weight))
        )
        bias, bias_scale = _in_range(layer.bias)
        result.append(
            LayerBounds(
                (_most_terms(layer.weight) + 20) * _UNIT_ROUNDOFF * SLACK,
                rows,
                operator,
                magnitude,
                _largest(layer.bias),
                _norm(bias) * bias_scale * SLACK + _LEAST,
                max(rows * steepness * SLACK, TINY),
            )
        )
        # A product of small norms may underflow, and be multiplied by large ones later.
        steepness = max(steepness * operator, TINY)
    return result


def _largest(values: FloatArray) -> float:
    """The largest magnitude."""
    return max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))


def _in_range(values: Matrix) -> tuple[Matrix, float]:
    """Values over a factor, so that the largest ones' powers neither over- nor underflow."""
    largest = _largest(entries(values))
    return (values, 1.0) if largest == 0.0 or _SMALL < largest < 1.0 / _SMALL else (values / largest, largest)


def _most_terms(weight: Matrix) -> int:
    """Most products in the sum for one unit."""
    return int(np.diff(weight.indptr).max()) if is_sparse(weight) else int(weight.shape[1])


def _dense_norms(weight: FloatArray) -> tuple[float, float, float]:
    """Bounds on the rows' 2-norms, on the largest singular value, and on that of the magnitudes.

    The second is at most n^(1/16) times too large; the third is the Frobenius norm.
    """
    wide = weight.shape[1] >= weight.shape[0]
    gram = weight @ weight.T if wide else weight.T @ weight
    squares = gram.diagonal()
    rows = squares if wide else np.einsum("ij,ij->i", weight, weight)
    # With G = |G| U in the Frobenius norm and the 2-norm ||.||: ||W||^2 = |G| ||U||, and ||U||^2 = ||U^2||.
    size = _norm(gram)
    if size > 0.0:
        square, square_size, error = _unit_square(gram / size)
        _, fourth_size, fourth_error = _unit_square(square)
        size *= (square_size * (fourth_size + fourth_error) ** 0.5 + error) ** 0.5
    operator = size**0.5
    return float(rows.max()) ** 0.5, operator, float(squares.sum()) ** 0.5


def _norm(values: FloatArray) -> float:
    """The 2-norm of all entries: numpy's own takes ten times as long for small arrays."""
    flat = values.ravel()
    return math.sqrt(np.dot(flat, flat))


def _unit_square(unit: npt.NDArray[np.floating[Any]]) -> tuple[npt.NDArray[np.float32], float, float]:
    """The square of a symmetric matrix of Frobenius norm 1: scaled to norm 1, the norm it had, and its error.

    In single precision, which is twice as fast.  The error bounds the Frobenius norm of what is
    lost by rounding the matrix, its product with n terms a sum, and the scaling.
    """
    rounded = unit.astype(np.float32)
    square = rounded @ rounded.T
    size = _norm(square.astype(np.float64))
    return square / np.float32(size), size, (len(unit) + 8) * 2.0**-24


def _sparse_norms(weight: Matrix) -> tuple[float, float, float]:
    """The same for a sparse matrix.

    For any x > 0 the largest singular value of M = |W| is at most max_i ((M^T M x)_i / x_i)^(1/2)
    (Collatz, Wielandt); x comes from a few steps of power iteration.  That of W is at most the
    largest row sum of |W W^T|^(1/2) (Gershgorin), where that product is cheap; what it rounds
    is paid for by a share of M's.
    """
    squares = (weight * weight).sum(axis=1)
    size = abs(weight)
    x = np.ones(weight.shape[1])
    magnitude = np.inf
    for _ in range(20):
        y = size.T @ (size @ x)
        used = y > 0
        magnitude = min(magnitude, float((y[used] / x[used]).max(initial=0.0)))
        # Inputs that no unit reads count for nothing, but x stays positive.
        x = np.maximum(y / y.max(), 1e-6) if used.any() else x
    magnitude = float(np.sqrt(magnitude))
    operator = magnitude
    columns = np.bincount(weight.indices, minlength=weight.shape[1])
    if float((columns.astype(np.float64) ** 2).sum()) < _CHEAP_PRODUCT:
        gram = np.sqrt(abs(weight @ weight.T).sum(axis=1).max(initial=0.0) + 1e-9 * magnitude**2)
        operator = min(operator, float(gram))
    return float(np.sqrt(squares.max(initial=0.0))), operator, min(magnitude, float(np.sqrt(squares.sum())))


def bounded_errors(bounds: LayerBounds, h_norm: FloatArray, h_error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bounds on the error of each entry of rows' values, and on its 2-norm, (V,) each."""
    entry, row = np.empty(len(h_norm)), np.empty(len(h_norm))
    value_errors(bounds, 1.0, h_norm, h_error, entry, row)
    return entry, row


def last_rounding(bounds: LayerBounds, h_norm: FloatArray) -> FloatArray:
    """Estimate (no bound) of an entry's error from the rounding of the last product alone, (V,)."""
    return 2.0**-50 * (bounds.row_norm * h_norm + bounds.bias_max)


def blur(corners: FloatArray, layer: int) -> float:
    """Bound on the distance of stored coordinates from represented points, before a layer's cut."""
    return 32.0 * (layer + 1) * _UNIT_ROUNDOFF * float(np.abs(corners).max()) + TINY


def place_bound(corners: FloatArray) -> float:
    """What no finished vertex's `vertex_errors` exceeds."""
    return float(PLACE_BOUND * np.ptp(corners, axis=0).max())
