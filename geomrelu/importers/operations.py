"""The operations that are read: each acts on tensors of units and on constants, as torch's does on tensors.

Each function takes `where`, for messages, then torch's arguments under torch's names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geomrelu.errors import UnsupportedLayerError
from geomrelu.importers import activations, affine_layers, arithmetic, copies, indexing, pooling

__all__ = ["HANDLERS"]


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


_SAME = "identity contiguous clone detach detach_copy lift_fresh_copy requires_grad alias float double type_as cpu"

HANDLERS: dict[str, Callable[..., Any]] = {
    **arithmetic.HANDLERS,
    **affine_layers.HANDLERS,
    **activations.HANDLERS,
    **pooling.HANDLERS,
    **indexing.HANDLERS,
    **copies.HANDLERS,
    **dict.fromkeys(
        ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"), _dropout
    ),
    "feature_dropout": _aten_dropout,
    **dict.fromkeys(_SAME.split(), _identity),
    **dict.fromkeys(("to", "_to_copy"), _to),
}
