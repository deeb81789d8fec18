"""Patterns and maps of a `Network` at points, with the signs and digits that rounding leaves open.

An elementwise bound on each preactivation's error is carried through the layers:
``e' = |W| e + gamma (|W| |h| + |b|)``, with ``gamma = k u / (1 - k u)`` for sums of k terms
(Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1), and 0 behind a
neuron that is certainly inactive.  A preactivation smaller than its bound is doubtful.  Most
points are far from any doubt: the bound for the largest values of a batch settles those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import BoolArray, FloatArray
from geomrelu.exact import clear_irrelevant
from geomrelu.network import Network
from geomrelu.patterns import Patterns
from geomrelu.sampling.tensors import (
    LocalMaps,
    TensorLayer,
    affine_step,
    as_numpy,
    batches,
    local_maps,
    plain_forward,
    rectified,
    tensor_layer,
    torch_device,
)

if TYPE_CHECKING:
    import torch

__all__ = ["Trace", "doubtful_signs", "trace", "value_errors"]

# Pays for products that underflow.
_UNDERFLOW = 1e-290
_UNIT_ROUNDOFF = 2.0**-53


@dataclass(frozen=True, eq=False)
class Trace:
    """What a float64 forward and backward pass of a `Network` shows, with what rounding leaves open.

    Attributes
    ----------
    patterns : Patterns
        Activation pattern of each of N points as the pass saw it.
    doubtful : Patterns
        Bit 1 where rounding may have decided the sign of that preactivation.
    maps : LocalMaps
        Values, gradients and intercepts, from the same pass as the patterns.
    """

    patterns: Patterns
    doubtful: Patterns
    maps: LocalMaps


def trace(
    network: Network,
    points: npt.ArrayLike,
    position_error: float = 0.0,
    device: str | torch.device | None = None,
    chunk: int | None = None,
) -> Trace:
    """Patterns and maps of a `Network` at points by torch, with the signs that rounding leaves open.

    A preactivation is in doubt where it is smaller than its error bound; see the top of the module.

    Parameters
    ----------
    network : Network
    points : (N, d) array_like
    position_error : float
        Allowed error of each coordinate, to be counted into the bounds: signs that a move of
        that size could change are doubtful too.
    device, chunk
        As in `sample_maps`.

    Examples
    --------
    >>> f = Network([[[1.0, 0.1]], [[1.0]]])
    >>> t = trace(f, [[0.1, -1.0], [0.5, 0.0]])
    >>> t.doubtful.unpack().ravel().tolist(), t.patterns.unpack().ravel().tolist()
    ([True, False], [False, True])
    """
    import torch

    x = network._points(points)
    where = torch_device(device, None)
    parts = []
    with torch.inference_mode(False), torch.enable_grad():
        layers = [tensor_layer(layer, where) for layer in network.layers]
        for batch in batches(x, where, chunk):
            values, active, clear = _filtered_forward(layers, batch, position_error)
            unclear = np.flatnonzero(~clear)
            if len(unclear) > len(batch) // 2:
                parts.append(_bounded_trace(network, layers, batch, position_error))
                continue
            words, _ = _packed(network, [(own, own & False) for own in active], len(batch))
            part = _Words(words.copy(), np.zeros_like(words), *local_maps(batch, values))
            if len(unclear):
                again = batch.detach()[torch.from_numpy(unclear).to(where)].requires_grad_(True)
                for own, new in zip(part, _bounded_trace(network, layers, again, position_error), strict=True):
                    own[unclear] = new
            parts.append(part)
    patterns, doubtful, *maps = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Trace(Patterns(patterns, network.widths), Patterns(doubtful, network.widths), LocalMaps(*maps))


def value_errors(
    network: Network,
    points: npt.ArrayLike,
    position_error: float = 0.0,
    device: str | torch.device | None = None,
    chunk: int | None = None,
) -> FloatArray:
    """Bounds on the rounding errors of `trace`'s values, (N, out) float64; parameters as there.

    Examples
    --------
    >>> f = Network([[[1.0, 0.1]], [[1.0]]])
    >>> bool(0 < value_errors(f, [[0.1, 1.0]])[0, 0] < 1e-15)
    True
    """
    import torch

    x = network._points(points)
    where = torch_device(device, None)
    with torch.no_grad():
        layers = [tensor_layer(layer, where) for layer in network.layers]
        return np.concatenate(
            [as_numpy(_bounded_forward(layers, batch, position_error, [])[1]) for batch in batches(x, where, chunk)]
        )


def doubtful_signs(
    network: Network,
    points: npt.ArrayLike,
    position_error: float = 0.0,
    device: str | torch.device | None = None,
    chunk: int | None = None,
) -> Patterns:
    """`trace`'s doubtful signs alone, without gradients: bit 1 where rounding may have decided, (N,).

    Examples
    --------
    >>> f = Network([[[1.0, 0.1]], [[1.0]]])
    >>> doubtful_signs(f, [[0.1, -1.0], [0.5, 0.0]]).unpack().ravel().tolist()
    [True, False]
    """
    import torch

    x = network._points(points)
    where = torch_device(device, None)
    doubtful = []
    with torch.no_grad():
        layers = [tensor_layer(layer, where) for layer in network.layers]
        for batch in batches(x, where, chunk):
            signs: list[tuple[torch.Tensor, torch.Tensor]] = []
            _bounded_forward(layers, batch, position_error, signs)
            doubtful.append(_packed(network, signs, len(batch))[1])
    return Patterns(np.concatenate(doubtful), network.widths)


class _Words(NamedTuple):
    """A batch's share of a `Trace`, with packed words for its patterns."""

    patterns: npt.NDArray[np.uint64]
    doubtful: npt.NDArray[np.uint64]
    values: FloatArray
    gradients: FloatArray
    intercepts: FloatArray


