"""The operations that are read: each acts on a `Flow` or on constants, as torch's does on tensors.

Each function takes `where`, for messages, then torch's arguments under torch's names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, real_array
from geomrelu.errors import NotPiecewiseLinearError, ShapeError, UnsupportedLayerError
from geomrelu.importers.chain import Affine, Flow, Relu, Scale, Shift
from geomrelu.importers.kinds import READ

__all__ = ["HANDLERS", "Constant"]


@dataclass(frozen=True, eq=False)
class Constant:
    """A parameter, buffer or literal array, and its name for messages."""

    array: npt.NDArray[Any]
    name: str


@dataclass(frozen=True, eq=False)
class _Sizes:
    flow: Flow


class _Batch:
    """The number of points, whatever it is."""


_BATCH = _Batch()


def _only_flow(value: Any, where: str) -> Flow:
    if not isinstance(value, Flow):
        raise UnsupportedLayerError(
            f"{where}: applied to something that is not the running value; expected a chain of layers; {READ}"
        )
    return value


def _is_constant(value: Any) -> bool:
    return isinstance(value, Constant | int | float) and not isinstance(value, bool)


def _raw(value: Any) -> Any:
    return value.array if isinstance(value, Constant) else value


def _matrix(value: Any, where: str) -> FloatArray:
    if not isinstance(value, Constant):
        raise UnsupportedLayerError(f"{where}: its weight is computed from the input; expected a fixed weight; {READ}")
    weight = real_array(value.array, value.name)
    if weight.ndim != 2:
        raise ShapeError(f"{value.name}: got shape {weight.shape}, expected a matrix (outputs, inputs)")
    return weight


def _vector(value: Any, flow: Flow, where: str) -> FloatArray:
    """A constant that is added to, or multiplies, the features: shape () or (width,)."""
    vector = real_array(_raw(value), value.name if isinstance(value, Constant) else where)
    if vector.ndim > 1 and all(n == 1 for n in vector.shape[:-1]) and vector.ndim <= flow.rank:
        vector = vector.reshape(-1)
    if vector.shape == (1,):
        vector = vector.reshape(())
    fits = vector.ndim == 0 or (vector.ndim == 1 and not flow.squeezed and flow.width in (None, len(vector)))
    if not fits:
        raise ShapeError(f"{where}: a constant of shape {vector.shape} meets {flow.width} features; expected one each")
    return vector


def _apply_matrix(where: str, flow: Flow, weight: FloatArray, bias: FloatArray | None) -> Flow:
    if flow.rank > 2 or flow.squeezed:
        raise UnsupportedLayerError(
            f"{where}: acts on tensors of {flow.rank} axes; expected (N, features): put Flatten before it"
        )
    if flow.width not in (None, weight.shape[1]):
        raise ShapeError(
            f"{where}: takes {weight.shape[1]} inputs but the layer before it has {flow.width} outputs; "
            "expected the same number"
        )
    if bias is not None and bias.shape != (weight.shape[0],):
        raise ShapeError(f"{where}: got a bias of shape {bias.shape}, expected ({weight.shape[0]},)")
    return flow.then(Affine(weight, bias), width=int(weight.shape[0]))


def _linear(where: str, input: Any, weight: Any, bias: Any = None) -> Flow:
    offset = None if bias is None else real_array(_raw(bias), getattr(bias, "name", where))
    return _apply_matrix(where, _only_flow(input, where), _matrix(weight, where), offset)


def _matmul(where: str, input: Any, other: Any) -> Flow:
    if isinstance(input, Flow) and isinstance(other, Flow):
        raise NotPiecewiseLinearError(f"{where}: multiplies two values that depend on the input; {READ}")
    flow = _only_flow(input, where)
    if isinstance(other, Constant) and other.array.ndim == 1:
        row = replace(other, array=other.array[None, :])
        return replace(_apply_matrix(where, flow, _matrix(row, where), None), squeezed=True)
    return _apply_matrix(where, flow, np.ascontiguousarray(_matrix(other, where).T), None)


def _addmm(where: str, input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Flow:
    if beta != 1 or alpha != 1:
        raise UnsupportedLayerError(f"{where}: got beta={beta}, alpha={alpha}; expected 1 and 1")
    return _only_flow(_add(where, _matmul(where, mat1, mat2), input), where)


def _relu(where: str, input: Any, inplace: bool = False) -> Flow:
    return _only_flow(input, where).then(Relu())


def _clamp(where: str, input: Any, min: Any = None, max: Any = None) -> Flow:
    if max is not None or not _is_constant(min) or np.any(_raw(min) != 0):
        raise UnsupportedLayerError(
            f"{where}: got bounds {_raw(min)} and {_raw(max)}; only clamp(min=0), ReLU, is read"
        )
    return _relu(where, input)


def _maximum(where: str, input: Any, other: Any) -> Flow:
    return _clamp(where, other, input) if _is_constant(input) else _clamp(where, input, other)


def _add(where: str, input: Any, other: Any, *, alpha: float = 1) -> Any:
    if alpha != 1:
        raise UnsupportedLayerError(f"{where}: got alpha={alpha}; expected 1")
    if _is_constant(input) and _is_constant(other):
        return Constant(np.asarray(_raw(input) + _raw(other)), where)
    if isinstance(input, Flow) and isinstance(other, Flow):
        raise UnsupportedLayerError(
            f"{where}: adds two branches (a residual connection), which this version cannot read; "
            "expected a single chain of layers"
        )
    flow, constant = (input, other) if isinstance(input, Flow) else (other, input)
    return _only_flow(flow, where).then(Shift(_vector(constant, flow, where)))


def _sub(where: str, input: Any, other: Any, *, alpha: float = 1) -> Any:
    return _add(where, input, _neg(where, other), alpha=alpha)


def _rsub(where: str, input: Any, other: Any, alpha: float = 1) -> Any:
    return _sub(where, other, input, alpha=alpha)


def _mul(where: str, input: Any, other: Any) -> Any:
    if _is_constant(input) and _is_constant(other):
        return Constant(np.asarray(_raw(input) * _raw(other)), where)
    if isinstance(input, Flow) and isinstance(other, Flow):
        raise NotPiecewiseLinearError(f"{where}: multiplies two values that depend on the input; {READ}")
    flow, constant = (input, other) if isinstance(input, Flow) else (other, input)
    return _only_flow(flow, where).then(Scale(_vector(constant, flow, where)))


def _div(where: str, input: Any, other: Any) -> Any:
    if isinstance(other, Flow):
        raise NotPiecewiseLinearError(f"{where}: divides by a value that depends on the input; {READ}")
    divisor = real_array(_raw(other), where)
    # Only a power of two has an exact reciprocal, and weights are never rounded.
    if not (np.frexp(np.abs(divisor))[0] == 0.5).all():
        raise UnsupportedLayerError(
            f"{where}: divides by {_raw(other)}, whose reciprocal is not a float; multiply by a constant instead"
        )
    return _mul(where, input, Constant(np.asarray(1.0 / divisor), where))


def _neg(where: str, input: Any) -> Any:
    if _is_constant(input):
        return replace(input, array=-input.array) if isinstance(input, Constant) else -input
    return _mul(where, input, -1.0)


def _dropout(where: str, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    if training and p != 0:
        raise UnsupportedLayerError(f"{where}: dropout in training mode is random; call model.eval() first")
    return input


def _aten_dropout(where: str, input: Any, p: float, train: bool) -> Any:
    return _dropout(where, input, p, train)


def _identity(where: str, input: Any, *args: Any, **kwargs: Any) -> Any:
    return input


def _to(where: str, input: Any, *args: Any, **kwargs: Any) -> Any:
    for target in (*args, kwargs.get("dtype")):
        if any(name in str(target) for name in ("int", "bool", "complex")):
            raise UnsupportedLayerError(f"{where}: converts to {target}, which rounds; expected a floating-point type")
    return input


# ---- shapes


def _axis(axis: int, rank: int) -> int:
    return axis + rank if axis < 0 else axis


def _transposed(where: str, input: Any) -> Any:
    if not isinstance(input, Constant):
        raise UnsupportedLayerError(f"{where}: transposes a value that depends on the input; {READ}")
    return replace(input, array=input.array.T)


def _transpose(where: str, input: Any, dim0: int, dim1: int) -> Any:
    if not isinstance(input, Constant):
        return _transposed(where, input)
    return replace(input, array=np.swapaxes(input.array, dim0, dim1))


def _permute(where: str, input: Any, *dims: Any) -> Any:
    if not isinstance(input, Constant):
        return _transposed(where, input)
    axes = dims[0] if len(dims) == 1 and isinstance(dims[0], list) else dims
    return replace(input, array=np.transpose(input.array, [int(d) for d in axes]))


def _getattr(where: str, input: Any, name: str) -> Any:
    if name in ("T", "mT"):
        return _transposed(where, input)
    if name in ("data", "dtype", "device"):
        return input if name == "data" else name
    if name == "shape":
        return _size(where, input)
    raise UnsupportedLayerError(f"{where}: reads .{name}, which is not understood; {READ}")


def _size(where: str, input: Any, dim: int | None = None) -> Any:
    if isinstance(input, Constant):
        return list(input.array.shape) if dim is None else input.array.shape[dim]
    sizes = _Sizes(_only_flow(input, where))
    return sizes if dim is None else _getitem(where, sizes, dim)


def _getitem(where: str, input: Any, index: Any) -> Any:
    if isinstance(input, list) and isinstance(index, int):
        return input[index]
    if isinstance(input, _Sizes) and isinstance(index, int):
        axis = _axis(index, input.flow.rank)
        if axis == 0:
            return _BATCH
        if axis == 1 and input.flow.rank == 2 and input.flow.width is not None:
            return input.flow.width
    what = "an index" if isinstance(index, int) else "a slice"
    raise UnsupportedLayerError(f"{where}: takes {what} of a tensor, which this version cannot read; {READ}")


def _flatten(where: str, input: Any, start_dim: int = 0, end_dim: int = -1) -> Flow:
    flow = _only_flow(input, where)
    start, end = _axis(start_dim, flow.rank), _axis(end_dim, flow.rank)
    if start == end and not flow.squeezed:
        return flow
    if start != 1 or end != flow.rank - 1:
        raise UnsupportedLayerError(
            f"{where}: flattens axes {start_dim} to {end_dim}, which mixes points; expected start_dim=1, end_dim=-1"
        )
    return replace(flow, rank=2)


def _reshape(where: str, input: Any, *shape: Any) -> Any:
    sizes = list(shape[0]) if len(shape) == 1 and isinstance(shape[0], list) else list(shape)
    if isinstance(input, Constant):
        return replace(input, array=input.array.reshape([int(n) for n in sizes]))
    flow = _only_flow(input, where)

    def is_batch(n: Any) -> bool:
        return n is _BATCH or n == -1 or (flow.batch is not None and n == flow.batch)

    if len(sizes) == 2 and not flow.squeezed and is_batch(sizes[0]):
        if sizes[1] == -1 and sizes[0] != -1:
            return replace(flow, rank=2)
        # Before the first layer the width is not known: this says it.
        if isinstance(sizes[1], int) and sizes[1] > 0 and flow.width in (None, sizes[1]):
            return replace(flow, rank=2, width=sizes[1])
    if len(sizes) == 1 and flow.width == 1 and flow.rank == 2 and is_batch(sizes[0]):
        return replace(flow, squeezed=True)
    raise UnsupportedLayerError(f"{where}: reshapes to something else than (N, features); {READ}")


def _squeeze(where: str, input: Any, dim: Any = None) -> Flow:
    flow = _only_flow(input, where)
    dims = dim if isinstance(dim, list) else [dim]
    if flow.rank == 2 and all(d is None or _axis(d, 2) == 1 for d in dims):
        return replace(flow, squeezed=flow.squeezed or flow.width == 1)
    raise UnsupportedLayerError(f"{where}: squeezes axis {dim}; expected the axis of a single output (-1)")


def _unsqueeze(where: str, input: Any, dim: int) -> Flow:
    flow = _only_flow(input, where)
    if not flow.squeezed or dim not in (1, -1):
        raise UnsupportedLayerError(f"{where}: adds an axis at {dim}; expected tensors of shape (N, features)")
    return replace(flow, squeezed=False)


HANDLERS: dict[str, Callable[..., Any]] = {
    "linear": _linear,
    **dict.fromkeys(("matmul", "mm"), _matmul),
    "addmm": _addmm,
    "relu": _relu,
    **dict.fromkeys(("clamp", "clip", "clamp_min"), _clamp),
    "maximum": _maximum,
    **dict.fromkeys(("add", "radd"), _add),
    **dict.fromkeys(("sub", "subtract"), _sub),
    "rsub": _rsub,
    **dict.fromkeys(("mul", "multiply"), _mul),
    **dict.fromkeys(("div", "truediv", "divide"), _div),
    **dict.fromkeys(("neg", "negative"), _neg),
    **dict.fromkeys(("dropout", "dropout1d", "alpha_dropout", "feature_alpha_dropout"), _dropout),
    "feature_dropout": _aten_dropout,
    **dict.fromkeys(
        (
            "identity",
            "contiguous",
            "clone",
            "detach",
            "detach_copy",
            "lift_fresh_copy",
            "requires_grad",
            "alias",
            "float",
            "double",
            "type_as",
            "cpu",
        ),
        _identity,
    ),
    **dict.fromkeys(("to", "_to_copy"), _to),
    **dict.fromkeys(("t", "numpy_T", "mT"), _transposed),
    "transpose": _transpose,
    "permute": _permute,
    "getattr": _getattr,
    **dict.fromkeys(("size", "sym_size"), _size),
    "getitem": _getitem,
    "flatten": _flatten,
    **dict.fromkeys(("view", "reshape", "_unsafe_view"), _reshape),
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
}
