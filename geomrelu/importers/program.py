"""Programs: what a foreign model computes, as a list of named operations, and their reader.

Front ends (a traced torch module, a ``.pt2`` file, an ONNX graph) write a model down as
`Operation` objects with torch's names and arguments, as ``torch.nn.functional`` has them:
``conv2d(input, weight, bias, stride, padding, dilation, groups)``, ``max_pool2d(input, kernel_size,
stride, padding, dilation, ceil_mode)``, ``cat(tensors, dim)``, ...; `operations.HANDLERS` lists them.
Paddings of convolutions and poolings, and `pad` itself, may also be pairs (before, after) for each axis.

`network_of` runs them on symbols: what depends on the input is a `tensors.Tensor` of units of a
`graph.Graph`, all else is a `Constant`, a number or a size; `lowering` makes layers of the graph.
No weight is changed or rounded on the way.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from geomrelu.arrays import same_order
from geomrelu.errors import ShapeError, UnsupportedLayerError
from geomrelu.importers.graph import Graph
from geomrelu.importers.kinds import READ, refusal
from geomrelu.importers.lowering import network_of_units
from geomrelu.importers.operations import HANDLERS
from geomrelu.importers.shapes import Unshaped, WidthTold, unshaped_result
from geomrelu.importers.tensors import Constant, Tensor
from geomrelu.network import Network

__all__ = ["Constant", "Operation", "Program", "Ref", "Step", "network_of", "steps_of"]


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


@dataclass(frozen=True)
class Step:
    """A layer or operator of the foreign model: its place and name, and the shape of its result for one input."""

    where: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """Operations in order of execution; `constants` by name; one input and one output.

    `input_shape` is the input tensor's shape with the batch's axis first: None if its length is
    free, else the length that the program is fixed to.  None as a whole stands for a shape that
    the front end does not know.  `steps` are for people to read, where the front end has other
    ones than the operations are.
    """

    operations: Sequence[Operation]
    constants: Mapping[str, Any]
    input: str
    output: Any
    input_shape: tuple[int | None, ...] | None = None
    steps: Sequence[Step] | None = None


def network_of(program: Program, input_shape: Sequence[int] | None = None) -> Network:
    """The program as a `Network`; refuses by name what is not piecewise linear.

    Parameters
    ----------
    input_shape : sequence of int, or None
        Shape of one input, without the batch: needed where neither the program nor a first
        Linear layer tells it.

    Raises
    ------
    NotPiecewiseLinearError
        If an operation that the output needs is not piecewise linear.
    UnsupportedLayerError
        If one is piecewise linear but not read yet, or mixes points; or the input's shape is unknown.
    ShapeError, WeightError
        If weights do not fit each other or the input, or are not finite real numbers.
    """
    tensor, shape = _input_tensor(program, input_shape)
    result = _resolve(program.output, _values(program, tensor))
    if isinstance(result, list | tuple) and len(result) == 1:
        result = result[0]
    if not isinstance(result, Tensor):
        raise _no_tensor(result)
    if not result.units.size:
        raise ShapeError("model: its forward returns an empty tensor; expected at least one output")
    return network_of_units(tensor.graph, result.units.ravel(), shape)


def steps_of(program: Program, input_shape: Sequence[int] | None = None) -> list[Step]:
    """The program for people to read: operations of one place in the model in a row are one step."""
    if program.steps is not None:
        return list(program.steps)
    steps: list[Step] = []
    values = _values(program, _input_tensor(program, input_shape)[0])
    for operation in program.operations:
        value = values.get(operation.name)
        if isinstance(value, Tensor):
            if steps and steps[-1].where == operation.where:
                steps.pop()
            steps.append(Step(operation.where, tuple(value.units.shape)))
    return steps


def _input_tensor(program: Program, input_shape: Sequence[int] | None) -> tuple[Tensor, tuple[int, ...]]:
    """The input as units of a new graph, and the shape of one input."""
    _refuse_unsafe_writes(program)
    given = _given_input(program, input_shape)
    if given is None:
        given = _Input((_width_told(program),), True, 0, None)
    graph = Graph()
    units = graph.inputs(math.prod(given.shape)).reshape((1,) * given.has_batch + given.shape)
    return Tensor(graph, units, given.batch, given.length), given.shape


class _Input(NamedTuple):
    """One input's shape; whether the tensor has an axis before it for the batch, and which one is treated as such."""

    shape: tuple[int, ...]
    has_batch: bool
    batch: int | None
    length: int | None


