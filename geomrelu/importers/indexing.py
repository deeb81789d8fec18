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

__all__ = ["HANDLERS"]


def _listed(values: tuple[Any, ...]) -> list[Any]:
    """Arguments given one by one or as one list."""
    return list(values[0]) if len(values) == 1 and isinstance(values[0], list | tuple) else list(values)


def _shape(value: Any) -> tuple[int, ...]:
    return value.units.shape if isinstance(value, Tensor) else np.shape(raw(value))


# ---- sizes


def _size(where: str, input: Any, dim: Any = None) -> Any:
    sizes = list(np.shape(raw(input))) if is_constant(input) else as_tensor(input, where).sizes
    return sizes if dim is None else sizes[axis_of(dim, len(sizes), where)]


def _getattr(where: str, input: Any, name: str) -> Any:
    if name in ("T", "mT"):
        return _transposed(where, input)
    if name == "shape":
        return _size(where, input)
    if name == "ndim":
        return len(_size(where, input))
    if name in ("data", "dtype", "device"):
        return input if name == "data" else name
    raise UnsupportedLayerError(f"{where}: reads .{name}, which is not understood; {READ}")


def _numel(where: str, input: Any) -> int:
    return math.prod(whole(n, where, "size") for n in _size(where, input))


def _dim(where: str, input: Any) -> int:
    return len(_size(where, input))


# ---- shapes


def _reshape(where: str, input: Any, *shape: Any) -> Any:
    sizes = _listed(shape)
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
            f"{where}: reshapes ({_text(tensor.sizes)}) to ({_text(sizes)}), which mixes points; "
            "expected the batch to stay the first axis"
        )
    goal = [1, *(whole(n, where, "size") for n in sizes[1:])]
    return tensor.with_units(_reshaped(tensor.units, goal, where, tensor.sizes))


def _text(sizes: Sequence[Any]) -> str:
    return ", ".join(str(n) for n in sizes)


def _reshaped(array: Any, goal: list[int], where: str, shown: Sequence[Any]) -> Any:
    try:
        return array.reshape(goal)
    except ValueError as error:
        raise ShapeError(f"{where}: a tensor of shape ({_text(shown)}) does not fit shape ({_text(goal)})") from error


