"""ONNX operators with matrices and windows: Gemm, MatMul, convolutions, pooling, means and sums over axes.

Windows: an axis of length n, padded by (before, after), with a kernel that spans ``extent`` entries and
moves by ``stride``, gives floor((n + before + after - extent) / stride) + 1 places, or the ceiling of it.
A ceiling becomes more padding after, so that operations of the program know only the floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

from geomrelu.arrays import FloatArray
from geomrelu.errors import NotPiecewiseLinearError, ShapeError, UnsupportedLayerError
from geomrelu.importers.onnx_reader import Array, Reader, Tensor, attributes, real
from geomrelu.importers.program import Constant

__all__ = [
    "average_pool",
    "batch_norm",
    "conv",
    "conv_transpose",
    "gemm",
    "global_average_pool",
    "global_max_pool",
    "matmul",
    "max_pool",
    "reduce",
]


# ---- matrices


def matmul(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """numpy's matmul of a tensor and a constant matrix."""
    a, b = reader.inputs(node)
    assert a is not None
    assert b is not None
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        raise NotPiecewiseLinearError(f"{where}: multiplies two values that depend on the input")
    try:
        shape = np.matmul(*(np.broadcast_to(np.float64(0), value.shape) for value in (a, b))).shape
    except ValueError as error:
        raise ShapeError(f"{where}: got shapes {a.shape} and {b.shape}, which do not fit each other") from error
    if isinstance(a, Tensor):
        return replace(_times(reader, a, _matrix(np.asarray(b), where), None, where), shape=shape)
    assert isinstance(b, Tensor)
    # A x = (x^T A^T)^T
    matrix = _matrix(np.asarray(a), where, left=True)
    turned = _turned(reader, b, where)
    return replace(_turned(reader, _times(reader, turned, matrix, None, where), where), shape=shape)


def _matrix(array: Array, where: str, left: bool = False) -> FloatArray:
    """A constant factor as (inputs, outputs)."""
    if array.ndim == 1:
        return array[:, None]
    if array.ndim > 2 and any(n != 1 for n in array.shape[:-2]):
        raise UnsupportedLayerError(
            f"{where}: a stack of matrices of shape {array.shape} cannot be read by this version; expected one matrix"
        )
    matrix = array.reshape(array.shape[-2:])
    return matrix.T if left else matrix


def _turned(reader: Reader, tensor: Tensor, where: str) -> Tensor:
    """The last two axes swapped, if there are two."""
    if len(tensor.shape) < 2:
        return tensor
    numbers = np.arange(1, tensor.size + 1).reshape(tensor.shape)
    return reader.moved([tensor], np.swapaxes(numbers, -1, -2), where)


def _times(reader: Reader, x: Tensor, matrix: FloatArray, bias: FloatArray | None, where: str) -> Tensor:
    """X matrix + bias along the last axis, the matrix (inputs, outputs)."""
    rows = math.prod(x.shape[:-1])
    offset = None if bias is None else Constant(bias, where)
    given = x.ref if rows == 1 else reader.shaped(x, (rows, x.shape[-1]), where)
    result = reader.emit("linear", where, given, Constant(np.ascontiguousarray(matrix.T), where), offset)
    shape = (*x.shape[:-1], matrix.shape[1])
    return Tensor(result, shape) if rows == 1 else reader.flat(result, shape, where)


