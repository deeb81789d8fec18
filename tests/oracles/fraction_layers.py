"""Torch's layers in rational arithmetic, by their definitions: loops over windows, no matrix.

Tensors are numpy arrays of `fractions.Fraction`, without an axis for points.  Nothing of geomrelu
is imported.
"""

from __future__ import annotations

import itertools
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

Exact = npt.NDArray[Any]


def exact(values: Any) -> Exact:
    """The numbers of an array or torch tensor, as they are."""
    array = np.asarray(values.detach().double().numpy() if hasattr(values, "detach") else values, dtype=float)
    return np.frompyfunc(Fraction, 1, 1)(array) if array.ndim else np.array(Fraction(float(array)), dtype=object)


def _pairs(value: Any, n: int) -> list[int]:
    return list(value) if isinstance(value, tuple | list) else [value] * n


def _at(x: Exact, place: tuple[int, ...]) -> Fraction | None:
    """The entry of one channel, None outside."""
    inside = all(0 <= p < n for p, n in zip(place, x.shape, strict=True))
    return x[place] if inside else None


def _windows(grid: tuple[int, ...], layer: Any, counts: list[int]) -> Any:
    """Each place of the output, and the places of the input under the kernel (some outside)."""
    n = len(grid)
    kernel, padding = _pairs(layer.kernel_size, n), _pairs(layer.padding, n)
    stride = _pairs(layer.kernel_size if layer.stride is None else layer.stride, n)
    dilation = _pairs(getattr(layer, "dilation", 1), n)
    for place in itertools.product(*map(range, counts)):
        yield (
            place,
            [
                (
                    entry,
                    tuple(
                        p * s - a + e * d for p, s, a, e, d in zip(place, stride, padding, entry, dilation, strict=True)
                    ),
                )
                for entry in itertools.product(*map(range, kernel))
            ],
        )


def convolve(layer: Any, x: Exact, shape: tuple[int, ...]) -> Exact:
    """A convolution without padding modes; `shape` is that of the output, channels first."""
    weight = exact(layer.weight)
    bias = exact(layer.bias) if layer.bias is not None else np.full(shape[0], Fraction(0))
    result = np.empty(shape, dtype=object)
    per_group, own = weight.shape[0] // layer.groups, weight.shape[1]
    for place, entries in _windows(x.shape[1:], layer, list(shape[1:])):
        for out in range(shape[0]):
            total = bias[out]
            for entry, where in entries:
                for k in range(own):
                    value = _at(x[out // per_group * own + k], where)
                    if value is not None:
                        total += weight[(out, k, *entry)] * value
            result[(out, *place)] = total
    return result


def pooled(layer: Any, x: Exact, shape: tuple[int, ...], largest: bool) -> Exact:
    """Maxima over windows, or means that count the padding (no ceil_mode for these)."""
    result = np.empty(shape, dtype=object)
    for place, entries in _windows(x.shape[1:], layer, list(shape[1:])):
        for channel in range(shape[0]):
            values = [v for _, where in entries if (v := _at(x[channel], where)) is not None]
            # The factor is the float64 number nearest to 1 / entries.
            mean = Fraction(1 / len(entries)) * sum(values)
            result[(channel, *place)] = max(values) if largest else mean
    return result


def batch_scale(layer: Any) -> Exact:
    """The float64 numbers nearest to weight / sqrt(var + eps), by bisection over the floats' neighbours."""
    scales = []
    for w, v in zip(layer.weight.tolist(), layer.running_var.tolist(), strict=True):
        square = Fraction(w) ** 2 / (Fraction(v) + Fraction(layer.eps))
        with localcontext(prec=60):
            guess = float(Decimal(square.numerator / square.denominator).sqrt())
        near = [guess]
        for direction in (0.0, np.inf):
            near += [
                float(np.nextafter(guess, direction)),
                float(np.nextafter(np.nextafter(guess, direction), direction)),
            ]
        # |f - s| is smallest where s lies between the midpoints to f's neighbours; squares compare exactly.
        best = None
        for f in near:
            below = (Fraction(f) + Fraction(float(np.nextafter(f, 0.0)))) / 2
            above = (Fraction(f) + Fraction(float(np.nextafter(f, np.inf)))) / 2
            if below**2 <= square <= above**2:
                best = f
        assert best is not None
        scales.append(Fraction(best) * (-1 if w < 0 else 1))
    return np.array(scales, dtype=object)


def evaluate(model: nn.Sequential, x: Exact, shapes: list[tuple[int, ...]]) -> Exact:
    """The model at one input; `shapes` are those of the layers' outputs."""
    zero = Fraction(0)
    for layer, shape in zip(model, shapes, strict=True):
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            x = convolve(layer, x, shape)
        elif isinstance(layer, nn.Linear):
            x = np.array([sum(r * x, b) for r, b in zip(exact(layer.weight), exact(layer.bias), strict=True)])
        elif isinstance(layer, nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d):
            x = pooled(layer, x, shape, True)
        elif isinstance(layer, nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d):
            x = pooled(layer, x, shape, False)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            axes = (-1, *[1] * (x.ndim - 1))
            mean, bias = exact(layer.running_mean).reshape(axes), exact(layer.bias).reshape(axes)
            x = batch_scale(layer).reshape(axes) * (x - mean) + bias
        elif isinstance(layer, nn.ReLU):
            x = np.maximum(x, zero)
        elif isinstance(layer, nn.LeakyReLU | nn.PReLU | nn.RReLU):
            if isinstance(layer, nn.PReLU):
                slope = exact(layer.weight).reshape(-1, *[1] * (x.ndim - 1))
            else:
                slope = Fraction(getattr(layer, "negative_slope", None) or (layer.lower + layer.upper) / 2)
            x = np.where(x > zero, x, slope * x)
        elif isinstance(layer, nn.Hardtanh):
            x = np.minimum(np.maximum(x, Fraction(layer.min_val)), Fraction(layer.max_val))
        elif isinstance(layer, nn.Threshold):
            x = np.where(x > Fraction(layer.threshold), x, Fraction(layer.value))
        elif isinstance(layer, nn.Softshrink):
            t = Fraction(layer.lambd)
            x = np.where(x > t, x - t, np.where(x < -t, x + t, zero))
        elif isinstance(layer, nn.Hardsigmoid):
            x = Fraction(1 / 6) * np.minimum(np.maximum(x, Fraction(-3)), Fraction(3)) + Fraction(1, 2)
        elif isinstance(layer, nn.Flatten):
            x = x.reshape(-1)
        else:
            raise NotImplementedError(type(layer).__name__)
    return x


def network_value(network: Any, x: Exact) -> Exact:
    """A network of affine layers and rectified units at one flat input."""
    h = x.reshape(-1)
    for layer in network.layers:
        weight = layer.weight.toarray() if hasattr(layer.weight, "toarray") else layer.weight
        u = np.empty(len(weight), dtype=object)
        for k, row in enumerate(weight):
            used = np.flatnonzero(row)
            u[k] = sum((Fraction(float(row[j])) * h[j] for j in used), Fraction(float(layer.bias[k])))
        h = np.array([max(v, Fraction(0)) if k < layer.n_neurons else v for k, v in enumerate(u)], dtype=object)
    return h
