"""Piecewise-linear functions of single numbers, and maxima, in rectifications and exact affine steps.

| function | as computed |
|---|---|
| leaky ReLU, slope a | r + a (x - r), r = relu(x) |
| abs | 2 relu(x) - x |
| clamp to [l, u] | l + relu(x - l) - relu(x - u) |
| softshrink | relu(x - t) - relu(-x - t) |
| max(a, b) | b + relu(a - b); of more, a tournament (`pooling`) |
| min(a, b) | a - relu(a - b) |

No product of a slope and a weight is rounded: steps whose product would be stay apart
(`importers.graph`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from geomrelu.errors import NotPiecewiseLinearError, ShapeError, UnsupportedLayerError
from geomrelu.importers.pooling import largest_of
from geomrelu.importers.tensors import Constant, Tensor, as_tensor, broadcast, fixed, is_constant, number, raw

__all__ = ["HANDLERS"]


def _relu(where: str, input: Any, inplace: bool = False) -> Tensor:
    tensor = as_tensor(input, where)
    return tensor.with_units(tensor.graph.relu(tensor.units))


def _leaky(tensor: Tensor, slope: Any) -> Tensor:
    graph, x = tensor.graph, tensor.units
    r = graph.relu(x)
    if np.all(slope == 0):
        return tensor.with_units(r)
    if np.all(slope == 1):
        return tensor
    return tensor.with_units(graph.combine([(1.0, r), (slope, graph.combine([(1.0, x), (-1.0, r)]))]))


def _leaky_relu(where: str, input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    return _leaky(as_tensor(input, where), number(negative_slope, where, "negative_slope"))


def _rrelu(where: str, input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
           inplace: bool = False) -> Tensor:  # fmt: skip
    if training:
        raise UnsupportedLayerError(f"{where}: RReLU in training mode is random; call model.eval() first")
    return _leaky(as_tensor(input, where), (lower + upper) / 2)


def _rrelu_with_noise(where: str, input: Any, noise: Any, lower: float = 1 / 8, upper: float = 1 / 3,
                      training: bool = False, generator: Any = None) -> Tensor:  # fmt: skip
    return _rrelu(where, input, lower, upper, training)


def _prelu(where: str, input: Any, weight: Any) -> Tensor:
    tensor, slope = as_tensor(input, where), fixed(weight, where, "slope")
    if slope.ndim <= 1 and slope.size != 1:
        channels = tensor.units.shape[1] if tensor.rank > 1 else 1
        if slope.size != channels:
            raise ShapeError(f"{where}: got {slope.size} slopes for {channels} channels; expected one each, or one")
        slope = slope.reshape(-1, *[1] * (tensor.rank - 2))
    else:
        slope = slope.reshape(()) if slope.size == 1 else slope
    shaped, (_, slopes) = broadcast([tensor, Constant(slope, where)], where)
    return _leaky(shaped, slopes)


def _clamp(where: str, input: Any, min: Any = None, max: Any = None) -> Any:
    if is_constant(input) and (is_constant(min) or min is None) and (is_constant(max) or max is None):
        return Constant(np.clip(raw(input), raw(min), raw(max)), where)
    lower = None if is_constant(min) and np.all(raw(min) == -np.inf) else min
    upper = None if is_constant(max) and np.all(raw(max) == np.inf) else max
    for bound, name in ((lower, "min"), (upper, "max")):
        if isinstance(bound, Tensor):
            raise UnsupportedLayerError(
                f"{where}: its {name} is computed from the input; write torch.maximum and torch.minimum instead"
            )
    values = [as_tensor(input, where), *(b for b in (lower, upper) if b is not None)]
    shaped, arrays = broadcast(values, where)
    low, high = (None if bound is None else arrays[at] for bound, at in ((lower, 1), (upper, -1)))
    return shaped.with_units(_clamped(shaped, low, high))


def _clamped(tensor: Tensor, lower: Any, upper: Any) -> Any:
    graph, x = tensor.graph, tensor.units
    if lower is not None and upper is not None:
        lower = np.minimum(lower, upper)  # torch's clamp is the upper bound where the bounds cross
    if lower is None and upper is None:
        return x
    if lower is None:
        return graph.combine([(1.0, x), (-1.0, graph.relu(graph.combine([(1.0, x)], -upper)))])
    above = graph.relu(graph.combine([(1.0, x)], -lower))
    if upper is None:
        return graph.combine([(1.0, above)], lower)
    beyond = graph.relu(graph.combine([(1.0, x)], -upper))
    return graph.combine([(1.0, above), (-1.0, beyond)], lower)


def _hardtanh(where: str, input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    return _clamp(where, input, min_val, max_val)


def _relu6(where: str, input: Any, inplace: bool = False) -> Any:
    return _clamp(where, input, 0.0, 6.0)


def _clamp_max(where: str, input: Any, max: Any) -> Any:
    return _clamp(where, input, None, max)


def _hardsigmoid(where: str, input: Any, inplace: bool = False) -> Tensor:
    """clamp(x, -3, 3) / 6 + 1/2, the factor the float64 number nearest to 1/6."""
    tensor = as_tensor(input, where)
    clamped = _clamped(tensor, np.float64(-3.0), np.float64(3.0))
    return tensor.with_units(tensor.graph.combine([(1 / 6, clamped)], 0.5))


def _threshold(where: str, input: Any, threshold: Any, value: Any, inplace: bool = False) -> Any:
    at, below = number(threshold, where, "threshold"), number(value, where, "value")
    if at != below:
        raise NotPiecewiseLinearError(
            f"{where}: jumps from {below} to {at} at {at}, so it is not continuous; "
            "expected threshold and value to be equal: nearest that works is ReLU or clamp(min=...)"
        )
    return _clamp(where, input, at, None)


def _softshrink(where: str, input: Any, lambd: float = 0.5) -> Tensor:
    tensor, at = as_tensor(input, where), number(lambd, where, "lambd")
    graph, x = tensor.graph, tensor.units
    above, below = (graph.relu(graph.combine([(sign, x)], -at)) for sign in (1.0, -1.0))
    return tensor.with_units(graph.combine([(1.0, above), (-1.0, below)]))


def _abs(where: str, input: Any) -> Any:
    if is_constant(input):
        return Constant(np.abs(raw(input)), where)
    tensor = as_tensor(input, where)
    r = tensor.graph.relu(tensor.units)
    return tensor.with_units(tensor.graph.combine([(2.0, r), (-1.0, tensor.units)]))


def _maximum(where: str, input: Any, other: Any) -> Any:
    if is_constant(other):
        return _clamp(where, input, other, None)
    if is_constant(input):
        return _clamp(where, other, input, None)
    shaped, (a, b) = broadcast([as_tensor(input, where), as_tensor(other, where)], where)
    best = largest_of(shaped.graph, np.stack([a.ravel(), b.ravel()], axis=1))
    return shaped.with_units(best.reshape(a.shape))


def _minimum(where: str, input: Any, other: Any) -> Any:
    if is_constant(other):
        return _clamp(where, input, None, other)
    if is_constant(input):
        return _clamp(where, other, None, input)
    shaped, (a, b) = broadcast([as_tensor(input, where), as_tensor(other, where)], where)
    graph = shaped.graph
    negated = [graph.combine([(-1.0, u)]).ravel() for u in (a, b)]
    return shaped.with_units(graph.combine([(-1.0, largest_of(graph, np.stack(negated, axis=1)))]).reshape(a.shape))


HANDLERS: dict[str, Callable[..., Any]] = {
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "rrelu": _rrelu,
    "rrelu_with_noise": _rrelu_with_noise,
    "prelu": _prelu,
    "_prelu_kernel": _prelu,
    **dict.fromkeys(("clamp", "clip", "clamp_min"), _clamp),
    "clamp_max": _clamp_max,
    "hardtanh": _hardtanh,
    "relu6": _relu6,
    "hardsigmoid": _hardsigmoid,
    **dict.fromkeys(("threshold", "_threshold"), _threshold),
    "softshrink": _softshrink,
    **dict.fromkeys(("abs", "absolute"), _abs),
    "maximum": _maximum,
    "minimum": _minimum,
}