def gemm(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Alpha A B + beta C, A or B transposed if asked for."""
    a, b, c = (*reader.inputs(node), None)[:3]
    assert a is not None
    assert b is not None
    given = attributes(node)
    alpha, beta = real(given, "alpha", 1.0), real(given, "beta", 1.0)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        raise NotPiecewiseLinearError(f"{where}: multiplies two values that depend on the input")
    flips = bool(given.get("transA")), bool(given.get("transB"))
    a, b = (
        (_turned(reader, v, where) if isinstance(v, Tensor) else np.asarray(v).T) if flip else v
        for v, flip in zip((a, b), flips, strict=True)
    )
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise ShapeError(f"{where}: multiplies shapes {a.shape} and {b.shape}; expected (M, K) and (K, N)")
    shape = a.shape[0], b.shape[1]
    bias = None
    if isinstance(a, Tensor):
        if isinstance(c, np.ndarray) and c.shape in ((shape[1],), (1, shape[1])) and alpha == beta == 1:
            bias = c.reshape(-1)
        result = _times(reader, a, np.asarray(b), bias, where)
    else:
        assert isinstance(b, Tensor)
        result = _turned(reader, _times(reader, _turned(reader, b, where), np.asarray(a).T, None, where), where)
    if alpha != 1:
        result = reader.pair("mul", where, result, np.asarray(alpha))
    if c is not None and bias is None:
        scaled: Any = c
        if beta != 1:
            scaled = reader.pair("mul", where, c, np.asarray(beta)) if isinstance(c, Tensor) else beta * np.asarray(c)
        result = reader.pair("add", where, result, scaled)
    return result


def reduce(kind: str, reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Mean, sum, max or min over axes."""
    given = attributes(node)
    tensor, chosen = (*reader.inputs(node), None)[:2]
    if not isinstance(tensor, Tensor) or isinstance(chosen, Tensor):
        raise UnsupportedLayerError(f"{where}: its axes depend on the model's input; expected constants")
    rank = len(tensor.shape)
    axes = [int(axis) for axis in np.asarray(given.get("axes", [] if chosen is None else chosen)).reshape(-1)]
    if not axes:
        if given.get("noop_with_empty_axes"):
            return tensor
        axes = list(range(rank))
    if any(not -rank <= axis < rank for axis in axes):
        raise ShapeError(f"{where}: got axes {axes} of a tensor of {rank} axes")
    gone = sorted({axis % rank for axis in axes})
    kept = [axis for axis in range(rank) if axis not in gone]
    length = math.prod(tensor.shape[axis] for axis in gone)
    numbers = np.arange(1, tensor.size + 1).reshape(tensor.shape).transpose([*kept, *gone])
    lines = reader.moved([tensor], numbers.reshape(-1, length), where)
    if given.get("keepdims", 1):
        shape = tuple(1 if axis in gone else n for axis, n in enumerate(tensor.shape))
    else:
        shape = tuple(tensor.shape[axis] for axis in kept)
    return replace(_over_lines(kind, reader, lines, where), shape=shape)


def _over_lines(kind: str, reader: Reader, lines: Tensor, where: str) -> Tensor:
    """Mean, sum, max or min of each row of a (rows, length) tensor."""
    rows, length = lines.shape
    if kind in ("mean", "sum"):
        factor = 1.0 / length if kind == "mean" else 1.0
        return _times(reader, lines, np.full((length, 1), factor), None, where)
    ref = reader.shaped(lines, (rows, length), where)
    if kind == "min":
        ref = reader.emit("neg", where, ref)
    ref = reader.emit("max_pool1d", where, ref, length)
    if kind == "min":
        ref = reader.emit("neg", where, ref)
    return reader.flat(ref, (rows, 1), where)


# ---- windows


@dataclass(frozen=True)
class _Windows:
    """How a kernel moves over the spatial axes."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    places: tuple[int, ...]


def _image(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """The first input, a batch of one image (1, channels, *spatial)."""
    first, *others = reader.inputs(node)
    if not isinstance(first, Tensor) or any(isinstance(other, Tensor) for other in others):
        raise NotPiecewiseLinearError(f"{where}: a weight of it depends on the model's input; expected a constant")
    if not 3 <= len(first.shape) <= 5 or first.shape[0] != 1:
        raise UnsupportedLayerError(
            f"{where}: acts on a tensor of shape {first.shape}; expected (1, channels, ...) with one, two or three "
            "spatial axes: export the model with a batch of one"
        )
    return first


def _per_axis(values: Any, default: int, n_axes: int, name: str, where: str) -> tuple[int, ...]:
    result = tuple(int(v) for v in values) if values is not None else (default,) * n_axes
    if len(result) != n_axes or any(v < (0 if name == "pads" else 1) for v in result):
        raise ShapeError(f"{where}: got {name} {list(result)} ; expected {n_axes} numbers, none too small")
    return result


def _windows(given: dict[str, Any], spatial: tuple[int, ...], kernel: Any, where: str) -> _Windows:
    """Windows from a node's attributes; `kernel` is used where they do not name one."""
    d = len(spatial)
    kernel = _per_axis(given.get("kernel_shape", kernel), 1, d, "kernel_shape", where)
    stride = _per_axis(given.get("strides"), 1, d, "strides", where)
    dilation = _per_axis(given.get("dilations"), 1, d, "dilations", where)
    pads = _per_axis(given.get("pads"), 0, 2 * d, "pads", where)
    auto = given.get("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedLayerError(f"{where}: got auto_pad={auto!r}; expected NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    padding, places = [], []
    for k in range(d):
        extent = (kernel[k] - 1) * dilation[k] + 1
        before, after = (pads[k], pads[d + k]) if auto == "NOTSET" else (0, 0)
        if auto.startswith("SAME"):
            n_places = -(-spatial[k] // stride[k])
            total = max((n_places - 1) * stride[k] + extent - spatial[k], 0)
            before = (total + (auto == "SAME_LOWER")) // 2
            after = total - before
        room = spatial[k] + before + after - extent
        if room < 0:
            raise ShapeError(
                f"{where}: a kernel that spans {extent} entries does not fit into {spatial[k]} with padding "
                f"{before} and {after}"
            )
        n_places = room // stride[k] + 1
        if given.get("ceil_mode") and not auto.startswith("SAME") and room % stride[k]:
            # Unless that window begins in the padding.
            if n_places * stride[k] < spatial[k] + before:
                n_places += 1
            after = max((n_places - 1) * stride[k] + extent - spatial[k] - before, 0)
        padding.append((before, after))
        places.append(n_places)
    return _Windows(kernel, stride, dilation, tuple(padding), tuple(places))


def conv(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Convolution."""
    image = _image(reader, node, where)
    weight, bias = (np.asarray(v) if v is not None else None for v in (*reader.inputs(node)[1:], None)[:2])
    assert weight is not None
    given = attributes(node)
    groups = int(given.get("group", 1))
    channels = image.shape[1]
    if weight.ndim != len(image.shape) or channels != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ShapeError(
            f"{where}: a weight of shape {weight.shape} in {groups} groups does not fit a tensor of shape {image.shape}"
        )
    windows = _windows(given, image.shape[2:], weight.shape[2:], where)
    if windows.kernel != weight.shape[2:]:
        raise ShapeError(f"{where}: says kernel_shape {windows.kernel}, but its weight has shape {weight.shape}")
    return _convolved(reader, image, weight, bias, windows, groups, where)


def _convolved(
    reader: Reader,
    image: Tensor,
    weight: FloatArray,
    bias: FloatArray | None,
    windows: _Windows,
    groups: int,
    where: str,
) -> Tensor:
    d = len(windows.kernel)
    ref = reader.emit(
        f"conv{d}d",
        where,
        reader.shaped(image, image.shape[1:], where),
        Constant(weight, where),
        None if bias is None else Constant(bias, where),
        list(windows.stride),
        [list(pair) for pair in windows.padding],
        list(windows.dilation),
        groups,
    )
    return reader.flat(ref, (1, weight.shape[0], *windows.places), where)


def conv_transpose(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Transposed convolution: without padding first; then cut, or padded with zeros, and the bias added."""
    image = _image(reader, node, where)
    weight, bias = (np.asarray(v) if v is not None else None for v in (*reader.inputs(node)[1:], None)[:2])
    assert weight is not None
    given = attributes(node)
    groups = int(given.get("group", 1))
    if weight.ndim != len(image.shape) or weight.shape[0] != image.shape[1] or weight.shape[0] % groups:
        raise ShapeError(
            f"{where}: a weight of shape {weight.shape} in {groups} groups does not fit a tensor of shape {image.shape}"
        )
    d = weight.ndim - 2
    stride = _per_axis(given.get("strides"), 1, d, "strides", where)
    dilation = _per_axis(given.get("dilations"), 1, d, "dilations", where)
    whole, starts, places = _transposed_extents(given, image.shape[2:], weight.shape[2:], stride, dilation, where)
    ref = reader.emit(
        f"conv_transpose{d}d",
        where,
        reader.shaped(image, image.shape[1:], where),
        Constant(weight, where),
        None,
        list(stride),
        [0] * d,
        [0] * d,
        groups,
        list(dilation),
    )
    channels = weight.shape[1] * groups
    full = reader.flat(ref, (1, channels, *whole), where)
    numbers = np.arange(1, full.size + 1).reshape(full.shape)
    for axis, (n, start, count) in enumerate(zip(whole, starts, places, strict=True), start=2):
        chosen = np.arange(start, start + count)
        outside = (chosen < 0) | (chosen >= n)
        numbers = np.take(numbers, np.where(outside, 0, chosen), axis=axis)
        numbers[(slice(None),) * axis + (outside,)] = 0
    result = reader.moved([full], numbers, where)
    return result if bias is None else reader.pair("add", where, result, bias.reshape(-1, *(1,) * d))


def _transposed_extents(
    given: dict[str, Any],
    spatial: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    where: str,
) -> tuple[list[int], list[int], list[int]]:
    """Per axis: length without padding, where the result starts in it, and the result's length."""
    d = len(spatial)
    extra = tuple(int(v) for v in given.get("output_padding") or (0,) * d)
    auto = given.get("auto_pad", "NOTSET")
    pads = tuple(int(v) for v in given.get("pads") or (0,) * (2 * d))
    wanted = given.get("output_shape")
    if wanted is None and auto.startswith("SAME"):
        wanted = [n * s for n, s in zip(spatial, stride, strict=True)]
    whole = [(n - 1) * s + (m - 1) * g + 1 for n, s, m, g in zip(spatial, stride, kernel, dilation, strict=True)]
    starts, places = [], []
    for k in range(d):
        if wanted is None:
            start = pads[k] if auto == "NOTSET" else 0
            end = pads[d + k] if auto == "NOTSET" else 0
            count = whole[k] + extra[k] - start - end
        else:
            count = int(wanted[-d:][k])
            total = whole[k] + extra[k] - count
            # More at the end for SAME_UPPER, at the beginning otherwise.
            start = total // 2 if auto == "SAME_UPPER" else total - total // 2
        if count < 1:
            raise ShapeError(f"{where}: would give {count} entries along spatial axis {k}; expected 1 or more")
        starts.append(start)
        places.append(count)
    return whole, starts, places


def batch_norm(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Batch normalisation by stored means and variances."""
    given = attributes(node)
    tensor, *rest = reader.inputs(node)
    # Before version 14 the statistics of the batch were asked for by naming outputs for them.
    if given.get("training_mode") or (reader.version < 14 and any(node.output[1:])):
        raise UnsupportedLayerError(f"{where}: is in training mode; export the model in eval mode")
    if not isinstance(tensor, Tensor) or any(isinstance(v, Tensor) or v is None for v in rest) or len(rest) != 4:
        raise UnsupportedLayerError(f"{where}: its parameters depend on the model's input; expected constants")
    weight, bias, mean, variance = (Constant(np.asarray(v), where) for v in rest)
    if len(tensor.shape) < 2 or any(c.array.shape != tensor.shape[1:2] for c in (weight, bias, mean, variance)):
        raise ShapeError(f"{where}: got a tensor of shape {tensor.shape} and {weight.array.shape} channels")
    if tensor.shape[0] != 1:
        raise UnsupportedLayerError(f"{where}: acts on a tensor of shape {tensor.shape}; expected a batch of one")
    channels = tensor.shape[1]
    ref = reader.shaped(tensor, (channels, tensor.size // channels), where)
    ref = reader.emit("batch_norm", where, ref, mean, variance, weight, bias, False, 0.0, real(given, "epsilon", 1e-5))
    return reader.flat(ref, tensor.shape, where)


def max_pool(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Largest entry of each window; padding never wins."""
    image = _image(reader, node, where)
    windows = _windows(attributes(node), image.shape[2:], None, where)
    ref = reader.emit(
        f"max_pool{len(windows.kernel)}d",
        where,
        reader.shaped(image, image.shape[1:], where),
        list(windows.kernel),
        list(windows.stride),
        [list(pair) for pair in windows.padding],
        list(windows.dilation),
    )
    return reader.flat(ref, (1, image.shape[1], *windows.places), where)


def average_pool(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Mean of each window: a convolution with a constant kernel, divided by the number of entries that count."""
    image = _image(reader, node, where)
    given = attributes(node)
    windows = _windows(given, image.shape[2:], None, where)
    counts = np.ones(())
    plain = _windows({**given, "ceil_mode": 0}, image.shape[2:], None, where)
    for k, n in enumerate(image.shape[2:]):
        # Padding counts if asked for, but not what only a ceiling has added.
        before, after = plain.padding[k] if given.get("count_include_pad") else (0, 0)
        at = np.arange(windows.places[k])[:, None] * windows.stride[k] - windows.padding[k][0]
        at = at + np.arange(windows.kernel[k]) * windows.dilation[k]
        counts = counts[..., None] * ((at >= -before) & (at < n + after)).sum(axis=1)
    if not counts.all():
        raise ShapeError(f"{where}: a window lies wholly in the padding; expected entries in each")
    channels = image.shape[1]
    uniform = bool((counts == counts.flat[0]).all())
    weight = np.full((channels, 1, *windows.kernel), 1.0 / counts.flat[0] if uniform else 1.0)
    result = _convolved(reader, image, weight, None, windows, channels, where)
    return result if uniform else reader.pair("div", where, result, counts)


def global_average_pool(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Mean over all spatial axes."""
    return _global("mean", reader, node, where)


def global_max_pool(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Largest entry over all spatial axes."""
    return _global("max", reader, node, where)


def _global(kind: str, reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    image = _image(reader, node, where)
    channels = image.shape[1]
    lines = Tensor(image.ref, (channels, image.size // channels))
    return replace(_over_lines(kind, reader, lines, where), shape=(1, channels, *(1,) * (len(image.shape) - 2)))
