"""Programs: what a foreign model computes, as a list of named operations, and their reader.

Front ends (a traced torch module, a ``.pt2`` file) write a model down as `Operation` objects with
torch's names ("linear", "relu", "add", ...).  `network_of` runs them on symbols: the value that
depends on the input is a `Flow`, a chain of affine maps and rectifications; all else is a
constant.  No weight is changed or rounded on the way, and matrices are never multiplied.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, real_array
from geomrelu.errors import NotPiecewiseLinearError, ShapeError, UnsupportedLayerError
from geomrelu.importers.kinds import NOT_PIECEWISE_LINEAR, PROBABILITIES, READ, normalised
from geomrelu.network import Layer, Network

__all__ = ["Constant", "Operation", "Program", "Ref", "network_of"]


@dataclass(frozen=True)
class Ref:
    """The result of the operation called `name`, used as an argument."""

    name: str


@dataclass(frozen=True)
class Operation:
    """One step: ``name = kind(*args, **kwargs)``.

    Attributes
    ----------
    name : str
        Name of the result.
    kind : str
        Torch's name of the operation, e.g. ``"linear"``; an unknown layer's class name.
    where : str
        For messages: path in the module and what stands there, e.g. ``"layers.3 (GELU)"``.
    """

    name: str
    kind: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    where: str


@dataclass(frozen=True, eq=False)
class Constant:
    """A parameter, buffer or literal array, and its name for messages."""

    array: npt.NDArray[Any]
    name: str


@dataclass(frozen=True)
class Program:
    """Operations in order of execution; `constants` by name; one input and one output.

    `rank` and `batch` are the input's number of axes and the length of its first one, where the
    front end knows them; None stands for a (N, features) input of any length N.
    """

    operations: Sequence[Operation]
    constants: Mapping[str, Any]
    input: str
    output: Any
    rank: int | None = None
    batch: int | None = None


@dataclass(frozen=True, eq=False)
class _Affine:
    weight: FloatArray
    bias: FloatArray | None


@dataclass(frozen=True, eq=False)
class _Scale:
    factor: FloatArray  # () or (width,)


@dataclass(frozen=True, eq=False)
class _Shift:
    offset: FloatArray  # () or (width,)


class _Relu:
    pass


_Step = _Affine | _Scale | _Shift | _Relu


@dataclass(frozen=True, eq=False)
class _Flow:
    """A value that depends on the input: the steps that lead to it, linked backwards."""

    before: _Flow | None = None
    step: _Step | None = None
    width: int | None = None
    rank: int = 2
    batch: int | None = None
    squeezed: bool = False  # the axis of the features, of length 1, was dropped

    def then(self, step: _Step, **changes: Any) -> _Flow:
        return replace(self, before=self, step=step, **changes)

    def steps(self) -> list[_Step]:
        result: list[_Step] = []
        flow: _Flow | None = self
        while flow is not None and flow.step is not None:
            result.append(flow.step)
            flow = flow.before
        return result[::-1]


@dataclass(frozen=True, eq=False)
class _Sizes:
    flow: _Flow


class _Batch:
    """The number of points, whatever it is."""


_BATCH = _Batch()


def network_of(program: Program) -> Network:
    """The program as a `Network`; refuses by name what is not a chain of affine maps and ReLU.

    Raises
    ------
    NotPiecewiseLinearError
        If an operation that the output needs is not piecewise linear.
    UnsupportedLayerError
        If one is piecewise linear but not read yet, or branches meet.
    ShapeError, WeightError
        If weights do not fit each other or are not finite real numbers.
    """
    _refuse_unsafe_writes(program)
    values: dict[str, Any] = dict(program.constants)
    values[program.input] = _Flow(rank=program.rank or 2, batch=program.batch)
    needed = _needed(program)
    for operation in program.operations:
        if operation.name in needed:
            values[operation.name] = _run(operation, values)
    result = _resolve(program.output, values)
    if isinstance(result, list | tuple) and len(result) == 1:
        result = result[0]
    if not isinstance(result, _Flow):
        what = f"{len(result)} outputs" if isinstance(result, list | tuple) else "an output that is not a tensor"
        if isinstance(result, Constant | int | float):
            what = "an output that does not depend on its input"
        raise UnsupportedLayerError(f"model: its forward returns {what}; expected one tensor of shape (N, outputs)")
    return _assemble(result)


def _needed(program: Program) -> set[str]:
    by_name = {operation.name: operation for operation in program.operations}
    needed: set[str] = set()
    stack = [ref.name for ref in _refs(program.output)]
    while stack:
        name = stack.pop()
        if name in needed or name not in by_name:
            continue
        needed.add(name)
        stack += [ref.name for ref in _refs((by_name[name].args, by_name[name].kwargs))]
    return needed


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _refs(item)
    elif isinstance(value, Mapping):
        yield from _refs(list(value.values()))


def _resolve(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Ref):
        return values[value.name]
    if isinstance(value, list | tuple):
        return [_resolve(item, values) for item in value]
    return value


def _run(operation: Operation, values: Mapping[str, Any]) -> Any:
    # relu_ computes what relu does; _refuse_unsafe_writes has made sure that no one sees the difference.
    kind = operation.kind.rstrip("_") if not operation.kind.startswith("_") else operation.kind
    kind = _IN_PLACE_OPERATORS.get(kind, kind)
    handler = _HANDLERS.get(kind)
    if handler is None:
        raise _refusal(operation.kind, operation.where)
    args = [_resolve(arg, values) for arg in operation.args]
    kwargs = {key: _resolve(arg, values) for key, arg in operation.kwargs.items() if key != "inplace"}
    try:
        bound = inspect.signature(handler).bind(operation.where, *args, **kwargs)
    except TypeError as error:
        raise UnsupportedLayerError(
            f"{operation.where}: called in a way that is not understood ({error}); {READ}"
        ) from error
    return handler(*bound.args, **bound.kwargs)


def _refusal(kind: str, where: str) -> NotPiecewiseLinearError | UnsupportedLayerError:
    """The error for a kind of layer that has no handler."""
    name = normalised(kind)
    if name in NOT_PIECEWISE_LINEAR:
        advice = "replace it by ReLU and train again"
        if name in PROBABILITIES:
            advice = "if it only turns the outputs into probabilities, leave it off; else " + advice
        return NotPiecewiseLinearError(f"{where}: not piecewise linear, so it has no linear regions; {READ}; {advice}")
    return UnsupportedLayerError(f"{where}: cannot be read by this version; {READ}; rewrite the model without it")


# Reading a size does not keep a tensor's values alive, so it does not forbid writing over them.
_SIZE_READS = frozenset({"size", "sym_size", "getattr", "dim", "_assert"})
_ALIASES = frozenset(
    "view reshape flatten squeeze unsqueeze contiguous detach alias identity dropout to float double".split()
)
_IN_PLACE_OPERATORS = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div"}


def _writes(operation: Operation) -> bool:
    kind = operation.kind
    return bool(
        (kind.endswith("_") and not kind.endswith("__"))
        or kind in _IN_PLACE_OPERATORS
        or kind == "setitem"
        or operation.kwargs.get("inplace") is True
        or (kind == "relu" and operation.args[1:] == (True,))
    )


def _refuse_unsafe_writes(program: Program) -> None:
    """Refuse an in-place operation whose input is used elsewhere too: symbols have no memory to share."""
    by_name = {operation.name: operation for operation in program.operations}
    users: dict[str, int] = {}
    for ref in _refs(program.output):
        users[ref.name] = users.get(ref.name, 0) + 1
    for operation in program.operations:
        if operation.kind not in _SIZE_READS:
            for ref in _refs((operation.args, operation.kwargs)):
                users[ref.name] = users.get(ref.name, 0) + 1
    for operation in filter(_writes, program.operations):
        target = operation.args[0] if operation.args else None
        while True:
            shared = isinstance(target, Ref) and users.get(target.name, 0) != 1
            if not isinstance(target, Ref) or target.name in program.constants or shared or operation.kind == "setitem":
                raise UnsupportedLayerError(
                    f"{operation.where}: writes in place to a tensor that is used elsewhere too; "
                    "write h = relu(h) instead of relu_(h), and set no entries"
                )
            producer = by_name.get(target.name)
            if producer is None or not (producer.kind in _ALIASES or _writes(producer)):
                break
            target = producer.args[0] if producer.args else None


# ---- the operations; each takes `where` for messages, then torch's arguments under torch's names


def _only_flow(value: Any, where: str) -> _Flow:
    if not isinstance(value, _Flow):
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


def _vector(value: Any, flow: _Flow, where: str) -> FloatArray:
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


def _apply_matrix(where: str, flow: _Flow, weight: FloatArray, bias: FloatArray | None) -> _Flow:
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
    return flow.then(_Affine(weight, bias), width=weight.shape[0])


def _linear(where: str, input: Any, weight: Any, bias: Any = None) -> _Flow:
    offset = None if bias is None else real_array(_raw(bias), getattr(bias, "name", where))
    return _apply_matrix(where, _only_flow(input, where), _matrix(weight, where), offset)


def _matmul(where: str, input: Any, other: Any) -> _Flow:
    if isinstance(input, _Flow) and isinstance(other, _Flow):
        raise NotPiecewiseLinearError(f"{where}: multiplies two values that depend on the input; {READ}")
    flow = _only_flow(input, where)
    if isinstance(other, Constant) and other.array.ndim == 1:
        row = replace(other, array=other.array[None, :])
        return replace(_apply_matrix(where, flow, _matrix(row, where), None), squeezed=True)
    return _apply_matrix(where, flow, np.ascontiguousarray(_matrix(other, where).T), None)


def _addmm(where: str, input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> _Flow:
    if beta != 1 or alpha != 1:
        raise UnsupportedLayerError(f"{where}: got beta={beta}, alpha={alpha}; expected 1 and 1")
    return _add(where, _matmul(where, mat1, mat2), input)


def _relu(where: str, input: Any, inplace: bool = False) -> _Flow:
    return _only_flow(input, where).then(_Relu())


def _clamp(where: str, input: Any, min: Any = None, max: Any = None) -> _Flow:
    if max is not None or not _is_constant(min) or np.any(_raw(min) != 0):
        raise UnsupportedLayerError(f"{where}: got bounds {_raw(min)} and {_raw(max)}; only clamp(min=0), ReLU, is read")
    return _relu(where, input)


def _maximum(where: str, input: Any, other: Any) -> _Flow:
    return _clamp(where, other, input) if _is_constant(input) else _clamp(where, input, other)


def _add(where: str, input: Any, other: Any, *, alpha: float = 1) -> Any:
    if alpha != 1:
        raise UnsupportedLayerError(f"{where}: got alpha={alpha}; expected 1")
    if _is_constant(input) and _is_constant(other):
        return Constant(np.asarray(_raw(input) + _raw(other)), where)
    if isinstance(input, _Flow) and isinstance(other, _Flow):
        raise UnsupportedLayerError(
            f"{where}: adds two branches (a residual connection), which this version cannot read; "
            "expected a single chain of layers"
        )
    flow, constant = (input, other) if isinstance(input, _Flow) else (other, input)
    return _only_flow(flow, where).then(_Shift(_vector(constant, flow, where)))


def _sub(where: str, input: Any, other: Any, *, alpha: float = 1) -> Any:
    return _add(where, input, _neg(where, other), alpha=alpha)


def _rsub(where: str, input: Any, other: Any, alpha: float = 1) -> Any:
    return _sub(where, other, input, alpha=alpha)


def _mul(where: str, input: Any, other: Any) -> Any:
    if _is_constant(input) and _is_constant(other):
        return Constant(np.asarray(_raw(input) * _raw(other)), where)
    if isinstance(input, _Flow) and isinstance(other, _Flow):
        raise NotPiecewiseLinearError(f"{where}: multiplies two values that depend on the input; {READ}")
    flow, constant = (input, other) if isinstance(input, _Flow) else (other, input)
    return _only_flow(flow, where).then(_Scale(_vector(constant, flow, where)))


def _div(where: str, input: Any, other: Any) -> Any:
    if isinstance(other, _Flow):
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


def _flatten(where: str, input: Any, start_dim: int = 0, end_dim: int = -1) -> _Flow:
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


def _squeeze(where: str, input: Any, dim: Any = None) -> _Flow:
    flow = _only_flow(input, where)
    dims = dim if isinstance(dim, list) else [dim]
    if flow.rank == 2 and all(d is None or _axis(d, 2) == 1 for d in dims):
        return replace(flow, squeezed=flow.squeezed or flow.width == 1)
    raise UnsupportedLayerError(f"{where}: squeezes axis {dim}; expected the axis of a single output (-1)")


def _unsqueeze(where: str, input: Any, dim: int) -> _Flow:
    flow = _only_flow(input, where)
    if not flow.squeezed or dim not in (1, -1):
        raise UnsupportedLayerError(f"{where}: adds an axis at {dim}; expected tensors of shape (N, features)")
    return replace(flow, squeezed=False)


_HANDLERS: dict[str, Callable[..., Any]] = {
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
        ("identity", "contiguous", "clone", "detach", "detach_copy", "alias", "float", "double", "type_as", "cpu"),
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


# ---- from the chain of steps to layers


def _assemble(flow: _Flow) -> Network:
    steps = flow.steps()
    layers: list[Layer] = []
    free = False  # whether the last layer's bias is exactly zero, so that an offset can take its place
    for step in steps:
        if isinstance(step, _Affine):
            bias = np.zeros(len(step.weight)) if step.bias is None else step.bias
            layers.append(Layer(step.weight, bias, 0))
            free = step.bias is None
        elif isinstance(step, _Relu):
            last = layers[-1] if layers else _passing(_first_width(steps))
            # A second ReLU in a row changes nothing: relu(relu(u)) = relu(u).
            layers[-1:] = [replace(last, n_neurons=last.n_units)]
        else:
            width = layers[-1].n_units if layers else _first_width(steps)
            if isinstance(step, _Scale):
                layers.append(Layer(np.diag(np.broadcast_to(step.factor, (width,))), np.zeros(width), 0))
                free = True
                continue
            if not (free and layers[-1].n_neurons == 0):
                layers.append(_passing(width))
            layers[-1] = replace(layers[-1], bias=np.array(np.broadcast_to(step.offset, (width,))))
            free = False
    if not layers or layers[-1].n_neurons:
        layers.append(_passing(layers[-1].n_units if layers else _first_width(steps)))
    return Network.from_layers(layers)


def _passing(width: int) -> Layer:
    return Layer(np.eye(width), np.zeros(width), 0)


def _first_width(steps: list[_Step]) -> int:
    """Number of inputs, read off the first step that tells it."""
    for step in steps:
        if isinstance(step, _Affine):
            return step.weight.shape[1]
        if isinstance(step, _Scale | _Shift):
            values = step.factor if isinstance(step, _Scale) else step.offset
            if values.ndim == 1:
                return len(values)
    raise UnsupportedLayerError("model: it has no Linear layer, so its number of inputs is unknown; add one")
