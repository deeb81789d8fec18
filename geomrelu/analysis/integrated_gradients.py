"""Integrated gradients, exactly: attributions to a network's inputs along straight lines.

The attribution of output f to input i at x, with baseline x', is (Sundararajan, Taly, Yan, "Axiomatic
Attribution for Deep Networks", 2017)

    IG_i = (x_i - x'_i) * integral of df/dx_i (x' + t (x - x')) over t from 0 to 1.

Libraries sum a few dozen samples of the gradient.  The gradient is constant on each piece of the segment, so
the integral is the sum over the exact pieces of length times gradient.  No map of all inputs is made for a
piece: gradients in the units of the first layer are summed first, one product a segment takes the sum to the inputs.
That is one more product a layer, backwards, for every piece: about as much again as the pieces themselves cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, real_array
from geomrelu.domain import Segments
from geomrelu.errors import InputDimensionError, InputError, ShapeError
from geomrelu.linear.build import build_linear
from geomrelu.linear.complex import LinearComplex
from geomrelu.linear.maps import maps_behind_first
from geomrelu.matrices import dense_rows
from geomrelu.network import Layer, Network

__all__ = ["integrated_gradients"]

# Numbers in a batch of gradients of the first layer's units.
_BATCH = 1 << 22
# Segments that are partitioned together.
_SEGMENTS = 256


def integrated_gradients(
    network: Network, x: npt.ArrayLike, baseline: npt.ArrayLike, output: int | npt.ArrayLike | None = None
) -> FloatArray:
    """See `geomrelu.integrated_gradients`."""
    ends = _inputs(network, x, baseline)
    outputs = _outputs(network, output, len(ends[0]))
    shape = ends[0].shape[1:]
    start, end = (v.reshape(len(v), network.n_inputs) for v in ends)
    n_out = network.n_outputs if outputs is None else 1
    result = np.zeros((len(end), n_out, network.n_inputs))
    # Where x is its own baseline there is nothing to attribute.
    moved = (start != end).any(axis=1)
    for output in [None] if outputs is None else np.unique(outputs).tolist():
        rows = np.flatnonzero(moved if outputs is None else moved & (outputs == output))
        asked = network if output is None else _with_output(network, output)
        for first in range(0, len(rows), _SEGMENTS):
            some = rows[first : first + _SEGMENTS]
            p = build_linear(network, Segments(start[some], end[some]))
            result[some] = _mean_gradients(p, asked) * (end[some] - start[some])[:, None]
    return result.reshape(-1, *([n_out] if outputs is None else []), *shape)


def _with_output(network: Network, output: int) -> Network:
    """The network with one of its outputs only."""
    last = network.output
    chosen = Layer(dense_rows(last.weight, np.array([output])), last.bias[[output]], 0)
    return Network.from_layers([*network.hidden, chosen])


def _mean_gradients(p: LinearComplex, network: Network) -> FloatArray:
    """Integrals over t of the gradients of a network's outputs on the pieces, (S, out, n_inputs)."""
    first, n_segments, n_out = network.layers[0], p.n_segments, network.n_outputs
    if not network.hidden:
        return np.broadcast_to(dense_rows(first.weight, slice(None)), (n_segments, *first.weight.shape))
    total = np.zeros((n_segments, n_out, first.n_units))
    tail = Network.from_layers(network.layers[1:])
    step = max(1, _BATCH // (n_out * max(layer.n_inputs for layer in tail.layers)))
    for start in range(0, p.n_regions, step):
        some = slice(start, start + step)
        slopes = maps_behind_first(network, tail, p.patterns[some]).A * p.lengths[some][:, None, None]
        present, starts = np.unique(p.segment[some], return_index=True)
        total[present] += np.add.reduceat(slopes, starts, axis=0)
    flat = total.reshape(n_segments * n_out, -1) @ first.weight
    return np.asarray(flat).reshape(n_segments, n_out, -1)


def _inputs(network: Network, x: npt.ArrayLike, baseline: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Baselines and inputs, both (N, *input_shape)."""
    inputs = real_array(x, "integrated_gradients: x", "leave out the others")
    base = real_array(baseline, "integrated_gradients: baseline", "give finite numbers")
    if inputs.ndim < 2 or (len(inputs) and inputs[0].size != network.n_inputs):
        raise InputDimensionError(
            f"integrated_gradients: got x of shape {inputs.shape}; expected N inputs of {network.n_inputs} numbers "
            "each along the first axis; a single input is written x[None]"
        )
    if base.shape not in ((), inputs.shape[1:], inputs.shape):
        raise ShapeError(
            f"integrated_gradients: got a baseline of shape {base.shape}; expected a number, one input "
            f"{inputs.shape[1:]}, or one for each, {inputs.shape}"
        )
    return np.broadcast_to(base, inputs.shape), inputs


def _outputs(network: Network, output: Any, n: int) -> IntArray | None:
    """The output of each input, (N,); None for all outputs."""
    if output is None:
        return None
    given = np.asarray(output)
    fits = given.dtype.kind in "iu" and given.shape in ((), (n,))
    if not fits or (given.size and not (given.min() >= 0 and given.max() < network.n_outputs)):
        raise InputError(
            f"integrated_gradients: got output={output!r}; expected a number from 0 to {network.n_outputs - 1}, one "
            "for each input, or None for all outputs"
        )
    return np.broadcast_to(given, (n,)).astype(np.int64)