def _given_input(program: Program, input_shape: Sequence[int] | None) -> _Input | None:
    """What the program and the caller say of the input; None if nothing."""
    given = None if input_shape is None else tuple(input_shape)
    known = program.input_shape
    if known is None:
        return None if given is None else _Input(given, True, 0, None)
    # One axis, or a shape that is said to be one input's: there is no batch.
    single = len(known) <= 1 or (given is not None and given == tuple(known))
    if single:
        return _Input(tuple(n or 1 for n in known), False, None, None)
    sizes = tuple(n for n in known[1:] if n is not None)
    free = len(sizes) < len(known) - 1
    if free and given is None:
        raise UnsupportedLayerError(
            f"model: its input has the dynamic shape {_shown(known)}; give as_network(model, input_shape=...)"
        )
    if given is not None:
        fits = len(given) == len(known) - 1 and all(n in (None, m) for n, m in zip(known[1:], given, strict=True))
        if not fits and (free or not same_order(given, sizes)):
            raise ShapeError(f"model: got input_shape={given}; its inputs are of shape {_shown(known)}")
        sizes = given if fits else sizes
    # A batch that is always one point is an axis like others.
    return _Input(sizes, True, None, None) if known[0] == 1 else _Input(sizes, True, 0, known[0])


def _width_told(program: Program) -> int:
    """Number of inputs as the first layer tells it that depends on it."""
    try:
        result = _resolve(program.output, _values(program, Unshaped()))
    except WidthTold as told:
        return told.width
    if not isinstance(result, Unshaped):
        raise _no_tensor(result)
    raise UnsupportedLayerError(
        "model: its number of inputs is unknown, as no layer tells it; give as_network(model, input_shape=...), "
        "or a slice of inputs that have that shape"
    )


def _no_tensor(result: Any) -> UnsupportedLayerError:
    what = f"{len(result)} outputs" if isinstance(result, list | tuple) else "an output that is not a tensor"
    if isinstance(result, Constant | int | float):
        what = "an output that does not depend on its input"
    return UnsupportedLayerError(f"model: its forward returns {what}; expected one tensor of shape (N, outputs)")


def _shown(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("N" if n is None else str(n) for n in shape) + ")"


def _values(program: Program, value: Any) -> dict[str, Any]:
    """What the program computes of the input `value`: the results that its output needs, by name."""
    values: dict[str, Any] = dict(program.constants)
    values[program.input] = value
    needed = _needed(program)
    for operation in program.operations:
        if operation.name in needed:
            values[operation.name] = _run(operation, values)
    return values


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


@cache
def _signature(handler: Any) -> inspect.Signature:
    return inspect.signature(handler)


def _run(operation: Operation, values: Mapping[str, Any]) -> Any:
    # relu_ computes what relu does; _refuse_unsafe_writes has made sure that no one sees the difference.
    kind = operation.kind.rstrip("_") if not operation.kind.startswith("_") else operation.kind
    kind = _IN_PLACE_OPERATORS.get(kind, kind)
    handler = HANDLERS.get(kind)
    if handler is None:
        raise refusal(operation.kind, operation.where)
    args = [_resolve(arg, values) for arg in operation.args]
    kwargs = {key: _resolve(arg, values) for key, arg in operation.kwargs.items() if key != "inplace"}
    try:
        bound = _signature(handler).bind(operation.where, *args, **kwargs)
    except TypeError as error:
        raise UnsupportedLayerError(
            f"{operation.where}: called in a way that is not understood ({error}); {READ}"
        ) from error
    if any(isinstance(value, Unshaped) for value in (*args, *kwargs.values())):
        return unshaped_result(kind, operation.where, bound)
    return handler(*bound.args, **bound.kwargs)


# Reading a size does not keep a tensor's values alive, so it does not forbid writing over them.
_SIZE_READS = frozenset({"size", "sym_size", "getattr", "dim", "_assert"})
# Operations whose result shares no memory with their input; any other may be a view of it.
_FRESH = frozenset({"linear", "matmul", "mm", "addmm", "relu", "add", "sub", "rsub", "mul", "div", "neg", "clone"})
_IN_PLACE_OPERATORS = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div"}


def _writes(operation: Operation) -> bool:
    kind = operation.kind
    return bool(
        (kind.endswith("_") and not kind.endswith("__") and kind not in ("detach_", "requires_grad_"))
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
            if producer is None or (producer.kind in _FRESH and not _writes(producer)):
                break
            target = producer.args[0] if producer.args else None
