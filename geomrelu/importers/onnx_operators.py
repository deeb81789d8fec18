"""The ONNX operators that are read: each turns a node into operations of the program.

Each function takes the `Reader`, the node and what messages call it, and returns the tensor that the node
computes, or a list where it has several outputs.  Operators with windows and matrices are in `onnx_affine`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper

from geomrelu.errors import NotPiecewiseLinearError, ShapeError, UnsupportedLayerError
from geomrelu.importers import kinds, onnx_affine
from geomrelu.importers.kinds import PROBABILITIES, normalised
from geomrelu.importers.onnx_reader import LARGEST_SIZE, Array, Reader, Tensor, attributes, is_floating, real

__all__ = ["OPERATORS", "refusal"]

Result: TypeAlias = Tensor | Array | list[Tensor]
_READ = "expected piecewise-linear operators (Gemm, Conv, Relu, Clip, MaxPool, Add, ...)"
_JUMPS = "Hardmax Mod NonZero QuantizeLinear DynamicQuantizeLinear"
_LARGEST = float(np.finfo(np.float32).max)


def refusal(kind: str, where: str) -> NotPiecewiseLinearError | UnsupportedLayerError:
    """The error for an operator that is not read."""
    if normalised(kind) in PROBABILITIES:
        return NotPiecewiseLinearError(
            f"{where}: not piecewise linear, so it has no linear regions; if it only turns the outputs into "
            "probabilities, cut it off with onnx.utils.extract_model(path, new_path, [input], [its input]); "
            "else replace it by Relu and train again"
        )
    if kind in _JUMPS.split():
        return NotPiecewiseLinearError(f"{where}: jumps, so it is not continuous; {_READ}; export the model without it")
    return kinds.refusal(kind.replace("Normalization", "Norm"), where)


def _only_tensor(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """The first input, which depends on the model's input; the others are constants."""
    first, *others = reader.inputs(node)
    if not isinstance(first, Tensor) or any(isinstance(other, Tensor) for other in others):
        raise UnsupportedLayerError(
            f"{where}: a parameter of it depends on the model's input; expected a constant; {_READ}"
        )
    return first


# ---- entry by entry