def _flatten(where: str, input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    rank = len(_shape(input)) or 1
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
    axis = axis_of(dim, len(_shape(input)), where)
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
    shape = _shape(input)
    batch = input.batch if isinstance(input, Tensor) else None
    dims = range(len(shape)) if dim is None else dim if isinstance(dim, list | tuple) else [dim]
    gone = {axis_of(d, len(shape), where) for d in dims}
    gone = {k for k in gone if shape[k] == 1 and k != batch}
    left = [n for k, n in enumerate(shape) if k not in gone]
    result = indexed(input, where, lambda a: a.reshape(left))
    return result if batch is None else result.with_units(result.units, batch=batch - sum(k < batch for k in gone))


def _unsqueeze(where: str, input: Any, dim: Any) -> Any:
    axis = axis_of(dim, len(_shape(input)) + 1, where)
    result = indexed(input, where, lambda a: np.expand_dims(a, axis))
    if isinstance(result, Tensor) and result.batch is not None and axis <= result.batch:
        return result.with_units(result.units, batch=result.batch + 1)
    return result


# ---- axes


def _permuted(where: str, input: Any, axes: list[int]) -> Any:
    if sorted(axes) != list(range(len(_shape(input)))):
        raise ShapeError(f"{where}: got axes {axes} for a tensor of {len(_shape(input))} axes; expected each once")
    result = indexed(input, where, lambda a: np.transpose(a, axes))
    if isinstance(result, Tensor) and result.batch is not None:
        return result.with_units(result.units, batch=axes.index(result.batch))
    return result


def _permute(where: str, input: Any, *dims: Any) -> Any:
    return _permuted(where, input, [axis_of(d, len(_shape(input)), where) for d in _listed(dims)])


def _transpose(where: str, input: Any, dim0: int, dim1: int) -> Any:
    rank = len(_shape(input))
    axes = list(range(rank))
    i, j = axis_of(dim0, rank, where), axis_of(dim1, rank, where)
    axes[i], axes[j] = axes[j], axes[i]
    return _permuted(where, input, axes)


def _transposed(where: str, input: Any) -> Any:
    rank = len(_shape(input))
    return input if rank < 2 else _transpose(where, input, -2, -1)


def _reversed_axes(where: str, input: Any) -> Any:
    return _permuted(where, input, list(range(len(_shape(input))))[::-1])


def _movedim(where: str, input: Any, source: Any, destination: Any) -> Any:
    rank = len(_shape(input))
    sources, goals = (
        [axis_of(d, rank, where) for d in (v if isinstance(v, list | tuple) else [v])] for v in (source, destination)
    )
    order = [k for k in range(rank) if k not in sources]
    for goal, axis in sorted(zip(goals, sources, strict=True)):
        order.insert(goal, axis)
    return _permuted(where, input, order)


# ---- parts


def _take(where: str, input: Any, axis: int, index: Any) -> Any:
    """Some places along an axis, a slice or an array; all of the batch's."""
    if isinstance(input, Tensor) and axis == input.batch:
        if isinstance(index, slice) and index in (slice(None), slice(0, None), slice(None, None, 1)):
            return input
        raise UnsupportedLayerError(f"{where}: takes some points of the batch; expected what is done to each point")
    chosen = (slice(None),) * axis + (index,)
    return indexed(input, where, lambda a: a[chosen])


def _slice(where: str, input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    axis = axis_of(dim, len(_shape(input)), where)
    first = 0 if start is None else whole(start, where, "start")
    last = None if end is None or end is BATCH else whole(end, where, "end")
    if last is not None and last >= (1 << 31) - 1:
        last = None
    if isinstance(input, Tensor) and axis == input.batch and last == input.length:
        last = None
    return _take(where, input, axis, slice(first, last, None if step == 1 else whole(step, where, "step")))


def _select(where: str, input: Any, dim: int, index: Any) -> Any:
    axis = axis_of(dim, len(_shape(input)), where)
    if isinstance(input, Tensor):
        kept_axis(input, axis, where)
    at = axis_of(index, _shape(input)[axis], where)
    result = indexed(input, where, lambda a: np.take(a, at, axis=axis))
    if isinstance(result, Tensor) and result.batch is not None and result.batch > axis:
        return result.with_units(result.units, batch=result.batch - 1)
    return result


def _index_select(where: str, input: Any, dim: int, index: Any) -> Any:
    axis = axis_of(dim, len(_shape(input)), where)
    return _take(where, input, axis, _places(index, _shape(input)[axis], where))


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
    rank = len(_shape(input))
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
    axis = axis_of(dim, len(_shape(input)), where)
    n = _shape(input)[axis]
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
    return [_take(where, input, axis, slice(a, b)) for a, b in zip([0, *ends], ends, strict=False)]


def _chunk(where: str, input: Any, chunks: int, dim: int = 0) -> list[Any]:
    n = _shape(input)[axis_of(dim, len(_shape(input)), where)]
    return _split(where, input, max(1, -(-n // max(1, whole(chunks, where, "chunks")))), dim)


def _unbind(where: str, input: Any, dim: int = 0) -> list[Any]:
    n = _shape(input)[axis_of(dim, len(_shape(input)), where)]
    return [_select(where, input, dim, k) for k in range(n)]


def _flip(where: str, input: Any, *dims: Any) -> Any:
    axes = [axis_of(d, len(_shape(input)), where) for d in _listed(dims)]
    for axis in axes:
        input = _take(where, input, axis, slice(None, None, -1))
    return input


def _roll(where: str, input: Any, shifts: Any, dims: Any = None) -> Any:
    if dims is None:
        raise UnsupportedLayerError(f"{where}: rolls all entries at once; expected dims")
    pairs = zip(*(v if isinstance(v, list | tuple) else [v] for v in (shifts, dims)), strict=True)
    for shift, dim in pairs:
        axis = axis_of(dim, len(_shape(input)), where)
        n = _shape(input)[axis]
        input = _take(where, input, axis, (np.arange(n) - whole(shift, where, "shift")) % max(n, 1))
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
        shapes = " and ".join(f"({_text(a.shape)})" for a in arrays)
        raise ShapeError(f"{where}: shapes {shapes} do not fit each other along axis {axis}") from error


def _stack(where: str, tensors: Any, dim: int = 0) -> Any:
    return _cat(where, [_unsqueeze(where, v, dim) for v in tensors], dim)


# ---- copies


def _expand(where: str, input: Any, *sizes: Any) -> Any:
    goal = _listed(sizes)
    if not isinstance(input, Tensor):
        if any(n is BATCH for n in goal):
            goal = [1 if n is BATCH else n for n in goal]
        shape = _expanded(np.shape(raw(input)), goal, where)
        return indexed(input, where, lambda a: np.broadcast_to(a, shape))
    shift = len(goal) - input.rank
    batch = None if input.batch is None else input.batch + shift
    if batch is not None and not (
        goal[batch] is BATCH or goal[batch] in (-1, 1) or goal[batch] == input.length
    ):  # fmt: skip
        raise UnsupportedLayerError(f"{where}: expands the batch to {goal[batch]}, which mixes points")
    wanted = [1 if n is BATCH or k == batch else n for k, n in enumerate(goal)]
    return input.with_units(np.broadcast_to(input.units, _expanded(input.units.shape, wanted, where)), batch=batch)


def _expanded(shape: tuple[int, ...], goal: list[Any], where: str) -> tuple[int, ...]:
    whole_goal = [whole(n, where, "size") for n in goal]
    own = (1,) * (len(goal) - len(shape)) + shape
    result = tuple(n if m == -1 else m for n, m in zip(own, whole_goal, strict=False))
    if len(own) != len(goal) or any(n not in (1, m) for n, m in zip(own, result, strict=True)):
        raise ShapeError(f"{where}: a tensor of shape ({_text(shape)}) does not expand to ({_text(goal)})")
    return result


def _expand_as(where: str, input: Any, other: Any) -> Any:
    return _expand(where, input, _size(where, other))


def _repeat(where: str, input: Any, *repeats: Any) -> Any:
    times = [whole(n, where, "repeats") for n in _listed(repeats)]
    tensor = as_tensor(input, where)
    if len(times) < tensor.rank:
        raise ShapeError(f"{where}: repeats {times} for a tensor of {tensor.rank} axes; expected one for each axis")
    batch = None if tensor.batch is None else tensor.batch + len(times) - tensor.rank
    if batch is not None and times[batch] != 1:
        raise UnsupportedLayerError(f"{where}: repeats the batch, which mixes points")
    return tensor.with_units(np.tile(tensor.units, times), batch=batch)


def _interpolate(where: str, input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                 align_corners: Any = None, recompute_scale_factor: Any = None, antialias: bool = False) -> Any:  # fmt: skip
    if mode != "nearest":
        raise UnsupportedLayerError(
            f"{where}: interpolates by mode={mode!r}, which this version cannot read; nearest that works: mode='nearest'"
        )
    tensor = as_tensor(input, where)
    n_axes = tensor.rank - 2
    grid = tensor.units.shape[2:]
    given = size if size is not None else scale_factor
    each = list(given) if isinstance(given, list | tuple) else [given] * n_axes
    if given is None or len(each) != n_axes or tensor.batch not in (0, None):
        raise ShapeError(f"{where}: got size={size!r}, scale_factor={scale_factor!r} for {n_axes} axes")
    units = tensor.units
    for k, (n, want) in enumerate(zip(grid, each, strict=True)):
        # As torch has it: the scale is the given one, or, with a size, their quotient.
        goal = whole(want, where, "size") if size is not None else math.floor(n * want)
        scale = n / goal if size is not None else 1 / want
        at = np.minimum(np.floor(np.arange(goal) * np.float32(scale)).astype(np.int64), n - 1)
        units = np.take(units, at, axis=k + 2)
    return tensor.with_units(units)


def _upsample_nearest(where: str, input: Any, output_size: Any, *scales: Any) -> Any:
    given = [s for s in (scales[0] if scales and isinstance(scales[0], list) else scales) if s is not None]
    if given:
        return _interpolate(where, input, None, list(given))
    return _interpolate(where, input, output_size)


def _pixel_shuffle(where: str, input: Any, upscale_factor: int) -> Any:
    tensor, r = as_tensor(input, where), whole(upscale_factor, where, "upscale_factor")
    *lead, channels, height, width = tensor.units.shape
    if channels % (r * r) or (tensor.batch is not None and tensor.batch >= len(lead)):
        raise ShapeError(f"{where}: got {channels} channels; expected a multiple of {r * r}")
    parts = tensor.units.reshape(*lead, channels // (r * r), r, r, height, width)
    k = len(lead)
    moved = np.transpose(parts, [*range(k + 1), k + 3, k + 1, k + 4, k + 2])
    return tensor.with_units(moved.reshape(*lead, channels // (r * r), height * r, width * r))


def _pixel_unshuffle(where: str, input: Any, downscale_factor: int) -> Any:
    tensor, r = as_tensor(input, where), whole(downscale_factor, where, "downscale_factor")
    *lead, channels, height, width = tensor.units.shape
    if height % r or width % r or (tensor.batch is not None and tensor.batch >= len(lead)):
        raise ShapeError(f"{where}: got a grid {height} x {width}; expected multiples of {r}")
    parts = tensor.units.reshape(*lead, channels, height // r, r, width // r, r)
    k = len(lead)
    moved = np.transpose(parts, [*range(k + 1), k + 2, k + 4, k + 1, k + 3])
    return tensor.with_units(moved.reshape(*lead, channels * r * r, height // r, width // r))


def _channel_shuffle(where: str, input: Any, groups: int) -> Any:
    tensor = as_tensor(input, where)
    axis = kept_axis(tensor, 1, where)
    n = tensor.units.shape[axis]
    if n % groups:
        raise ShapeError(f"{where}: got {n} channels in {groups} groups")
    return _take(where, tensor, axis, np.arange(n).reshape(groups, -1).T.ravel())


# ---- padding


def _pad(where: str, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    amounts = list(pad)
    rank = len(_shape(input))
    if amounts and isinstance(amounts[0], list | tuple):
        pairs = [(whole(a, where, "pad"), whole(b, where, "pad")) for a, b in amounts]
    else:
        numbers = [whole(n, where, "pad") for n in amounts]
        if len(numbers) % 2:
            raise ShapeError(f"{where}: got pad={amounts}; expected two numbers for each axis, the last axis first")
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))[::-1]
    if len(pairs) > rank:
        raise ShapeError(f"{where}: got {len(pairs)} pairs of padding for a tensor of {rank} axes")
    result = input
    for axis, (before, after) in enumerate(pairs, start=rank - len(pairs)):
        if (before, after) != (0, 0):
            result = _padded(where, result, axis, before, after, mode, 0.0 if value is None else value)
    return result


def _padded(where: str, input: Any, axis: int, before: int, after: int, mode: str, value: Any) -> Any:
    tensor = as_tensor(input, where)
    kept_axis(tensor, axis, where)
    n = tensor.units.shape[axis]
    # Negative padding cuts.
    first, last = max(-before, 0), n - max(-after, 0)
    if first >= last:
        raise ShapeError(f"{where}: cuts an axis of length {n} by {-before} and {-after}; nothing is left")
    before, after = max(before, 0), max(after, 0)
    inner = np.take(tensor.units, np.arange(first, last), axis=axis)
    if mode == "constant":
        shape = list(inner.shape)
        fill = tensor.graph.constants(fixed(value, where, "value").reshape(()))
        ends = []
        for amount in (before, after):
            shape[axis] = amount
            ends.append(np.broadcast_to(fill, shape))
        return tensor.with_units(np.concatenate([ends[0], inner, ends[1]], axis=axis))
    m = last - first
    place = np.arange(-before, m + after)
    if mode in ("replicate", "edge"):
        place = np.clip(place, 0, m - 1)
    elif mode in ("circular", "wrap") and max(before, after) <= m:
        place = place % m
    elif mode == "reflect" and max(before, after) < m:
        place = np.where(place < 0, -place, np.where(place >= m, 2 * (m - 1) - place, place))
    else:
        raise UnsupportedLayerError(
            f"{where}: pads an axis of length {m} by ({before}, {after}) in mode {mode!r}; "
            "expected 'constant', 'replicate', or 'reflect' or 'circular' by no more than there is"
        )
    return tensor.with_units(np.take(inner, place, axis=axis))


def _aten_pad(mode: str) -> Callable[..., Any]:
    def handler(where: str, input: Any, padding: Any) -> Any:
        return _pad(where, input, padding, mode)

    return handler


def _constant_pad_nd(where: str, input: Any, pad: Any, value: Any = 0) -> Any:
    return _pad(where, input, pad, "constant", value)


# ---- fixed tensors


def _filled(value: float | None) -> Callable[..., Constant]:
    """torch.zeros, ones, full: one value for all points."""

    def handler(where: str, *args: Any, **kwargs: Any) -> Constant:
        sizes, fill = list(args), value
        if fill is None:
            *sizes, fill = sizes
        shape = [1 if n is BATCH else whole(n, where, "size") for n in _listed(tuple(sizes) or (kwargs["size"],))]
        return Constant(np.full(shape, fill, dtype=float), where)

    return handler


def _filled_method(value: float | None) -> Callable[..., Constant]:
    plain = _filled(value)

    def handler(where: str, input: Any, *args: Any, **kwargs: Any) -> Constant:
        return plain(where, *args)

    return handler


def _filled_like(value: float | None) -> Callable[..., Constant]:
    def handler(where: str, input: Any, *args: Any, **kwargs: Any) -> Constant:
        fill = kwargs.get("fill_value", args[0] if args else None) if value is None else value
        return Constant(np.full(_shape(input), fill, dtype=float), where)

    return handler


_FILLS = {"zeros": 0.0, "ones": 1.0, "full": None}

HANDLERS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("size", "sym_size"), _size),
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
    **dict.fromkeys(("expand", "expand_copy", "broadcast_to"), _expand),
    "expand_as": _expand_as,
    **dict.fromkeys(("repeat", "tile"), _repeat),
    "interpolate": _interpolate,
    **{f"upsample_nearest{n}d": _upsample_nearest for n in (1, 2, 3)},
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "pad": _pad,
    "constant_pad_nd": _constant_pad_nd,
    **{f"{mode}_pad{n}d": _aten_pad(name) for n in (1, 2, 3)
       for mode, name in (("reflection", "reflect"), ("replication", "replicate"))},
    **{name: _filled(value) for name, value in _FILLS.items()},
    **{f"new_{name}": _filled_method(value) for name, value in _FILLS.items()},
    **{f"{name}_like": _filled_like(value) for name, value in _FILLS.items()},
}  # fmt: skip
