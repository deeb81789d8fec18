"""What only moves entries: shapes, axes, slices, joins, padding, repetition.

These act on a tensor's array of units and make nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geomrelu.arrays import IntArray
from geomrelu.errors import ShapeError, UnsupportedLayerError
from geomrelu.importers.kinds import READ
from geomrelu.importers.tensors import (
    BATCH,
    Constant,
    Tensor,
    as_tensor,
    axis_of,
    fixed,
    indexed,
    is_constant,
    kept_axis,
    raw,
    whole,
)

__all__ = ["HANDLERS", "listed", "shape_of", "shown", "size", "take"]


def listed(values: tuple[Any, ...]) -> list[Any]:
    """Arguments given one by one or as one list."""
    return list(values[0]) if len(values) == 1 and isinstance(values[0], list | tuple) else list(values)


def shape_of(value: Any) -> tuple[int, ...]:
    """A tensor's or constant's shape, 1 for the batch."""
    return value.units.shape if isinstance(value, Tensor) else np.shape(raw(value))


# ---- sizes


def size(where: str, input: Any, dim: Any = None) -> Any:
    """torch's size: a list, `BATCH` for the batch; or that of one axis."""
    sizes = list(np.shape(raw(input))) if is_constant(input) else as_tensor(input, where).sizes
    return sizes if dim is None else sizes[axis_of(dim, len(sizes), where)]


def _getattr(where: str, input: Any, name: str) -> Any:
    if name in ("T", "mT"):
        return _transposed(where, input)
    if name == "shape":
        return size(where, input)
    if name == "ndim":
        return len(size(where, input))
    if name in ("data", "dtype", "device"):
        return input if name == "data" else name
    if isinstance(input, tuple) and name == "values":
        return input[0]  # of a maximum along an axis
    raise UnsupportedLayerError(f"{where}: reads .{name}, which is not understood; {READ}")


def _numel(where: str, input: Any) -> int:
    return math.prod(whole(n, where, "size") for n in size(where, input))


def _dim(where: str, input: Any) -> int:
    return len(size(where, input))


# ---- shapes


def _reshape(where: str, input: Any, *shape: Any) -> Any:
    sizes = listed(shape)
    if isinstance(input, Constant):
        goal = [whole(n, where, "size") for n in sizes]
        return indexed(input, where, lambda a: _reshaped(a, goal, where, a.shape))
    tensor = as_tensor(input, where)
    if tensor.batch is None:
        goal = [whole(n, where, "size") for n in sizes]
        return tensor.with_units(_reshaped(tensor.units, goal, where, tensor.sizes))
    first = sizes[0] if sizes else None
    keeps = first is BATCH or first in (-1, 1) or (tensor.length is not None and first == tensor.length)
    if tensor.batch != 0 or not keeps or (first != -1 and BATCH in sizes[1:]):
        raise UnsupportedLayerError(
            f"{where}: reshapes ({shown(tensor.sizes)}) to ({shown(sizes)}), which mixes points; "
            "expected the batch to stay the first axis"
        )
    goal = [1, *(whole(n, where, "size") for n in sizes[1:])]
    return tensor.with_units(_reshaped(tensor.units, goal, where, tensor.sizes))


def shown(sizes: Sequence[Any]) -> str:
    """Sizes for messages."""
    return ", ".join(str(n) for n in sizes)


def _reshaped(array: Any, goal: list[int], where: str, sizes: Sequence[Any]) -> Any:
    try:
        return array.reshape(goal)
    except ValueError as error:
        raise ShapeError(f"{where}: a tensor of shape ({shown(sizes)}) does not fit shape ({shown(goal)})") from error


