"""Affine maps of the output, from activation patterns, batched.

Under a pattern a network is affine: x -> A x + b.  The maps are computed in float64 by
multiplying the rectified weights from the output towards the input, so a network with few
outputs costs about one forward pass per output and region.  The relative error of an entry
is that of a chain of matrix products: about (sum of the widths) * 2^-53 times the product of
the absolute values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, frozen
from geomrelu.errors import InputError, RangeError
from geomrelu.matrices import dense_rows, entries
from geomrelu.network import Network
from geomrelu.patterns import Patterns

__all__ = ["AffineMaps", "affine_map_errors", "affine_maps", "input_maps", "map_batches", "may_underflow"]

# Numbers per block of the running product: keeps a block's rows in cache.
_BLOCK = 1 << 18
# Gamma times it exceeds what underflow loses in a sum of products.
_TINY = 1e-290
# Products with entries as small as 2 to this power lose nothing that matters to underflow.
_LEAST_EXPONENT = -500


class AffineMaps(NamedTuple):
    """Affine maps x -> A x + b of F regions.

    Attributes
    ----------
    A : (F, out, in) float64
    b : (F, out) float64
    """

    A: FloatArray
    b: FloatArray


def affine_maps(network: Network, patterns: Patterns) -> AffineMaps:
    """The output maps under the given patterns, float64; not finite where a product overflows.

    Parameters
    ----------
    network : Network
    patterns : Patterns
        F patterns of the network's neurons.

    Examples
    --------
    >>> f = Network([[[1.0, 1.0]], [[2.0]]], [[0.5], [-1.0]])
    >>> maps = affine_maps(f, Patterns.pack([[True], [False]], f.widths))
    >>> maps.A.tolist(), maps.b.tolist()
    ([[[2.0, 2.0]], [[0.0, 0.0]]], [[0.0], [-1.0]])
    """
    return AffineMaps(*_products(network, patterns, magnitudes=False))


def affine_map_errors(network: Network, patterns: Patterns) -> AffineMaps:
    """Bounds on the errors of `affine_maps`, entry by entry, in the same shapes.

    Each entry of a chain of L products is wrong by at most gamma times the same chain of
    absolute values, gamma = n u / (1 - n u), n the sum of the inner dimensions plus the number
    of layers (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.5).  Each
    product of absolute values gets 1e-290 on top, which pays for underflow.  Infinite, or NaN,
    where products overflow.
    """
    n = sum(layer.n_inputs + 2 for layer in network.layers)
    gamma = n * 2.0**-53 * 1.01
    slopes, intercepts = _products(network, patterns, magnitudes=True)
    return AffineMaps(gamma * slopes + _TINY, gamma * intercepts + _TINY)


def input_maps(network: Network, patterns: Patterns) -> AffineMaps:
    """The maps of a network of any number of inputs under patterns, of which the first layers' bits may be none.

    Raises
    ------
    RangeError
        If an entry is not finite: too large for float64.
    """
    maps = affine_maps(network, Patterns(patterns.words, network.widths))
    finite = np.isfinite(maps.A).all(axis=(1, 2)) & np.isfinite(maps.b).all(axis=1)
    if not finite.all():
        raise RangeError(
            f"input_maps: the map of region {int(np.argmin(finite))} of those asked for overflows float64; scale the "
            "network's last layer down"
        )
    return AffineMaps(frozen(maps.A), frozen(maps.b))


def map_batches(
    network: Network, patterns: Patterns, ids: IntArray, size: int
) -> Iterator[tuple[IntArray, AffineMaps]]:
    """`input_maps` of some of the patterns, at most `size` at a time, with their numbers."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise InputError(f"input_map_batches: got size={size!r}; expected a whole number of regions, at least 1")
    chosen = (ids[first : first + size] for first in range(0, len(ids), int(size)))
    return ((some, input_maps(network, patterns[some])) for some in chosen)


def may_underflow(network: Network) -> bool:
    """Whether a product of the last layers may fall below float64's range and be multiplied up again later."""
    log_product = 0.0
    for k in range(len(network.layers) - 1, 0, -1):
        largest = float(np.abs(entries(network.layers[k].weight)).max(initial=0.0))
        log_product += float(np.log2(largest)) if largest > 0 else 0.0
        if log_product < _LEAST_EXPONENT:
            before = network.layers[:k]
            if any(max(np.abs(entries(v.weight)).max(initial=0.0), np.abs(v.bias).max()) > 1 for v in before):
                return True
    return False


def _products(network: Network, patterns: Patterns, magnitudes: bool) -> tuple[FloatArray, FloatArray]:
    n_out, n_faces = network.n_outputs, len(patterns)
    slopes = np.empty((n_faces, n_out, network.n_inputs))
    intercepts = np.empty((n_faces, n_out))
    widest = max(layer.n_inputs for layer in network.layers)
    block = max(1, _BLOCK // (n_out * widest))
    layers = [(abs(v.weight), np.abs(v.bias)) if magnitudes else (v.weight, v.bias) for v in network.layers]
    for first in range(0, n_faces, block):
        chosen = patterns[first : first + block]
        m = len(chosen)
        weight, bias = layers[-1]
        product = np.broadcast_to(dense_rows(weight, slice(None)), (m, *weight.shape))
        intercept = np.broadcast_to(bias, (m, n_out)).copy()
        for k in range(len(layers) - 2, -1, -1):
            n_neurons = network.layers[k].n_neurons
            gated = product.copy()
            # Infinity times 0 is NaN: an overflow anywhere shows in the result.
            with np.errstate(invalid="ignore"):
                gated[:, :, :n_neurons] *= chosen.unpack(k)[:, None, :]
            weight, bias = layers[k]
            with np.errstate(over="ignore", invalid="ignore"):
                intercept += gated @ bias
                product = (gated.reshape(m * n_out, -1) @ weight).reshape(m, n_out, -1)
            if magnitudes:
                intercept += _TINY
                product += _TINY
        slopes[first : first + block] = product
        intercepts[first : first + block] = intercept
    return slopes, intercepts
