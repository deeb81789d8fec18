"""The number of inputs, where a traced forward does not say it: from the first layer that tells.

Until then the input's shape does not matter: entry-by-entry functions keep it, whatever it is.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from geomrelu.errors import UnsupportedLayerError
from geomrelu.importers.tensors import BATCH, Constant, is_constant, raw

__all__ = ["Unshaped", "WidthTold", "unshaped_result"]

_FUNCTIONS = """
    relu relu6 leaky_relu rrelu abs absolute hardtanh hardsigmoid threshold softshrink clamp clip clamp_min clamp_max
    neg negative pos positive flatten dropout dropout1d alpha_dropout feature_alpha_dropout feature_dropout identity
    contiguous clone detach detach_copy lift_fresh_copy requires_grad alias float double type_as cpu to _to_copy
"""
_OPERATORS = "add radd sub subtract rsub mul multiply div truediv divide true_divide maximum minimum"
_ENTRY_BY_ENTRY, _ARITHMETIC = frozenset(_FUNCTIONS.split()), frozenset(_OPERATORS.split())


class Unshaped:
    """An input, or a function of it entry by entry, of unknown shape."""


class _Sizes:
    """Its shape."""


class WidthTold(Exception):
    """A layer says how many inputs there are."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.width = width


def unshaped_result(kind: str, where: str, call: inspect.BoundArguments) -> Any:
    """The result of an operation on an `Unshaped` value.

    Raises
    ------
    WidthTold
        If the operation takes a certain number of features.
    UnsupportedLayerError
        If it needs the shape and does not tell it.
    """
    given = call.arguments
    others = [v for v in (*call.args[1:], *call.kwargs.values()) if is_constant(v)]
    if kind in ("linear", "matmul", "mm", "addmm"):
        weight = next((v for v in others if isinstance(v, Constant) and v.array.ndim), None)
        if kind == "addmm":
            weight = given.get("mat2")
        if isinstance(weight, Constant) and weight.array.ndim:
            raise WidthTold(weight.array.shape[1 if kind == "linear" and weight.array.ndim > 1 else 0])
    if kind in ("prelu", "batch_norm"):
        width = np.size(raw(given["weight" if kind == "prelu" else "running_mean"]))
        if kind == "batch_norm" or width > 1:
            raise WidthTold(int(width))
        return Unshaped()
    if kind in _ARITHMETIC or kind in _ENTRY_BY_ENTRY:
        if kind == "flatten" and given.get("start_dim", 0) != 1:
            raise _unknown(where)
        width = max((np.shape(raw(v))[-1] for v in others if np.ndim(raw(v))), default=1)
        if width > 1:
            raise WidthTold(int(width))
        if not all(isinstance(v, Unshaped) or is_constant(v) for v in _operands(kind, call)):
            raise _unknown(where)
        return Unshaped()
    if kind in ("view", "reshape", "_unsafe_view"):
        sizes = given.get("shape", ())
        sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], list | tuple) else sizes
        if len(sizes) > 1 and all(isinstance(n, int) and n > 0 for n in sizes[1:]):
            raise WidthTold(int(np.prod(sizes[1:])))
        if len(sizes) == 2 and (sizes[0] is BATCH or sizes[0] == 1) and sizes[1] == -1:
            return Unshaped()
    if kind in ("size", "sym_size") or (kind == "getattr" and given.get("name") == "shape"):
        dim = given.get("dim")
        if dim in (None, 0):
            return BATCH if dim == 0 else [BATCH, _Sizes()]
    raise _unknown(where)


def _operands(kind: str, call: inspect.BoundArguments) -> list[Any]:
    names = ("input", "other") if kind in _ARITHMETIC else ("input",)
    return [call.arguments[name] for name in names if name in call.arguments]


def _unknown(where: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"{where}: needs the input's shape, which the model does not tell; "
        "give as_network(model, input_shape=(channels, height, width)), say, or the domain as a slice of such inputs"
    )