def _bounded_trace(network: Network, layers: list[TensorLayer], x: torch.Tensor, position_error: float) -> _Words:
    """A batch's trace with a bound of its own for every preactivation."""
    signs: list[tuple[torch.Tensor, torch.Tensor]] = []
    values, _ = _bounded_forward(layers, x, position_error, signs)
    return _Words(*_packed(network, signs, len(x)), *local_maps(x, values))


def _filtered_forward(
    layers: list[TensorLayer], x: torch.Tensor, position_error: float
) -> tuple[torch.Tensor, list[torch.Tensor], BoolArray]:
    """Outputs, active neurons of each hidden layer, and the points at which no sign is in doubt, (N,).

    One bound per neuron serves the whole batch: `_bounded_forward`'s, for the largest sizes of
    its inputs and with all neurons active, so it is no smaller at any point.
    """
    import torch

    active: list[torch.Tensor] = []
    clear = torch.ones(len(x), dtype=torch.bool, device=x.device)
    if len(x) == 0:
        return plain_forward(layers, x), [x.new_zeros((0, layer.n_neurons)) > 0 for layer in layers[:-1]], _bool(clear)
    h, error = x, torch.full_like(x[:1], position_error, requires_grad=False)
    for weight, bias, n in layers[:-1]:
        u = affine_step(h, weight, bias)
        with torch.no_grad():
            terms = weight.shape[1] + 8
            gamma = terms * _UNIT_ROUNDOFF / (1 - terms * _UNIT_ROUNDOFF)
            size = torch.maximum(h.amax(dim=0), -h.amin(dim=0))
            # The factor pays for sums in another order.
            error = 1.001 * affine_step(error + gamma * size, weight.abs(), gamma * bias.abs()) + _UNDERFLOW
            v = u[:, :n]
            active.append(v > 0)
            # What is not a number is not clear.
            clear &= (v.abs() >= error[:, :n]).all(dim=1)
        h = rectified(u, n)
    return affine_step(h, layers[-1].weight, layers[-1].bias), active, _bool(clear)


def _bounded_forward(
    layers: list[TensorLayer],
    x: torch.Tensor,
    position_error: float,
    signs: list[tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and their error bounds; appends (active, doubtful) of each hidden layer to `signs`."""
    import torch

    h, error = x, torch.full_like(x, position_error, requires_grad=False)
    for index, (weight, bias, n) in enumerate(layers):
        u = affine_step(h, weight, bias)
        with torch.no_grad():
            # Terms of the sum, the bias, and room for the rounding of the bound itself.
            terms = weight.shape[1] + 8
            gamma = terms * _UNIT_ROUNDOFF / (1 - terms * _UNIT_ROUNDOFF)
            size = h if index and layers[index - 1].n_neurons == h.shape[1] else h.abs()
            error = affine_step(torch.add(error, size, alpha=gamma), weight.abs(), gamma * bias.abs())
            error += _UNDERFLOW * ((error > 0) | (u != 0))
            if index < len(layers) - 1:
                v, e = u[:, :n], error[:, :n]
                # Strictly smaller (the bound has room): where it is 0, the value 0 is exact.
                signs.append((v > 0, v.abs() < e))
                e.masked_fill_(v <= -e, 0.0)
        h = rectified(u, n) if index < len(layers) - 1 else u
    return h, error


def _bool(tensor: torch.Tensor) -> BoolArray:
    return np.asarray(tensor.cpu().numpy(), dtype=bool)


def _packed(
    network: Network, signs: list[tuple[torch.Tensor, torch.Tensor]], n: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Packed words of the (active, doubtful) neurons at n points; those that do not matter are neither."""
    empty = np.zeros((n, 0), dtype=bool)
    active, doubtful = (np.concatenate([empty, *(_bool(s[k]) for s in signs)], axis=1) for k in range(2))
    if network.has_pools:
        certain = ~doubtful
        clear_irrelevant(network, active, certain)
        doubtful = ~certain
    return Patterns.pack(active, network.widths).words, Patterns.pack(doubtful, network.widths).words
