"""Values of a program that is being read: tensors of units, constants, and sizes.

A `Tensor` is an integer array of units (`importers.graph`), of the shape that the foreign tensor
has for one input point: the axis of the batch, if there is one, has length 1.  What mixes the
batch with other axes would mix points, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import FloatArray, IntArray, real_array
from geomrelu.errors import ShapeError, UnsupportedLayerError
from geomrelu.importers.graph import Graph
from geomrelu.importers.kinds import READ

__all__ = [
    "BATCH",
    "Constant",
    "Tensor",
    "as_tensor",
    "axis_of",
    "broadcast",
    "fixed",
    "indexed",
    "is_constant",
    "kept_axis",
    "number",
    "raw",
    "whole",
]


@dataclass(frozen=True, eq=False)
class Constant:
    """A parameter, buffer or literal array, and its name for messages."""

    array: npt.NDArray[Any]
    name: str


class _Batch:
    """The number of points, whatever it is."""

    def __repr__(self) -> str:
        return "N"


BATCH = _Batch()


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value that depends on the input.

    Attributes
    ----------
    units : int64 array
        Of the tensor's shape, with 1 for the batch.
    batch : int or None
        Which axis is the batch's; None if it is of fixed length 1, an axis like others.
    length : int or None
        The batch's length where the program fixes it, as exported ones may.
    """

    graph: Graph
    units: IntArray
    batch: int | None = None
    length: int | None = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return self.units.ndim

    @property
    def sizes(self) -> list[Any]:
        """Its shape, `BATCH` for the batch's length."""
        return [BATCH if k == self.batch else n for k, n in enumerate(self.units.shape)]

    def with_units(self, units: IntArray, *, batch: int | bool | None = True) -> Tensor:
        """Other units; the batch's axis stays where it is unless `batch` says another one."""
        return replace(self, units=units, batch=self.batch if batch is True else batch)


def as_tensor(value: Any, where: str) -> Tensor:
    """`value`, which must depend on the input."""
    if not isinstance(value, Tensor):
        raise UnsupportedLayerError(
            f"{where}: applied to something that is not computed from the input; expected a tensor that is; {READ}"
        )
    return value


def is_constant(value: Any) -> bool:
    """Whether a value is a fixed array or number."""
    return isinstance(value, Constant | int | float) and not isinstance(value, bool)


def raw(value: Any) -> Any:
    """A constant's array, or the number itself."""
    return value.array if isinstance(value, Constant) else value


def fixed(value: Any, where: str, name: str = "weight") -> FloatArray:
    """A constant as float64.

    Raises
    ------
    UnsupportedLayerError
        If it is computed from the input.
    WeightError
        If it is not finite real numbers.
    """
    if not is_constant(value):
        raise UnsupportedLayerError(f"{where}: its {name} is computed from the input; expected a fixed one; {READ}")
    return real_array(raw(value), value.name if isinstance(value, Constant) else where)


def number(value: Any, where: str, name: str) -> float:
    """A constant that is one number."""
    array = fixed(value, where, name)
    if array.size != 1:
        raise ShapeError(f"{where}: got {name} of shape {array.shape}; expected one number")
    return float(array.reshape(()))


def whole(value: Any, where: str, name: str) -> int:
    """A whole number: a size, an axis, an index."""
    if isinstance(value, Constant) and value.array.size == 1 and value.array.dtype.kind in "iu":
        value = value.array.reshape(()).item()
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise UnsupportedLayerError(
            f"{where}: got {name}={value!r}; expected a whole number that does not depend on the number of points"
        )
    return int(value)


def axis_of(axis: Any, rank: int, where: str) -> int:
    """An axis counted from the front.

    Raises
    ------
    ShapeError
        If there is none.
    """
    given = whole(axis, where, "axis")
    if not -rank <= given < rank:
        raise ShapeError(f"{where}: got axis {given} of a tensor of {rank} axes; expected -{rank} to {rank - 1}")
    return given % rank


def kept_axis(tensor: Tensor, axis: Any, where: str) -> int:
    """`axis_of` for an axis along which entries are put together or taken apart: not the batch's."""
    result = axis_of(axis, tensor.rank, where)
    if result == tensor.batch:
        raise UnsupportedLayerError(
            f"{where}: acts along axis {result}, the batch's, so it mixes points; "
            "expected what is done to each point on its own"
        )
    return result


def broadcast(values: list[Any], where: str) -> tuple[Tensor, list[npt.NDArray[Any]]]:
    """Tensors and constants brought to one shape: a tensor of that shape, and each one's units or numbers.

    Raises
    ------
    ShapeError
        If their shapes do not fit, or a constant has one value for each point.
    """
    tensors = [value for value in values if isinstance(value, Tensor)]
    arrays = [v.units if isinstance(v, Tensor) else fixed(v, where, "operand") for v in values]
    rank = max(a.ndim for a in arrays)
    axes = {t.batch + rank - t.rank for t in tensors if t.batch is not None}
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError as error:
        shapes = " and ".join(str(_shown(v)) for v in values)
        raise ShapeError(f"{where}: shapes {shapes} do not fit each other") from error
    if len(axes) > 1 or any(shape[k] != 1 for k in axes):
        shapes = " and ".join(str(_shown(v)) for v in values)
        raise ShapeError(f"{where}: shapes {shapes} do not fit each other for every number N of points")
    batch = axes.pop() if axes else None
    model = next((t for t in tensors if t.batch is not None), tensors[0])
    whole_units = np.broadcast_to(tensors[0].units, shape)
    return model.with_units(whole_units, batch=batch), [np.broadcast_to(a, shape) for a in arrays]


def _shown(value: Any) -> tuple[Any, ...]:
    return tuple(value.sizes) if isinstance(value, Tensor) else np.shape(raw(value))


def indexed(value: Any, where: str, function: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Any:
    """A function of positions only, applied to a constant or to a tensor whose batch stays where it is."""
    if isinstance(value, Constant):
        return replace(value, array=function(value.array))
    tensor = as_tensor(value, where)
    return tensor.with_units(function(tensor.units))
