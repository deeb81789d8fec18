"""Programs: what a foreign model computes, as a list of named operations, and their reader.

Front ends (a traced torch module, a ``.pt2`` file) write a model down as `Operation` objects with
torch's names ("linear", "relu", "add", ...).  `network_of` runs them on symbols: the value that
depends on the input is a `Flow`, a chain of affine maps and rectifications; all else is a
constant.  No weight is changed or rounded on the way, and matrices are never multiplied.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geomrelu.errors import NotPiecewiseLinearError, UnsupportedLayerError
from geomrelu.importers.chain import Flow, assemble
from geomrelu.importers.kinds import ACTIVATIONS, NOT_PIECEWISE_LINEAR, PROBABILITIES, READ, normalised
from geomrelu.importers.operations import HANDLERS, Constant
from geomrelu.network import Network

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
    values[program.input] = Flow(rank=program.rank or 2, batch=program.batch)
    needed = _needed(program)
    for operation in program.operations:
        if operation.name in needed:
            values[operation.name] = _run(operation, values)
    result = _resolve(program.output, values)
    if isinstance(result, list | tuple) and len(result) == 1:
        result = result[0]
    if not isinstance(result, Flow):
        what = f"{len(result)} outputs" if isinstance(result, list | tuple) else "an output that is not a tensor"
        if isinstance(result, Constant | int | float):
            what = "an output that does not depend on its input"
        raise UnsupportedLayerError(f"model: its forward returns {what}; expected one tensor of shape (N, outputs)")
    return assemble(result)


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
    handler = HANDLERS.get(kind)
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
        advice = "replace it by ReLU and train again" if name in ACTIVATIONS else "train a model without it"
        if name in PROBABILITIES:
            advice = "if it only turns the outputs into probabilities, leave it off; else " + advice
        return NotPiecewiseLinearError(f"{where}: not piecewise linear, so it has no linear regions; {READ}; {advice}")
    return UnsupportedLayerError(f"{where}: cannot be read by this version; {READ}; rewrite the model without it")


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
