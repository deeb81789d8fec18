"""Sums, differences, scalings: entry by entry.

Division by a constant c stands for multiplication with the float64 number nearest to 1/c.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from geomrelu.arrays import real_array
from geomrelu.errors import NotPiecewiseLinearError, UnsupportedLayerError, WeightError
from geomrelu.importers.kinds import READ
from geomrelu.importers.tensors import Constant, Tensor, as_tensor, broadcast, is_constant, raw

__all__ = ["HANDLERS", "add"]


def _folded(where: str, function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """Both are fixed: as the library itself would compute it, in its own precision."""
    if isinstance(a, Constant) or isinstance(b, Constant):
        return Constant(np.asarray(function(raw(a), raw(b))), where)
    return function(a, b)


def add(where: str, input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input + alpha other."""
    if is_constant(input) and is_constant(other):
        return _folded(where, operator.add, input, other if alpha == 1 else _mul(where, other, alpha))
    if is_constant(other) and alpha != 1:
        other, alpha = _folded(where, operator.mul, other, alpha), 1
    if isinstance(input, list | tuple) and isinstance(other, list | tuple):
        return [*input, *other]
    factors = {0: 1.0, 1: float(alpha)}
    values = [v if is_constant(v) else as_tensor(v, where) for v in (input, other)]
    shaped, arrays = broadcast(values, where)
    terms = [(factors[k], arrays[k]) for k in (0, 1) if isinstance(values[k], Tensor)]
    offset = next((arrays[k] for k in (0, 1) if not isinstance(values[k], Tensor)), 0.0)
    return shaped.with_units(shaped.graph.combine(terms, offset))


def _sub(where: str, input: Any, other: Any, *, alpha: float = 1) -> Any:
    if is_constant(input) and is_constant(other):
        return _folded(where, operator.sub, input, other if alpha == 1 else _mul(where, other, alpha))
    return add(where, input, other, alpha=-alpha)


def _rsub(where: str, input: Any, other: Any, alpha: float = 1) -> Any:
    return _sub(where, other, input, alpha=alpha)


def _mul(where: str, input: Any, other: Any) -> Any:
    if is_constant(input) and is_constant(other):
        return _folded(where, operator.mul, input, other)
    if isinstance(input, Tensor) and isinstance(other, Tensor):
        raise NotPiecewiseLinearError(f"{where}: multiplies two values that depend on the input; {READ}")
    tensor, factor = (input, other) if isinstance(input, Tensor) else (other, input)
    if not is_constant(factor):
        as_tensor(factor, where)
    shaped, (units, factors) = broadcast([as_tensor(tensor, where), factor], where)
    return shaped.with_units(shaped.graph.combine([(factors, units)]))


def _div(where: str, input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode is not None:
        raise NotPiecewiseLinearError(f"{where}: rounds its result, which jumps; expected no rounding_mode")
    if isinstance(other, Tensor):
        raise NotPiecewiseLinearError(f"{where}: divides by a value that depends on the input; {READ}")
    if is_constant(input) and is_constant(other):
        return _folded(where, operator.truediv, input, other)
    if not is_constant(other):
        as_tensor(other, where)
    divisor = real_array(raw(other), where)
    if not divisor.all():
        raise WeightError(f"{where}: divides by zero; expected a divisor without zeros")
    return _mul(where, input, Constant(np.asarray(1.0 / divisor), where))


def _neg(where: str, input: Any) -> Any:
    if is_constant(input):
        return replace(input, array=-input.array) if isinstance(input, Constant) else -input
    return _mul(where, input, -1.0)


def _pos(where: str, input: Any) -> Any:
    return input


def _addcmul(where: str, input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    return add(where, input, _mul(where, tensor1, tensor2), alpha=value)


def _integers(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Arithmetic of sizes."""

    def handler(where: str, input: Any, other: Any) -> Any:
        if isinstance(input, int) and isinstance(other, int):
            return function(input, other)
        if isinstance(input, Tensor) or isinstance(other, Tensor):
            raise NotPiecewiseLinearError(f"{where}: rounds a value that depends on the input, which jumps; {READ}")
        raise UnsupportedLayerError(f"{where}: got {input!r} and {other!r}; expected sizes that are known; {READ}")

    return handler


HANDLERS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("add", "radd"), add),
    **dict.fromkeys(("sub", "subtract"), _sub),
    "rsub": _rsub,
    **dict.fromkeys(("mul", "multiply"), _mul),
    **dict.fromkeys(("div", "truediv", "divide", "true_divide"), _div),
    **dict.fromkeys(("neg", "negative"), _neg),
    **dict.fromkeys(("pos", "positive"), _pos),
    "addcmul": _addcmul,
    "floordiv": _integers(operator.floordiv),
    "mod": _integers(operator.mod),
}