def _two(kind: str, reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    a, b = reader.inputs(node)
    assert a is not None
    assert b is not None
    if all(isinstance(value, Tensor) for value in (a, b)) and kind in ("mul", "div"):
        verb = "multiplies two values" if kind == "mul" else "divides by a value"
        raise NotPiecewiseLinearError(f"{where}: {verb} that depend on the input; {_READ}")
    if kind == "div" and isinstance(b, Tensor):
        raise NotPiecewiseLinearError(f"{where}: divides by a value that depends on the input; {_READ}")
    return reader.pair(kind, where, a, b)


def _several(kind: str, reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Sum, Max and Min of any number of values; each adds what the ones before it give."""
    values = sorted((v for v in reader.inputs(node) if v is not None), key=lambda v: not isinstance(v, Tensor))
    result = values[0]
    for value in values[1:]:
        result = reader.pair(kind, where, result, value)
    assert isinstance(result, Tensor)
    return result


def _mean(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    total = _several("add", reader, node, where)
    return reader.pair("div", where, total, np.asarray(float(len(node.input))))


def _one(kind: str, reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    tensor = _only_tensor(reader, node, where)
    return Tensor(reader.emit(kind, where, tensor.ref), tensor.shape)


def _same(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    return _only_tensor(reader, node, where)


def _dropout(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    tensor = _only_tensor(reader, node, where)
    training = reader.inputs(node)[2:3]
    if training and training[0] is not None and np.asarray(training[0]).any():
        raise UnsupportedLayerError(f"{where}: dropout in training mode is random; export the model in eval mode")
    return tensor


def _cast(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    tensor = _only_tensor(reader, node, where)
    if node.op_type == "Cast":
        target = attributes(node)["to"]
        real = is_floating(np.empty(0, helper.tensor_dtype_to_np_dtype(target)))
        name = TensorProto.DataType.Name(target)
    else:
        like = np.asarray(reader.inputs(node)[1])
        real, name = is_floating(like), str(like.dtype)
    if not real:
        raise NotPiecewiseLinearError(f"{where}: converts to {name}, which rounds; expected a floating-point type")
    return tensor


# ---- rectifiers


def _leaky_relu(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    tensor = _only_tensor(reader, node, where)
    return Tensor(reader.emit("leaky_relu", where, tensor.ref, real(attributes(node), "alpha", 0.01)), tensor.shape)


def _p_relu(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """relu(x) + slope (x - relu(x)), with a slope for each entry."""
    tensor = _only_tensor(reader, node, where)
    slope = reader.inputs(node)[1]
    assert slope is not None
    positive = Tensor(reader.emit("relu", where, tensor.ref), tensor.shape)
    negative = reader.pair("mul", where, reader.pair("sub", where, tensor, positive), slope)
    return reader.pair("add", where, positive, negative)


def _bound(value: Any, name: str, where: str) -> float | None:
    """A bound of Clip; none where it is beyond what float32, in which models run, can hold."""
    if value is None or np.size(value) == 0:
        return None
    if np.size(value) != 1:
        raise ShapeError(f"{where}: got a {name} of shape {np.shape(value)}, expected one number")
    bound = float(np.asarray(value).reshape(-1)[0])
    return None if abs(bound) >= _LARGEST else bound


def _clamped(reader: Reader, tensor: Tensor, low: float | None, high: float | None, where: str) -> Tensor:
    if low is None and high is None:
        return tensor
    return Tensor(reader.emit("clamp", where, tensor.ref, low, high), tensor.shape)


def _clip(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    tensor = _only_tensor(reader, node, where)
    given = attributes(node)
    low, high = given.get("min"), given.get("max")
    if reader.version >= 11:
        low, high = (*reader.inputs(node)[1:], None, None)[:2]
    low, high = _bound(low, "min", where), _bound(high, "max", where)
    return _clamped(reader, tensor, low, high, where)


def _hard_sigmoid(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    given = attributes(node)
    alpha, beta = real(given, "alpha", 0.2), real(given, "beta", 0.5)
    scaled = reader.pair("mul", where, _only_tensor(reader, node, where), np.asarray(alpha))
    return _clamped(reader, reader.pair("add", where, scaled, np.asarray(beta)), 0.0, 1.0, where)


def _thresholded_relu(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    alpha = real(attributes(node), "alpha", 1.0)
    if alpha != 0:
        raise NotPiecewiseLinearError(
            f"{where}: jumps from 0 to {alpha:g} at {alpha:g}, so it is not continuous; expected alpha=0, which is Relu"
        )
    return _one("relu", reader, node, where)


def _shrink(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """x - clip(x, -lambd, lambd), where nothing jumps."""
    given = attributes(node)
    bias, lambd = real(given, "bias", 0.0), real(given, "lambd", 0.5)
    if bias != lambd or lambd < 0:
        raise NotPiecewiseLinearError(
            f"{where}: with lambd={lambd:g} and bias={bias:g} it jumps, so it is not continuous; expected bias=lambd"
        )
    tensor = _only_tensor(reader, node, where)
    return reader.pair("sub", where, tensor, _clamped(reader, tensor, -lambd, lambd, where))


# ---- entries that move


def _moved(positions: Sequence[int], reader: Reader, node: onnx.NodeProto, where: str) -> list[Tensor]:
    return reader.move(node, where, positions)


def _concat(reader: Reader, node: onnx.NodeProto, where: str) -> list[Tensor]:
    return reader.move(node, where, range(len(node.input)))


def _pad(reader: Reader, node: onnx.NodeProto, where: str) -> Tensor:
    """Padding; negative amounts cut entries off."""
    tensor = _only_tensor(reader, node, where)
    given = attributes(node)
    pads, value, axes = given.get("pads"), given.get("value", 0.0), None
    if reader.version >= 11:
        pads, value, axes = (*reader.inputs(node)[1:], None, None, None)[:3]
    rank, mode = len(tensor.shape), given.get("mode", "constant")
    chosen = range(rank) if axes is None else [int(axis) % rank for axis in np.asarray(axes).reshape(-1)]
    amounts = np.asarray(pads, dtype=np.int64).reshape(-1)
    if amounts.size != 2 * len(chosen) or mode not in ("constant", "reflect", "edge", "wrap"):
        raise ShapeError(f"{where}: got pads {amounts.tolist()} in mode {mode!r} for {len(chosen)} axes")
    around = np.zeros((rank, 2), dtype=np.int64)
    around[list(chosen)] = amounts.reshape(2, -1).T
    if math.prod(n + sum(pair) for n, pair in zip(tensor.shape, np.abs(around).tolist(), strict=True)) > LARGEST_SIZE:
        raise ShapeError(f"{where}: pads by {amounts.tolist()}, more than any network does; is the model damaged?")
    numbers = np.arange(1, tensor.size + 1).reshape(tensor.shape)
    options: dict[str, Any] = {"constant_values": tensor.size + 1} if mode == "constant" else {}
    numbers = np.pad(numbers, np.maximum(around, 0), mode=mode, **options)
    numbers = numbers[tuple(slice(max(-before, 0), min(after, 0) or None) for before, after in around.tolist())]
    padding = np.asarray(0.0 if value is None or np.size(value) == 0 else value).reshape(-1)
    return reader.moved([tensor, padding] if mode == "constant" else [tensor], numbers, where)


def _shape(reader: Reader, node: onnx.NodeProto, where: str) -> Array:
    """Shape and Size of a tensor are constants: a batch is one point."""
    first = reader.inputs(node)[0]
    assert isinstance(first, Tensor)
    (result,) = reader.reference(node, where, [np.broadcast_to(np.float64(0), first.shape)])
    return result


def _resize(reader: Reader, node: onnx.NodeProto, where: str) -> list[Tensor] | Tensor:
    """Nearest neighbours, an axis at a time: the reference is slow on whole tensors."""
    mode = attributes(node).get("mode", "nearest")
    if mode != "nearest":
        raise UnsupportedLayerError(
            f"{where}: mode {mode!r} cannot be read by this version; expected 'nearest': export the model with that"
        )
    tensor = _only_tensor(reader, node, where)
    if "axes" in attributes(node) or len(tensor.shape) < 1:
        return reader.move(node, where, (0,))
    numbers = np.arange(1, tensor.size + 1).reshape(tensor.shape)
    given = reader.inputs(node)
    scales_attribute = attributes(node).get("scales")
    for axis, length in enumerate(tensor.shape):
        line = np.arange(length, dtype=np.float64)
        own = onnx.NodeProto()
        own.CopyFrom(node)
        feeds: list[Any] = [line]
        if scales_attribute is not None:
            own.attribute.remove(next(a for a in own.attribute if a.name == "scales"))
            own.attribute.append(helper.make_attribute("scales", [scales_attribute[axis]]))
        for value in given[1:]:
            array = None if value is None else np.asarray(value)
            full = array is not None and array.size == len(tensor.shape)
            feeds.append(array.reshape(-1)[[axis]] if full and array is not None else array)
        (chosen,) = reader.reference(own, where, feeds)
        numbers = np.take(numbers, chosen.astype(np.int64), axis=axis)
    return reader.moved([tensor], numbers, where)


# Operators that move the entries of their first input.
_MOVING = """
    Reshape Flatten Squeeze Unsqueeze Transpose Slice Split Gather GatherElements GatherND Expand Tile
    DepthToSpace SpaceToDepth Trilu
"""
OPERATORS: dict[str, Callable[[Reader, onnx.NodeProto, str], Result]] = {
    **{name: partial(_two, name.lower()) for name in ("Add", "Sub", "Mul", "Div")},
    "Sum": partial(_several, "add"),
    "Max": partial(_several, "maximum"),
    "Min": partial(_several, "minimum"),
    "Mean": _mean,
    **{name: partial(_one, name.lower()) for name in ("Neg", "Abs", "Relu")},
    "Identity": _same,
    "Dropout": _dropout,
    "Cast": _cast,
    "CastLike": _cast,
    "LeakyRelu": _leaky_relu,
    "PRelu": _p_relu,
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "ThresholdedRelu": _thresholded_relu,
    "Shrink": _shrink,
    **dict.fromkeys(_MOVING.split(), partial(_moved, (0,))),
    "Where": partial(_moved, (1, 2)),
    "ScatterND": partial(_moved, (0, 2)),
    "Concat": _concat,
    "Pad": _pad,
    "Shape": _shape,
    "Size": _shape,
    "Resize": _resize,
    "Upsample": _resize,
    "Gemm": onnx_affine.gemm,
    "MatMul": onnx_affine.matmul,
    "Conv": onnx_affine.conv,
    "ConvTranspose": onnx_affine.conv_transpose,
    "BatchNormalization": onnx_affine.batch_norm,
    "AveragePool": onnx_affine.average_pool,
    "GlobalAveragePool": onnx_affine.global_average_pool,
    "MaxPool": onnx_affine.max_pool,
    "GlobalMaxPool": onnx_affine.global_max_pool,
    "ReduceMean": partial(onnx_affine.reduce, "mean"),
    "ReduceSum": partial(onnx_affine.reduce, "sum"),
    "ReduceMax": partial(onnx_affine.reduce, "max"),
    "ReduceMin": partial(onnx_affine.reduce, "min"),
}
