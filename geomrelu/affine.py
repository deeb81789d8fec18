"""Affine maps of the output, from activation patterns, batched.

Under a pattern a network is affine: x -> A x + b.  The maps are computed in float64 as a chain of
products of the rectified weights.  From the output towards the input it costs about one forward
pass per output and region.  From the input on it would cost one per input and one for b; but regions
that come after one another in a partition mostly agree in the first layers, whose products are then
made once for a run of regions: with L layers of equal width that leaves about 1 / 3 - 1 / (6 L) of
the work.  So networks with at least as many outputs as inputs go that way.  Either way the relative
error of an entry is that of a chain of matrix products: about (sum of the widths) * 2^-53 times the
product of the absolute values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from geomrelu.arrays import FloatArray, IntArray, frozen
from geomrelu.errors import InputError, RangeError
from geomrelu.matrices import Matrix, dense_rows, entries
from geomrelu.network import Layer, Network
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
    """Whether a product of `affine_maps` may fall below float64's range and be multiplied up again later."""
    if _from_inputs(network):
        return False
    layers = network.layers[::-1]
    return any(
        max(np.abs(entries(v.weight)).max(initial=0.0), np.abs(v.bias).max()) > 1
        for k in _small_products(layers)
        for v in layers[k + 1 :]
    )


def _small_products(layers: Sequence[Layer]) -> list[int]:
    """Of which layers the product up to them, in the order given, may be too small; the last one's is the result."""
    log_product, found = 0.0, []
    for k, layer in enumerate(layers[:-1]):
        largest = float(np.abs(entries(layer.weight)).max(initial=0.0))
        log_product += float(np.log2(largest)) if largest > 0 else 0.0
        if log_product < _LEAST_EXPONENT:
            found.append(k)
    return found


def _from_inputs(network: Network) -> bool:
    """Whether products begin at the input: where they cost less, and lose nothing to underflow."""
    return network.n_outputs >= network.n_inputs and not _small_products(network.layers)


def _products(network: Network, patterns: Patterns, magnitudes: bool) -> tuple[FloatArray, FloatArray]:
    n_out, n_faces, forward = network.n_outputs, len(patterns), _from_inputs(network)
    slopes = np.empty((n_faces, n_out, network.n_inputs))
    intercepts = np.empty((n_faces, n_out))
    widest = max(layer.n_units for layer in network.layers) if forward else max(v.n_inputs for v in network.layers)
    block = max(1, _BLOCK // ((network.n_inputs + 1 if forward else n_out) * widest))
    layers = [(abs(v.weight), np.abs(v.bias)) if magnitudes else (v.weight, v.bias) for v in network.layers]
    neurons, tiny = [layer.n_neurons for layer in network.hidden], _TINY if magnitudes else 0.0
    multiply = _multiplied_up if forward else _multiplied_down
    for first in range(0, n_faces, block):
        own = slice(first, first + block)
        with np.errstate(over="ignore", invalid="ignore"):
            slopes[own], intercepts[own] = multiply(layers, neurons, patterns[own], tiny)
    return slopes, intercepts


def _multiplied_down(
    layers: list[tuple[Matrix, FloatArray]], neurons: list[int], patterns: Patterns, tiny: float
) -> tuple[FloatArray, FloatArray]:
    """Maps of some patterns, from the output on."""
    weight, bias = layers[-1]
    m, n_out = len(patterns), len(bias)
    product = np.broadcast_to(dense_rows(weight, slice(None)), (m, *weight.shape))
    intercept = np.broadcast_to(bias, (m, n_out)).copy()
    for k in range(len(layers) - 2, -1, -1):
        gated = product.copy()
        # Infinity times 0 is NaN: an overflow anywhere shows in the result.
        gated[:, :, : neurons[k]] *= patterns.unpack(k)[:, None, :]
        weight, bias = layers[k]
        intercept += gated @ bias
        product = (gated.reshape(m * n_out, -1) @ weight).reshape(m, n_out, -1)
        if tiny:
            intercept += tiny
            product += tiny
    return product, intercept


def _multiplied_up(
    layers: list[tuple[Matrix, FloatArray]], neurons: list[int], patterns: Patterns, tiny: float
) -> tuple[FloatArray, FloatArray]:
    """Maps of some patterns, from the input on: each layer's once for a run of patterns that agree up to it."""
    weight, bias = layers[0]
    d = weight.shape[1]
    # Transposed, the intercept as a last row: (runs, d + 1, units).
    product = np.vstack([dense_rows(weight, slice(None)).T, bias])[None]
    run = np.zeros(len(patterns), dtype=np.int64)
    for k in range(len(layers) - 1):
        words = patterns.words[:, patterns.starts[k] : patterns.starts[k + 1]]
        new = np.append(True, (run[1:] != run[:-1]) | (words[1:] != words[:-1]).any(axis=1))
        first = np.flatnonzero(new)
        gated = product[run[first]]
        gated[:, :, : neurons[k]] *= patterns[first].unpack(k)[:, None, :]
        run = np.cumsum(new) - 1
        weight, bias = layers[k + 1]
        product = (gated.reshape(len(first) * (d + 1), -1) @ weight.T).reshape(len(first), d + 1, -1)
        product[:, d] += bias
        if tiny:
            product += tiny
    return product[run, :d].transpose(0, 2, 1), product[run, d]
