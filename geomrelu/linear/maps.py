"""Affine maps of t along segments, from activation patterns, batched.

Under a pattern the output is M h + m in the units h of the first layer, and those are
W (a + t (b - a)) + c: so the map of t takes one product a segment with the wide first layer, and the
maps of x are never needed.
"""

from __future__ import annotations

import numpy as np

from geomrelu.affine import AffineMaps, affine_maps, may_underflow
from geomrelu.arrays import FloatArray, IntArray
from geomrelu.exact import exact_maps
from geomrelu.linear.settle import Judge
from geomrelu.network import Network
from geomrelu.patterns import Patterns, word_starts

__all__ = ["maps_along", "maps_behind_first"]

# Numbers in a batch of maps of the first layer's units.
_BATCH = 1 << 22


def maps_along(
    network: Network, patterns: Patterns, segment: IntArray, a: FloatArray, b: FloatArray, judge: Judge
) -> AffineMaps:
    """Output maps t -> A t + b under patterns (P,) on the given segments, (P, out, 1) and (P, out).

    Raises
    ------
    RangeError
        If an exact entry is too large for float64.
    """
    first, n_out = network.layers[0], network.n_outputs
    slopes, constants = np.empty((len(patterns), n_out)), np.empty((len(patterns), n_out))
    with np.errstate(over="ignore", invalid="ignore"):
        along, base = (b - a) @ first.weight.T, a @ first.weight.T + first.bias
        if not network.hidden:
            slopes[:], constants[:] = along[segment], base[segment]
        else:
            tail = Network.from_layers(network.layers[1:])
            step = max(1, _BATCH // (n_out * first.n_units))
            for start in range(0, len(patterns), step):
                some = slice(start, start + step)
                maps = maps_behind_first(network, tail, patterns[some])
                slopes[some] = np.einsum("pou,pu->po", maps.A, along[segment[some]])
                constants[some] = np.einsum("pou,pu->po", maps.A, base[segment[some]]) + maps.b
    finite = np.isfinite(slopes).all(axis=1) & np.isfinite(constants).all(axis=1)
    for p in np.flatnonzero(~finite | may_underflow(network)).tolist():
        form = exact_maps(network, patterns.words[p][None], judge.forms(int(segment[p])))[0]
        slopes[p], constants[p] = form.T
    return AffineMaps(slopes[:, :, None], constants)


def maps_behind_first(network: Network, tail: Network, patterns: Patterns) -> AffineMaps:
    """Output maps of the first layer's units, before they are rectified, (P, out, units) and (P, out).

    `tail` is the network without its first layer.
    """
    first = network.layers[0]
    starts = word_starts(network.widths)
    maps = affine_maps(tail, Patterns(patterns.words[:, starts[1] :], network.widths[1:]))
    with np.errstate(invalid="ignore"):
        maps.A[:, :, : first.n_neurons] *= patterns.unpack(0)[:, None, :]
    return maps