def _flatten(where: str, input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    rank = len(shape_of(input)) or 1
    start, end = axis_of(start_dim, rank, where), axis_of(end_dim, rank, where)
    if isinstance(input, Tensor) and input.batch is not None and start <= input.batch <= end and start != end:
        raise UnsupportedLayerError(
            f"{where}: flattens axes {start_dim} to {end_dim}, which mixes points; expected start_dim=1, end_dim=-1"
        )
    batch = None
    if isinstance(input, Tensor) and input.batch is not None:
        batch = input.batch - (end - start if input.batch > end else 0)
    result = indexed(input, where, lambda a: a.reshape(*a.shape[:start], -1, *a.shape[end + 1 :]))
    return result.with_units(result.units, batch=batch) if isinstance(result, Tensor) else result


def _unflatten(where: str, input: Any, dim: int, sizes: Any) -> Any:
    axis = axis_of(dim, len(shape_of(input)), where)
    goal = [whole(n, where, "size") for n in sizes]
    if isinstance(input, Tensor):
        kept_axis(input, axis, where)
    result = indexed(
        input, where, lambda a: _reshaped(a, [*a.shape[:axis], *goal, *a.shape[axis + 1 :]], where, a.shape)
    )
    if isinstance(result, Tensor) and result.batch is not None and result.batch > axis:
        return result.with_units(result.units, batch=result.batch + len(goal) - 1)
    return result


def _squeeze(where: str, input: Any, dim: Any = None) -> Any:
    shape = shape_of(input)
    batch = input.batch if isinstance(input, Tensor) else None
    dims = range(len(shape)) if dim is None else dim if isinstance(dim, list | tuple) else [dim]
    gone = {axis_of(d, len(shape), where) for d in dims}
    gone = {k for k in gone if shape[k] == 1 and k != batch}
    left = [n for k, n in enumerate(shape) if k not in gone]
    result = indexed(input, where, lambda a: a.reshape(left))
    return result if batch is None else result.with_units(result.units, batch=batch - sum(k < batch for k in gone))


def _unsqueeze(where: str, input: Any, dim: Any) -> Any:
    axis = axis_of(dim, len(shape_of(input)) + 1, where)
    result = indexed(input, where, lambda a: np.expand_dims(a, axis))
    if isinstance(result, Tensor) and result.batch is not None and axis <= result.batch:
        return result.with_units(result.units, batch=result.batch + 1)
    return result


# ---- axes


def _permuted(where: str, input: Any, axes: list[int]) -> Any:
    if sorted(axes) != list(range(len(shape_of(input)))):
        raise ShapeError(f"{where}: got axes {axes} for a tensor of {len(shape_of(input))} axes; expected each once")
    result = indexed(input, where, lambda a: np.transpose(a, axes))
    if isinstance(result, Tensor) and result.batch is not None:
        return result.with_units(result.units, batch=axes.index(result.batch))
    return result


def _permute(where: str, input: Any, *dims: Any) -> Any:
    return _permuted(where, input, [axis_of(d, len(shape_of(input)), where) for d in listed(dims)])


def _transpose(where: str, input: Any, dim0: int, dim1: int) -> Any:
    rank = len(shape_of(input))
    axes = list(range(rank))
    i, j = axis_of(dim0, rank, where), axis_of(dim1, rank, where)
    axes[i], axes[j] = axes[j], axes[i]
    return _permuted(where, input, axes)


def _transposed(where: str, input: Any) -> Any:
    rank = len(shape_of(input))
    return input if rank < 2 else _transpose(where, input, -2, -1)


def _reversed_axes(where: str, input: Any) -> Any:
    return _permuted(where, input, list(range(len(shape_of(input))))[::-1])


def _movedim(where: str, input: Any, source: Any, destination: Any) -> Any:
    rank = len(shape_of(input))
    sources, goals = (
        [axis_of(d, rank, where) for d in (v if isinstance(v, list | tuple) else [v])] for v in (source, destination)
    )
    order = [k for k in range(rank) if k not in sources]
    for goal, axis in sorted(zip(goals, sources, strict=True)):
        order.insert(goal, axis)
    return _permuted(where, input, order)


# ---- parts


def take(where: str, input: Any, axis: int, index: Any) -> Any:
    """Some places along an axis, a slice or an array; all of the batch's."""
    if isinstance(input, Tensor) and axis == input.batch:
        if isinstance(index, slice) and index in (slice(None), slice(0, None), slice(None, None, 1)):
            return input
        raise UnsupportedLayerError(f"{where}: takes some points of the batch; expected what is done to each point")
    chosen = (slice(None),) * axis + (index,)
    return indexed(input, where, lambda a: a[chosen])


def _slice(where: str, input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    axis = axis_of(dim, len(shape_of(input)), where)
    first = 0 if start is None else whole(start, where, "start")
    last = None if end is None or end is BATCH else whole(end, where, "end")
    if last is not None and last >= (1 << 31) - 1:
        last = None
    if isinstance(input, Tensor) and axis == input.batch and last == input.length:
        last = None
    return take(where, input, axis, slice(first, last, None if step == 1 else whole(step, where, "step")))


def _select(where: str, input: Any, dim: int, index: Any) -> Any:
    axis = axis_of(dim, len(shape_of(input)), where)
    if isinstance(input, Tensor):
        kept_axis(input, axis, where)
    at = axis_of(index, shape_of(input)[axis], where)
    result = indexed(input, where, lambda a: np.take(a, at, axis=axis))
    if isinstance(result, Tensor) and result.batch is not None and result.batch > axis:
        return result.with_units(result.units, batch=result.batch - 1)
    return result


def _index_select(where: str, input: Any, dim: int, index: Any) -> Any:
    axis = axis_of(dim, len(shape_of(input)), where)
    return take(where, input, axis, _places(index, shape_of(input)[axis], where))


def _places(index: Any, n: int, where: str) -> IntArray:
    """Whole numbers below n, from a constant or a list of them."""
    given = np.asarray(raw(index) if is_constant(index) else index)
    if given.dtype == bool and given.ndim == 1 and len(given) == n:
        given = np.flatnonzero(given)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise UnsupportedLayerError(f"{where}: takes entries by something else than a list of places; {READ}")
    if len(given) and not -n <= given.min() <= given.max() < n:
        raise ShapeError(f"{where}: takes entry {given.min()} or {given.max()} of {n}")
    return given.astype(np.int64) % max(n, 1)


def _getitem(where: str, input: Any, index: Any) -> Any:
    if isinstance(input, list | tuple) and isinstance(index, int | slice):
        return input[index]
    given = list(index) if isinstance(index, list | tuple) else [index]
    if isinstance(index, list) and all(isinstance(i, int) for i in index):
        given = [index]
    rank = len(shape_of(input))
    n_axes = sum(1 for i in given if i is not None and i is not Ellipsis)
    if Ellipsis in [i for i in given if not isinstance(i, Constant | list)]:
        at = next(k for k, i in enumerate(given) if i is Ellipsis)
        given[at : at + 1] = [slice(None)] * (rank - n_axes)
    if n_axes > rank:
        raise ShapeError(f"{where}: takes {n_axes} indices of a tensor of {rank} axes")
    if sum(isinstance(i, Constant | list) for i in given) > 1:
        raise UnsupportedLayerError(f"{where}: takes entries by several lists at once; {READ}")
    axis, result = 0, input
    for item in given:
        if item is None:
            result = _unsqueeze(where, result, axis)
        elif isinstance(item, int | np.integer) and not isinstance(item, bool):
            result = _select(where, result, axis, item)
            continue
        elif isinstance(item, slice):
            result = _slice(where, result, axis, item.start, item.stop, 1 if item.step is None else item.step)
        elif isinstance(item, Constant | list):
            result = _index_select(where, result, axis, item)
        else:
            raise UnsupportedLayerError(f"{where}: takes entries by {type(item).__name__}; {READ}")
        axis += 1
    return result


def _index(where: str, input: Any, indices: Any) -> Any:
    """aten's indexing by arrays."""
    return _getitem(where, input, tuple(slice(None) if i is None else i for i in indices))


def _split(where: str, input: Any, split_size_or_sections: Any, dim: int = 0) -> list[Any]:
    axis = axis_of(dim, len(shape_of(input)), where)
    n = shape_of(input)[axis]
    if isinstance(input, Tensor):
        kept_axis(input, axis, where)
    sizes = split_size_or_sections
    if isinstance(sizes, list | tuple):
        ends = np.cumsum([whole(k, where, "size") for k in sizes]).tolist()
        if ends[-1:] != [n]:
            raise ShapeError(f"{where}: splits an axis of length {n} into {list(sizes)}, which do not add up to it")
    else:
        step = whole(sizes, where, "size")
        if step < 1:
            raise ShapeError(f"{where}: splits into parts of length {step}; expected a positive one")
        ends = [min(k + step, n) for k in range(0, n, step)]
    return [take(where, input, axis, slice(a, b)) for a, b in zip([0, *ends], ends, strict=False)]


def _chunk(where: str, input: Any, chunks: int, dim: int = 0) -> list[Any]:
    n = shape_of(input)[axis_of(dim, len(shape_of(input)), where)]
    return _split(where, input, max(1, -(-n // max(1, whole(chunks, where, "chunks")))), dim)


def _unbind(where: str, input: Any, dim: int = 0) -> list[Any]:
    n = shape_of(input)[axis_of(dim, len(shape_of(input)), where)]
    return [_select(where, input, dim, k) for k in range(n)]


def _flip(where: str, input: Any, *dims: Any) -> Any:
    axes = [axis_of(d, len(shape_of(input)), where) for d in listed(dims)]
    for axis in axes:
        input = take(where, input, axis, slice(None, None, -1))
    return input


def _roll(where: str, input: Any, shifts: Any, dims: Any = None) -> Any:
    if dims is None:
        raise UnsupportedLayerError(f"{where}: rolls all entries at once; expected dims")
    pairs = zip(*(v if isinstance(v, list | tuple) else [v] for v in (shifts, dims)), strict=True)
    for shift, dim in pairs:
        axis = axis_of(dim, len(shape_of(input)), where)
        n = shape_of(input)[axis]
        input = take(where, input, axis, (np.arange(n) - whole(shift, where, "shift")) % max(n, 1))
    return input


# ---- joins


def _joined(where: str, tensors: Any) -> tuple[Tensor, list[npt.NDArray[Any]]]:
    """Units of tensors and of constants among them, and the tensor that says where the batch is."""
    found = [v for v in tensors if isinstance(v, Tensor)]
    if not found:
        as_tensor(tensors[0] if tensors else None, where)
    model = next((t for t in found if t.batch is not None), found[0])
    arrays = []
    for value in tensors:
        if isinstance(value, Tensor):
            own = value.batch
            units: Any = value.units
        else:
            own, units = None, model.graph.constants(fixed(value, where, "operand"))
        aligned = units.ndim == model.rank and (model.batch is None or units.shape[model.batch] == 1)
        if not aligned or own not in (model.batch, None):
            raise ShapeError(f"{where}: joins tensors whose axes do not fit each other, or whose points would mix")
        arrays.append(units)
    return model, arrays


def _cat(where: str, tensors: Any, dim: int = 0) -> Any:
    if all(is_constant(v) for v in tensors):
        return Constant(np.concatenate([raw(v) for v in tensors], axis=dim), where)
    model, arrays = _joined(where, tensors)
    axis = kept_axis(model, dim, where)
    try:
        return model.with_units(np.concatenate(arrays, axis=axis))
    except ValueError as error:
        shapes = " and ".join(f"({shown(a.shape)})" for a in arrays)
        raise ShapeError(f"{where}: shapes {shapes} do not fit each other along axis {axis}") from error


def _stack(where: str, tensors: Any, dim: int = 0) -> Any:
    return _cat(where, [_unsqueeze(where, v, dim) for v in tensors], dim)


HANDLERS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("size", "sym_size"), size),
    "getattr": _getattr,
    **dict.fromkeys(("numel", "sym_numel"), _numel),
    "dim": _dim,
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "view_copy"), _reshape),
    "flatten": _flatten,
    "unflatten": _unflatten,
    **dict.fromkeys(("squeeze", "squeeze_copy"), _squeeze),
    **dict.fromkeys(("unsqueeze", "unsqueeze_copy"), _unsqueeze),
    **dict.fromkeys(("permute", "permute_copy"), _permute),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _transpose),
    **dict.fromkeys(("t", "mT"), _transposed),
    "numpy_T": _reversed_axes,
    **dict.fromkeys(("movedim", "moveaxis"), _movedim),
    **dict.fromkeys(("slice", "slice_copy"), _slice),
    **dict.fromkeys(("select", "select_copy"), _select),
    "narrow": lambda where, input, dim, start, length: _slice(where, input, dim, start, start + length),
    "index_select": _index_select,
    "getitem": _getitem,
    "index": _index,
    **dict.fromkeys(("split", "split_with_sizes"), _split),
    "chunk": _chunk,
    "unbind": _unbind,
    "flip": _flip,
    "roll": _roll,
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    "stack": _stack,
}
